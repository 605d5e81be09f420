"""Which ConvNeXt a budget comes to."""

import pytest

from maquette.blueprint.budget_images import settle_images
from maquette.blueprint.choices import Choice
from maquette.blueprint.resolve_images import resolve_images
from maquette.errors import SpecError
from maquette.facts import ImageFacts, ImageSplitFacts, MachineFacts, unnamed_classes
from maquette.spec.image import ImageSpec
from maquette.spec.load import parse_spec

FACTS = ImageFacts(
    unnamed_classes(10),
    32,
    (0.5,) * 3,
    (0.2,) * 3,
    {name: ImageSplitFacts(50_000, (5000,) * 10, 0) for name in ("train", "validation")},
)


def settled(text: str, flops: float = 1e12) -> tuple[ImageSpec, tuple[Choice, ...]]:
    spec = parse_spec(f"task: image-classification\n{text}", origin="spec")
    assert isinstance(spec, ImageSpec)
    return settle_images(spec, FACTS, MachineFacts("cpu", flops_per_second=flops))


@pytest.mark.parametrize(
    ("asked", "variant"),
    [("4M", "atto"), ("5M", "femto"), ("9M", "pico"), ("28M", "tiny"), ("200M", "large")],
)
def test_the_nearest_variant(asked: str, variant: str) -> None:
    spec, choices = settled(f"model: {{parameters: {asked}}}")
    assert spec.model.variant == variant
    assert spec.model.parameters is None
    assert asked.removesuffix("M") in choices[0].why
    assert resolve_images(spec, FACTS).train.steps == 2000


def test_memory_takes_the_largest_that_fits() -> None:
    spec, _ = settled("model: {memory: 2GiB, stem_stride: 2}\ntrain: {batch_size: 32}")
    costs = resolve_images(spec, FACTS).costs
    held = costs.weights_bytes + costs.gradients_bytes + costs.optimizer_bytes
    assert held + costs.activations_bytes <= 2 * 2**30
    assert spec.model.variant not in ("atto", "xlarge")
    more, _ = settled("model: {memory: 20GiB, stem_stride: 2}\ntrain: {batch_size: 32}")
    assert resolve_images(more, FACTS).parameters["total"] > 5 * costs.weights_bytes / 4 / 5


def test_minutes_give_ten_passes_at_least_and_are_used() -> None:
    spec, choices = settled("model: {minutes: 60, stem_stride: 2}")
    blueprint = resolve_images(spec, FACTS)
    assert 0.97 * 3600 <= blueprint.costs.flops / 1e12 <= 3600
    assert blueprint.train.epochs >= 10
    assert [choice.key for choice in choices] == ["model.variant", "train.steps"]
    short, _ = settled("model: {minutes: 1, stem_stride: 2}")
    assert short.model.variant == "atto"
    assert resolve_images(short, FACTS).train.epochs < 10


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model: {parameters: 1M}", "model.parameters=1000000"),
        ("model: {parameters: 5M, variant: tiny}", "model.variant=tiny"),
        ("model: {memory: 20MiB}", "model.memory=20.0 MiB is too little"),
        ("model: {memory: 200MiB, variant: xlarge}", "a ConvNeXt xlarge takes"),
        ("model: {parameters: 5M, memory: 20MiB}", "a ConvNeXt femto takes"),
        ("model: {minutes: 1, variant: large}\ntrain: {epochs: 90}", "train.epochs=90"),
    ],
)
def test_contradictions(text: str, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        settled(text)
