import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from maquette.blueprint import serial
from maquette.errors import CheckpointError, DataError, UsageError
from maquette.events import Note
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


CONFIG = {
    "architecture": "convnext_atto",
    "num_classes": 3,
    "label_names": ["ant", "bee", "cat"],
    "pretrained_cfg": {
        "input_size": [3, 96, 96],
        "mean": [0.4, 0.5, 0.6],
        "std": [0.1, 0.2, 0.3],
        "crop_pct": 0.95,
        "interpolation": "bilinear",
    },
}


def test_timms_config_beside_them_says_the_rest(tmp_path: Path) -> None:
    save_file(weights(classes=3), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    store = Store(tmp_path / "runs")
    run = import_convnext(tmp_path / "model.safetensors", store)
    facts = image_blueprint(run).facts
    assert facts.classes == ("ant", "bee", "cat")
    assert (facts.image_size, facts.mean, facts.std) == (96, (0.4, 0.5, 0.6), (0.1, 0.2, 0.3))
    notes = [event.text for _, event in run.events() if isinstance(event, Note)]
    assert "a ConvNeXt atto that tells 3 classes apart" in notes[0]
    assert "96 pixels and normalised by mean 0.4, 0.5, 0.6 and deviation 0.1, 0.2, 0.3" in notes[1]
    assert "the middle 0.95 of an image's shorter side, not all of it and bilinear" in notes[2]
    asked = import_convnext(
        tmp_path / "model.safetensors",
        store,
        classes=["x", "y", "z"],
        image_size=64,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
    )
    facts = image_blueprint(asked).facts
    assert facts.classes == ("x", "y", "z")
    assert (facts.image_size, facts.mean, facts.std) == (64, (0.0,) * 3, (1.0,) * 3)


def test_a_config_of_other_weights_is_refused(tmp_path: Path) -> None:
    file, store = tmp_path / "model.safetensors", Store(tmp_path / "runs")
    save_file(weights(classes=3), file)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | {"architecture": "convnext_tiny"}))
    with pytest.raises(CheckpointError, match="says convnext_tiny, and these are a ConvNeXt atto"):
        import_convnext(file, store)
    with pytest.raises(UsageError, match=r"--variant atto contradicts .* says convnext_tiny"):
        import_convnext(file, store, variant="atto")
    assert not store.root.exists()


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
