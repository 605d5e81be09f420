from pathlib import Path

import pytest

from maquette.errors import SpecError, UsageError
from maquette.spec.image import Cifar10Source, ImageFolderSource, ImageSpec, ShapesSource
from maquette.spec.load import parse_spec
from maquette.spec.schema import Spec
from maquette.spec.task import TASKS, language, spec_class


def parse(text: str, *overrides: str) -> ImageSpec:
    spec = parse_spec(f"name: a\n{text}", origin="a.yaml", overrides=overrides)
    assert isinstance(spec, ImageSpec)
    return spec


def refusal(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        parse_spec(text, origin="a.yaml")
    return caught.value.message


def test_the_task_follows_from_the_model_where_it_is_left_out() -> None:
    assert parse("model: {family: convnext}") == parse("task: image-classification")
    assert isinstance(parse_spec("name: a", origin="a"), Spec)
    assert isinstance(parse_spec("model: {family: gpt}", origin="a"), Spec)
    assert {spec_class({"task": task}) for task in TASKS} == set(TASKS.values())


def test_an_image_spec_has_defaults_that_work() -> None:
    spec = parse("task: image-classification")
    assert spec.data.sources == {"shapes": ShapesSource(kind="shapes")}
    assert (spec.model.variant, spec.model.stem_stride) == ("atto", None)
    assert ImageSpec.model_validate(spec.model_dump(mode="json")) == spec


def test_paths_of_sources_become_absolute() -> None:
    text = "task: image-classification\ndata: {sources: {mine: {kind: imagefolder, path: pets}}}"
    spec = parse_spec(text, origin="a.yaml", folder=Path("/data"))
    assert spec.data.sources["mine"] == ImageFolderSource(kind="imagefolder", path="/data/pets")


def test_a_file_of_weights_is_a_path_and_a_run_is_none() -> None:
    for written, read in (("a.safetensors", "/w/a.safetensors"), ("my-run", "my-run")):
        text = f"task: image-classification\ntrain: {{from: {written}}}"
        assert parse_spec(text, origin="a", folder=Path("/w")).train.from_run == read


def test_overrides_change_the_kind_of_a_source() -> None:
    source = "data: {sources: {mine: {kind: imagefolder, path: pets}}}"
    spec = parse(
        f"task: image-classification\n{source}",
        "data.sources.mine.kind=cifar10",
        "train.augment.policy=trivial",
    )
    assert spec.data.sources["mine"] == Cifar10Source(kind="cifar10", path="pets")
    assert spec.train.augment.policy == "trivial"


def test_what_is_wrong_is_told_with_its_line() -> None:
    assert refusal("name: a\ntask: image-clasification") == (
        "a.yaml:2: task=image-clasification is unknown; did you mean image-classification?"
    )
    assert refusal("task: 7") == (
        "a.yaml:1: task=7 is unknown; it can be language or image-classification"
    )
    assert refusal("task: language\nmodel: {family: convnext}") == (
        "a.yaml:2: model.family=convnext is no model of this task; its task is image-classification"
    )
    assert refusal("model: {family: resnet}") == (
        "a.yaml:1: model.family=resnet is unknown; it can be gpt or convnext"
    )
    assert refusal("task: image-classification\ntokenizer: {kind: bytes}") == (
        "a.yaml:2: tokenizer={...} is not a known key; "
        "task: language has it, task: image-classification has not"
    )
    assert "model.stem_stride=3 must be 1, 2 or 4" in refusal(
        "model: {family: convnext, stem_stride: 3}"
    )
    two = "{a: {kind: shapes}, b: {kind: shapes}}"
    assert "must be" in refusal(f"task: image-classification\ndata: {{sources: {two}}}")
    assert "does not divide" in refusal(
        "task: image-classification\ntrain: {batch_size: 6, accumulation: 4}"
    )


def test_a_spec_of_another_task_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="a is a spec for image-classification"):
        language(parse("task: image-classification"))
