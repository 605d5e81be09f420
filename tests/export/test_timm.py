"""The real timm loads what is exported."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from maquette.errors import RunError, UsageError
from maquette.export.timm import export_timm
from maquette.models.convnext import ConvNeXt
from maquette.shapes import ConvNeXtShape, Variant
from maquette.training.pretrained import load_pretrained, read_weights
from maquette.training.timm_config import read_config
from tests.models import reference
from tests.models.small_images import TINY, enliven, variant

NAMES = ["ant", "bee", "cat"]
MEAN, SPREAD = [0.49, 0.48, 0.45], [0.25, 0.24, 0.26]


def model_of(shape: ConvNeXtShape) -> ConvNeXt:
    model = ConvNeXt(shape)
    enliven(model)
    return model.eval()


def export(folder: Path, model: ConvNeXt) -> None:
    export_timm(folder, model.state_dict(), model.shape, classes=NAMES, mean=MEAN, spread=SPREAD)


CASES: list[Any] = [
    ("atto", 32, 1),
    ("atto", 64, 4),
    *(
        pytest.param((name, 32, 1), marks=pytest.mark.slow)
        for name in ("femto", "pico", "nano", "tiny", "small", "base")
    ),
    pytest.param(("tiny", 224, 4), marks=pytest.mark.slow),
]


@pytest.mark.parametrize("case", CASES, ids=str)
@torch.no_grad()
def test_timm_loads_it(case: tuple[Variant, int, int], tmp_path: Path) -> None:
    name, size, stem_stride = case
    timm = reference.timm()
    ours = model_of(variant(name, classes=3, image_size=size, stem_stride=stem_stride))
    export(tmp_path / "out", ours)
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    expected = ours(images)[0]

    whole = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True).eval()
    assert (whole(images) - expected).abs().max() <= 1e-5 * max(1, expected.abs().max())

    by_hand = timm.create_model(f"convnext_{name}", num_classes=3, patch_size=stem_stride).eval()
    by_hand.load_state_dict(load_file(tmp_path / "out" / "model.safetensors"), strict=True)
    assert torch.equal(by_hand(images), whole(images))

    data = timm.data.resolve_model_data_config(whole)
    assert list(data["input_size"]) == [3, size, size]
    assert (list(data["mean"]), list(data["std"])) == (MEAN, SPREAD)
    assert (data["crop_pct"], data["interpolation"]) == (1.0, "bicubic")
    assert whole.pretrained_cfg["label_names"] == NAMES

    back = ConvNeXt(ours.shape)
    weights = read_weights(tmp_path / "out" / "model.safetensors")
    assert load_pretrained(back, weights, source="out", layout="timm") == []
    assert torch.equal(back.eval()(images)[0], expected)


def test_what_timm_writes_beside_its_own_models_is_read(tmp_path: Path) -> None:
    timm = reference.timm()
    theirs = timm.create_model("convnext_pico.d1_in1k", num_classes=3)
    timm.models._hub.save_config_for_hf(
        theirs, str(tmp_path / "config.json"), model_config={"label_names": NAMES}
    )
    found = read_config(tmp_path / "model.safetensors")
    assert found is not None
    found.check("pico", 3)
    assert found.names == tuple(NAMES)
    expected = timm.data.resolve_model_data_config(theirs)
    assert (3, found.image_size, found.image_size) == expected["input_size"]
    assert (found.mean, found.std) == (expected["mean"], expected["std"])
    assert found.crop == expected["crop_pct"]


def test_files_are_plain_and_readable_by_others(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        export(tmp_path / "a" / "out", model_of(variant("atto", classes=3)))
    finally:
        os.umask(before)
    folder = tmp_path / "a" / "out"
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o644}
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["architecture"] == "convnext_atto"
    assert config["label_names"] == NAMES
    assert config["pretrained_cfg"]["pool_size"] == [1, 1]


def test_what_timm_cannot_build_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="stem of 2 pixels"):
        export(tmp_path / "out", model_of(variant("atto", classes=3, stem_stride=2)))
    with pytest.raises(UsageError, match="depths and widths"):
        export(tmp_path / "out", model_of(dataclasses.replace(TINY, classes=3)))
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(RunError, match="is there already"):
        export(tmp_path / "out", model_of(variant("atto", classes=3)))
