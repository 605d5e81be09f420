import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from maquette.blueprint import serial
from maquette.errors import CheckpointError, DataError, UsageError
from maquette.importing import import_convnext, parse_colours, read_classes
from maquette.models.convnext import ConvNeXt
from maquette.reading import image_blueprint, run_spec
from maquette.runs.store import Store
from maquette.training.checkpoint import MODEL
from maquette.training.pretrained import ends_of
from tests.models.small_images import variant


def weights(**how: int) -> dict[str, torch.Tensor]:
    with torch.random.fork_rng(devices=[]):
        return ConvNeXt(variant("atto", **how)).state_dict()


@pytest.mark.parametrize(("stem_stride", "size"), [(1, 32), (2, 64), (4, 224)])
def test_all_that_a_run_needs_is_read_off_the_weights(
    tmp_path: Path, stem_stride: int, size: int
) -> None:
    given = weights(classes=7, stem_stride=stem_stride)
    torch.save({"model": given}, tmp_path / "published.pth")
    run = import_convnext(tmp_path / "published.pth", Store(tmp_path / "runs"))
    blueprint = image_blueprint(run)
    shape = dataclasses.replace(blueprint.shape, drop_path=0.0)  # it matters to a training alone
    assert shape == variant("atto", classes=7, image_size=size, stem_stride=stem_stride)
    assert blueprint.facts.classes == tuple(f"class-{i}" for i in range(7))
    assert blueprint.facts.mean == (0.485, 0.456, 0.406)
    assert (blueprint.train.steps, blueprint.costs.flops) == (0, 0)
    assert blueprint.parameters["total"] == sum(tensor.numel() for tensor in given.values())
    assert serial.from_json(serial.to_json(blueprint)) == blueprint
    assert run_spec(run).model.model_dump(exclude_unset=True) == {
        "variant": "atto",
        "image_size": size,
        "stem_stride": stem_stride,
    }
    saved = load_file(run.checkpoint("best").path / MODEL)
    assert all(torch.equal(saved[name], given[name]) for name in given)
    assert run.state().history[-1].status == "completed"


def test_what_has_no_head_or_an_odd_stem_is_refused() -> None:
    given = weights(stem_stride=4)
    assert ends_of(given, source="x") == (10, 4)
    for name, part in (("head.fc.weight", None), ("stem.0.weight", torch.zeros(40, 3, 7, 7))):
        changed = {key: tensor for key, tensor in given.items() if key != name}
        changed |= {} if part is None else {name: part}
        with pytest.raises(CheckpointError, match="stem of 7 pixels" if name[0] == "s" else name):
            ends_of(changed, source="x")
    with pytest.raises(CheckpointError, match="shape that is known"):
        ends_of(given | {"stem.0.weight": torch.zeros(3)}, source="x")


def test_names_of_classes_may_come_twice_as_imagenets_do(tmp_path: Path) -> None:
    file = tmp_path / "names.txt"
    file.write_bytes("\ufeffcrane \r\ncrane\r\nÉtoile\r\n\r\n".encode())
    assert read_classes(file) == ["crane", "crane", "Étoile"]
    file.write_text("")
    with pytest.raises(DataError, match="is empty"):
        read_classes(file)


def test_a_deviation_is_divided_by() -> None:
    assert parse_colours("--mean", " 0, 1,0.5") == (0.0, 1.0, 0.5)
    for option, text in (("--std", "0,1,1"), ("--mean", "a,b,c"), ("--mean", "nan,0,0")):
        with pytest.raises(UsageError, match=option):
            parse_colours(option, text)
