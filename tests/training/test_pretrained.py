import dataclasses
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from maquette.errors import CheckpointError
from maquette.models.convnext import ConvNeXt
from maquette.models.convnext_layouts import LAYOUTS, Layout, layout_of, name_in, to_layout
from maquette.training.pretrained import load_pretrained, read_weights, variant_of
from tests.models.small_images import TINY, small_convnext, variant
from tests.models.test_convnext import Paper, both

Weights = dict[str, Tensor]


def weights_of(**changes: Any) -> Weights:
    return small_convnext(**changes).state_dict()


def same(a: Weights, b: Weights) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def refused(weights: Weights, *, model: ConvNeXt | None = None, **how: Any) -> CheckpointError:
    model = model or ConvNeXt(TINY)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        load_pretrained(model, weights, source="x.pth", **how)
    assert same(before, model.state_dict()), "nothing was changed"
    return caught.value


def test_the_original_codes_names() -> None:
    ours, paper = both(TINY)
    model = ConvNeXt(TINY)
    assert load_pretrained(model, paper.state_dict(), source="x.pth") == []
    assert same(model.state_dict(), ours.state_dict())
    assert same(to_layout(ours.state_dict(), "facebook"), paper.state_dict())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_there_and_back(layout: Layout) -> None:
    weights = weights_of()
    theirs = to_layout(weights, layout)
    assert layout_of(theirs) == layout
    model = ConvNeXt(TINY)
    assert load_pretrained(model, theirs, source="x.pth", layout=layout) == []
    assert same(model.state_dict(), weights)


def test_linear_layers_may_be_convolutions_of_one_pixel() -> None:
    weights = weights_of()
    theirs = {
        name: tensor[:, :, None, None] if ".mlp.fc" in name and tensor.ndim == 2 else tensor
        for name, tensor in weights.items()
    }
    model = ConvNeXt(TINY)
    assert load_pretrained(model, theirs, source="x.pth") == []
    assert same(model.state_dict(), weights)


def test_half_precision_is_widened() -> None:
    weights = {name: tensor.half() for name, tensor in weights_of().items()}
    model = ConvNeXt(TINY)
    load_pretrained(model, weights, source="x.pth")
    for name, tensor in model.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, weights[name].float())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_another_number_of_classes_leaves_the_head_new(layout: Layout) -> None:
    weights = weights_of(classes=21)
    model = ConvNeXt(TINY)
    first = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    notes = load_pretrained(model, to_layout(weights, layout), source="x.pth")
    assert notes == ["x.pth tells 21 classes apart, this model 5: the head starts anew"]
    for name, tensor in model.state_dict().items():
        expected = first if name.startswith("head.fc.") else weights
        assert torch.equal(tensor, expected[name]), name


def test_another_stem_is_left_new() -> None:
    weights = weights_of(stem_stride=4)
    model = ConvNeXt(dataclasses.replace(TINY, stem_stride=1))
    first = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    notes = load_pretrained(model, weights, source="x.pth")
    assert notes == ["x.pth has a stem of 4 pixels, this model one of 1: the stem starts anew"]
    for name, tensor in model.state_dict().items():
        expected = first if name.startswith("stem.0.") else weights
        assert torch.equal(tensor, expected[name]), name


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_does_not_fit_is_listed_by_the_files_names(layout: Layout) -> None:
    weights = to_layout(weights_of(), layout)
    gone = name_in(layout, "stages.2.blocks.1.gamma")
    bent = name_in(layout, "stages.0.blocks.0.conv_dw.weight")
    del weights[gone]
    weights[bent] = weights[bent][:, :, 1:-1, 1:-1]
    weights["surplus"] = torch.zeros(3)
    message = str(refused(weights))
    assert f"1 missing: {gone}\n" in message
    assert "1 unknown: surplus\n" in message
    assert f"1 of another shape: {bent} 16x1x5x5 for 16x1x7x7" in message


def test_long_lists_are_cut() -> None:
    message = str(refused(weights_of(depths=(1, 1, 5, 1))))
    assert "27 unknown: stages.2.blocks.2.conv_dw.bias, " in message
    assert message.count("stages.2") == 8
    assert "and 19 more" in message


def test_the_wrong_layout_is_named() -> None:
    error = refused(to_layout(weights_of(), "torchvision"), layout="timm")
    assert error.message == "x.pth has torchvision's names of weights, not timm's"
    assert error.hint == "use --from torchvision"


