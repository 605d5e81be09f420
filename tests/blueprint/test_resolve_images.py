import dataclasses

import pytest

from maquette.blueprint.blueprint import ImageBlueprint
from maquette.blueprint.extend import extend
from maquette.blueprint.resolve_images import resolve_images
from maquette.blueprint.serial import from_json, to_json
from maquette.errors import SpecError
from maquette.facts import ImageFacts, ImageSplitFacts
from maquette.spec.image import ImageSpec
from maquette.spec.load import parse_spec


def facts(size: int = 32, images: int = 45_000) -> ImageFacts:
    def split(count: int) -> ImageSplitFacts:
        return ImageSplitFacts(count, (count // 10,) * 10, broken=0)

    return ImageFacts(
        classes=tuple("abcdefghij"),
        image_size=size,
        mean=(0.5, 0.5, 0.5),
        std=(0.2, 0.2, 0.2),
        splits={"train": split(images), "validation": split(5000)},
    )


def build(text: str = "", data: ImageFacts | None = None) -> ImageBlueprint:
    spec = parse_spec(f"task: image-classification\n{text}", origin="spec")
    assert isinstance(spec, ImageSpec)
    return resolve_images(spec, data or facts())


def test_the_published_tiny_has_the_published_parameters() -> None:
    photographs = dataclasses.replace(facts(224), classes=tuple(map(str, range(1000))))
    blueprint = build("model: {family: convnext, variant: tiny}", photographs)
    assert blueprint.shape.stem_stride == 4
    assert blueprint.parameters["total"] == 28_589_128


@pytest.mark.parametrize(
    ("size", "stride"), [(28, 1), (32, 1), (63, 1), (64, 2), (127, 2), (128, 4)]
)
def test_the_stem_follows_the_size_of_the_images(size: int, stride: int) -> None:
    assert build(data=facts(size)).shape.stem_stride == stride


def test_steps_count_images() -> None:
    plan = build("train: {epochs: 2, batch_size: 100}").train
    assert (plan.steps, plan.windows_per_epoch, plan.tokens) == (900, 45_000, 90_000)
    assert (plan.evaluate_windows, plan.evaluate_every) == (5000, 45)
    assert build("train: {evaluate: {images: 77}}").train.evaluate_windows == 77


def test_the_augmentation_is_what_the_spec_says() -> None:
    rule = build(
        "train: {label_smoothing: 0, augment: {flip: false, policy: trivial, mixup: 0.2}}"
    ).train.augmentation
    assert (rule.flip, rule.policy, rule.mixup) == (False, "trivial", 0.2)
    assert (rule.label_smoothing, rule.pad_crop) == (0, 4)


def test_images_too_small_for_the_stem_are_refused_with_a_way_out() -> None:
    with pytest.raises(SpecError, match=r"16 pixels are too small .* try model.stem_stride=2"):
        build("model: {family: convnext, stem_stride: 4}", facts(16))
    build("model: {family: convnext, stem_stride: 2}", facts(16))
    with pytest.raises(SpecError, match=r"7 pixels .* takes 8 or more; try model.image_size=32"):
        build(data=facts(7))


def test_it_is_written_and_read_back_exactly() -> None:
    blueprint = build()
    assert from_json(to_json(blueprint)) == blueprint
    assert to_json(build()) == to_json(blueprint)


def test_it_can_be_extended() -> None:
    blueprint = build("train: {steps: 100, batch_size: 10}")
    longer = extend(blueprint, after_step=100, more_epochs=1)
    assert longer.train.steps == 4600
    assert longer.costs.flops == 46 * blueprint.costs.flops
    assert from_json(to_json(longer)) == longer
