import json
from pathlib import Path
from typing import Any

import pytest

from maquette.errors import CheckpointError
from maquette.training.timm_config import TimmConfig, read_config

# As timm 1.0 writes it for the hub, but for keys that are not read here.
PUBLISHED: dict[str, Any] = {
    "architecture": "convnext_tiny",
    "num_classes": 1000,
    "num_features": 768,
    "pretrained_cfg": {
        "tag": "fb_in22k_ft_in1k",
        "input_size": [3, 224, 224],
        "test_input_size": [3, 288, 288],
        "interpolation": "bicubic",
        "crop_pct": 0.875,
        "crop_mode": "center",
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "num_classes": 1000,
    },
}


def read(folder: Path, content: Any) -> TimmConfig | None:
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "config.json").write_text(text)
    return read_config(folder / "model.safetensors")


def changed(**images: Any) -> dict[str, Any]:
    return {**PUBLISHED, "pretrained_cfg": {**PUBLISHED["pretrained_cfg"], **images}}


def test_what_timm_writes(tmp_path: Path) -> None:
    found = read(tmp_path, PUBLISHED)
    assert found is not None
    assert (found.variant, found.classes, found.names, found.image_size) == (
        *("tiny", 1000, None),
        224,
    )
    assert (found.mean, found.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert found.differences() == ["the middle 0.875 of an image's shorter side, not all of it"]
    found.check("tiny", 1000)


def test_older_ones_have_all_in_one(tmp_path: Path) -> None:
    flat = {**PUBLISHED["pretrained_cfg"], "architecture": "convnext_tiny.fb_in1k"}
    found = read(tmp_path, {**flat, "num_classes": 2, "labels": ["ant", "bee"], "crop_pct": 1.0})
    assert found is not None
    assert (found.variant, found.classes, found.names) == ("tiny", 2, ("ant", "bee"))
    assert found.mean == (0.485, 0.456, 0.406)
    assert found.differences() == []


def test_there_may_be_none_or_somebody_elses(tmp_path: Path) -> None:
    assert read_config(tmp_path / "model.safetensors") is None
    others: list[Any] = [{"architectures": ["ConvNextForImageClassification"]}, [], "3"]
    for content in others:
        assert read(tmp_path, content) is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is no JSON"),
        ("\x80", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ({"architecture": 3}, "architecture: "),
        (changed(mean=[0.5, 0.5]), "pretrained_cfg.mean.2: field required"),
        (changed(mean=[0.5, 0.5, 127]), "pretrained_cfg.mean.2: "),
        (changed(std=[0.5, 0.0, 0.5]), "pretrained_cfg.std.1: "),
        (changed(input_size=[1, 224, 224]), "pretrained_cfg.input_size.0: "),
    ],
    ids=str,
)
def test_what_is_wrong_in_it_is_named(tmp_path: Path, content: Any, words: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        read(tmp_path, content)
    assert f"{tmp_path}/config.json" in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"architecture": "convnext_small"}, "says convnext_small, and these are a ConvNeXt tiny"),
        ({"architecture": "resnet50"}, "says resnet50"),
        ({"architecture": "convnextv2_tiny"}, "says convnextv2_tiny"),
        ({"architecture": "convnext"}, "says convnext,"),
        ({"num_classes": 21841}, "says 21,841 classes, and the weights tell 1,000 apart"),
        ({"label_names": ["ant", "bee"]}, "says 2 classes"),
    ],
    ids=str,
)
def test_it_must_be_of_these_weights(tmp_path: Path, content: Any, words: str) -> None:
    found = read(tmp_path, PUBLISHED | content)
    assert found is not None
    with pytest.raises(CheckpointError) as caught:
        found.check("tiny", 1000)
    assert words in str(caught.value)
    assert "belongs to other weights" in str(caught.value.hint)