def test_another_model_is_named() -> None:
    assert "holds no ConvNeXt: conv1.weight" in str(refused({"conv1.weight": torch.zeros(3)}))


def test_likely_causes_are_told() -> None:
    with torch.device("meta"):
        atto = ConvNeXt(variant("atto")).state_dict()
    assert refused(atto).hint == "these are the weights of a ConvNeXt atto, in timm's layout"
    weights = weights_of()
    grown = {**weights, "stages.0.blocks.0.mlp.grn.weight": torch.zeros(64)}
    assert "V2" in str(refused(grown).hint)
    halved = {**weights, "stages.0.downsample.0.weight": torch.zeros(16)}
    assert "stem of 2 pixels" in str(refused(halved).hint)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_variants_are_told_by_their_weights(layout: Layout) -> None:
    for name in ("atto", "femto", "nano", "tiny", "small", "xlarge"):
        with torch.device("meta"):
            weights = ConvNeXt(variant(name)).state_dict()
        assert variant_of(to_layout(weights, layout)) == name
    assert variant_of(to_layout(weights_of(), layout)) is None
    assert variant_of({"a": torch.zeros(1)}) is None


@pytest.mark.parametrize("wrapper", [None, "model", "state_dict"])
@pytest.mark.parametrize("legacy", [True, False])
def test_pth_files(wrapper: str | None, legacy: bool, tmp_path: Path) -> None:
    weights = Paper(TINY).state_dict()
    content = weights if wrapper is None else {wrapper: weights, "epoch": 3}
    torch.save(content, tmp_path / "w", _use_new_zipfile_serialization=not legacy)
    assert same(read_weights(tmp_path / "w"), weights)


def test_averaged_weights_come_first_and_wrappers_names_go(tmp_path: Path) -> None:
    raw, averaged = weights_of(), weights_of(stem_stride=1)
    wrapped = {f"module.{name}": tensor for name, tensor in averaged.items()}
    torch.save({"state_dict": raw, "state_dict_ema": wrapped}, tmp_path / "w.pth")
    assert same(read_weights(tmp_path / "w.pth"), averaged)
    torch.save({"model": raw, "model_ema": None}, tmp_path / "w.pth")
    assert same(read_weights(tmp_path / "w.pth"), raw)


def test_safetensors_by_content_not_by_name(tmp_path: Path) -> None:
    weights = weights_of()
    save_file(weights, tmp_path / "w.pth")
    assert same(read_weights(tmp_path / "w.pth"), weights)


class Harmful:
    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call[0], self.call[1:]


@pytest.mark.parametrize(
    "harm",
    [(Path.touch, Path("harm-was-done")), (os.system, "touch harm-was-done")],
    ids=["unknown", "blocked"],
)
@pytest.mark.parametrize("legacy", [True, False])
def test_code_is_refused_and_not_run(
    legacy: bool, harm: tuple[Any, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "w.pth"
    content = {"model": weights_of(), "args": Harmful(*harm)}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CheckpointError, match="might run code") as caught:
        read_weights(path)
    assert "save its state dict" in str(caught.value)
    assert not Path("harm-was-done").exists()


def test_files_that_are_no_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    for content, words in (
        (b"", "no checkpoint"),
        (b"<html>404</html>", "no checkpoint"),
        (pickle.dumps({"a": 1}), "damaged"),
        (b"PK\x03\x04 and no more", "damaged or cut off"),
        (b"\x10\x00\x00\x00\x00\x00\x00\x00{", "damaged"),
    ):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=words):
            read_weights(path)
    for value in ([1, 2], {"model": 3}, {"a": 1}, {}, torch.zeros(2)):
        torch.save(value, path)
        with pytest.raises(CheckpointError, match="holds no state dict"):
            read_weights(path)
    with pytest.raises(CheckpointError, match=r"can't read .*: no such file"):
        read_weights(tmp_path / "absent")
    with pytest.raises(CheckpointError, match=r"can't read .*: is a directory"):
        read_weights(tmp_path)


@pytest.mark.parametrize("kind", ["safetensors", "zip", "legacy"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_truncated_files(kind: str, share: float, tmp_path: Path) -> None:
    path, weights = tmp_path / "w", weights_of()
    if kind == "safetensors":
        save_file(weights, path)
    else:
        torch.save(weights, path, _use_new_zipfile_serialization=kind == "zip")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CheckpointError, match="damaged"):
        read_weights(path)
