import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from maquette.blueprint.blueprint import ImageBlueprint
from maquette.blueprint.resolve_images import resolve_imported
from maquette.classification import BATCH, Given, Judged, Said, classify, find_images
from maquette.facts import ImageFacts
from maquette.models.convnext import ConvNeXt
from maquette.spec.image import ImageSpec
from maquette.training.classify import answer, judge
from tests.data.image.making import file_bytes, picture, save
from tests.models.small_images import enliven


@pytest.fixture(scope="module")
def classifier() -> tuple[ConvNeXt, ImageBlueprint]:
    spec = ImageSpec.model_validate({"model": {"variant": "atto", "stem_stride": 4}})
    facts = ImageFacts(("a", "b", "c"), 32, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3), {})
    blueprint = resolve_imported(spec, facts)
    model = ConvNeXt(blueprint.shape)
    enliven(model)
    return model.eval(), blueprint


Classifier = tuple[ConvNeXt, ImageBlueprint]


def given(count: int) -> list[Given]:
    return [Given(f"{i}", file_bytes(picture(i, 20, 20))) for i in range(count)]


def test_many_are_decoded_by_processes_and_come_out_the_same_in_their_order(
    classifier: Classifier,
) -> None:
    images = given(BATCH + 5)
    images[3] = Given("3", b"no image")
    images[BATCH] = Given(str(BATCH), problem="gone")
    found = list(classify(*classifier, images, top=3))
    assert [one.name for one in found] == [one.name for one in images]
    assert found[3] == Said("3", problem="is no image")
    assert found[BATCH] == Said(str(BATCH), problem="gone")
    for start in (0, 4, BATCH + 1):  # before and after one that is broken
        part = images[start : start + 3]
        for alone, among in zip(classify(*classifier, part, top=3), found[start:], strict=False):
            assert dict(alone.classes) == pytest.approx(dict(among.classes), abs=1e-5)
    assert len({one.classes for one in found}) > BATCH, "each image has its own answer"


def test_images_are_taken_as_they_are_needed(classifier: Classifier) -> None:
    taken = itertools.count()

    def endless() -> Iterator[Given]:
        image = file_bytes(picture(1))
        while True:
            yield Given(f"{next(taken)}", image)

    found = classify(*classifier, endless())
    assert [next(found).name for _ in range(3 * BATCH)] == [str(i) for i in range(3 * BATCH)]
    found.close()  # type: ignore[attr-defined]
    assert next(taken) < 50 * BATCH, "what is ahead is limited by the number of processes"


def test_nothing_and_nothing_but_problems(classifier: Classifier) -> None:
    assert list(classify(*classifier, [])) == []
    assert list(classify(*classifier, [Given("x", problem="gone")])) == [Said("x", problem="gone")]


def test_of_fewer_classes_than_asked_for_there_are_all(classifier: Classifier) -> None:
    [said] = classify(*classifier, given(1), top=99)
    assert sum(share for _, share in said.classes) == pytest.approx(1)
    assert {name for name, _ in said.classes} == {"a", "b", "c"}


def test_weights_that_are_no_numbers_are_told(classifier: Classifier) -> None:
    model = ConvNeXt(classifier[1].shape)
    torch.nn.init.constant_(model.head.fc.bias, torch.nan)
    with pytest.raises(FloatingPointError):
        list(classify(model.eval(), classifier[1], given(1)))


def test_folders_are_searched_in_order_and_lazily(tmp_path: Path) -> None:
    for name in ("b/2.png", "b/10.JPG", "a/x.jpeg", "z.png", "readme.md"):
        save(tmp_path / name, b"")
    (tmp_path / "b" / "around").symlink_to(tmp_path)  # nobody walks in circles
    (tmp_path / "b" / "gone.png").symlink_to(tmp_path / "gone")
    found = list(find_images([tmp_path / "z.png", tmp_path]))
    names = [Path(one.name).relative_to(tmp_path).as_posix() for one in found]
    assert names == ["z.png", "z.png", "a/x.jpeg", "b/10.JPG", "b/2.png", "b/gone.png"]
    assert [one.problem is not None for one in found] == [False] * 5 + [True]
    first = next(find_images(itertools.chain([tmp_path / "z.png"], itertools.repeat(tmp_path))))
    assert first.name == str(tmp_path / "z.png")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_a_folder_that_is_closed_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    [one] = find_images([tmp_path])
    assert one.problem == "can't be read: permission denied"


def test_the_mistakes_it_was_surest_of_come_first() -> None:
    said = torch.tensor([[0.6, 0.4], [0.1, 0.9], [0.3, 0.7], [0.05, 0.95]]).log()
    found = answer(said, torch.tensor([1, 0, 0, 1]))
    judged = Judged(judge(found, classes=2), found, np.arange(4))
    assert judged.mistakes(9) == [1, 2, 0]
    assert judged.mistakes(2) == [1, 2]
