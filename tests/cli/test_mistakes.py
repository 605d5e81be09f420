"""What a person reads after a mistake: message, repair, exit code; and that nothing is left."""

import errno
import math
import os
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from maquette.cli import main
from maquette.events import StepDone
from tests.training.tiny import write_text

Result = tuple[int, str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAQUETTE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MAQUETTE_RUNS", raising=False)
    return tmp_path


def write_spec(folder: Path, changes: dict[str, Any]) -> Path:
    write_text(folder)
    spec: dict[str, Any] = {
        "name": "tiny",
        "model": {"depth": 1, "width": 16, "heads": 2, "context": 16},
        "tokenizer": {"kind": "bytes"},
        "data": {"sources": {"text": {"kind": "files", "path": "text.txt"}}},
        "train": {"steps": 4, "batch_size": 2, "precision": "float32", "compile": False},
    }
    for key, value in changes.items():
        *parents, last = key.split(".")
        part = spec
        for parent in parents:
            part = part[parent]
        part[last] = value
    file = folder / "tiny.yaml"
    yaml = YAML()
    with file.open("w") as stream:
        yaml.dump(spec, stream)
    return file


def train(capfd: pytest.CaptureFixture[str], *arguments: str) -> Result:
    code = main(["train", "tiny.yaml", *arguments])
    return code, capfd.readouterr().err


@pytest.mark.parametrize(
    ("changes", "code", "parts"),
    [
        ({"modle": {}}, 2, ["tiny.yaml:", "modle", "model"]),
        ({"train.steps": "many"}, 2, ["tiny.yaml:", "train.steps", "many"]),
        ({"model.heads": 3}, 2, ["tiny.yaml:", "model.heads=3", "model.width=16", "try 2 or 4"]),
        ({"data.sources.text.path": "gone.txt"}, 1, ["gone.txt"]),
        ({"model.context": 200_000}, 2, ["model.context=200000", "try model.context="]),
        ({"tokenizer": {"kind": "bpe", "vocabulary": 90_000}}, 1, ["90000", "vocabulary"]),
    ],
)
def test_mistakes_in_the_spec_and_its_data(
    folder: Path,
    capfd: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    code: int,
    parts: list[str],
) -> None:
    write_spec(folder, changes)
    result, message = train(capfd)
    assert result == code, message
    assert message.count("error:") == 1
    for part in parts:
        assert part in message
    assert "Traceback" not in message
    assert not (folder / "runs").exists()  # nothing was started


def test_a_device_that_is_not_there(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_spec(folder, {})
    result, message = train(capfd, "--device", "cuda:99")
    assert result == 2
    assert "cuda:99" in message


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="needs a folder nobody may write to")
def test_a_runs_folder_that_cannot_be_written(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_spec(folder, {})
    result, message = train(capfd, "--runs-dir", "/sys/maquette-runs")
    assert result == 1
    assert "/sys/maquette-runs" in message


def test_a_full_disk_while_training(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_spec(folder, {})
    from maquette.training import checkpoint

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoint, "save_file", full)
    result, message = train(capfd)
    assert result == 1
    assert "no space left" in message
    (run,) = (folder / "runs").iterdir()
    assert list((run / "checkpoints").iterdir()) == []  # nothing half-written
    assert main(["status", run.name, "--json"]) == 0
    assert '"status": "failed"' in capfd.readouterr().out


def test_nan_at_step_3(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_spec(folder, {"train.sample": {"every": 4}, "train.evaluate": {"every": 4}})
    from maquette.build import Training

    events = Training.events

    def poisoned(self: Training, *arguments: Any, **options: Any) -> Any:
        for event in events(self, *arguments, **options):
            if isinstance(event, StepDone) and event.step == 2:
                self.model.get_parameter("token_embedding.weight").data[:] = math.nan
            yield event

    monkeypatch.setattr(Training, "events", poisoned)
    result, message = train(capfd)
    assert result == 1
    assert "the loss of step 3 is nan" in message
    assert "learning_rate" in message
    (run,) = (folder / "runs").iterdir()
    assert main(["status", run.name]) == 0
    status = capfd.readouterr().out
    assert "failed" in status
    assert "the loss of step 3 is nan" in status
