"""What train and demo say at the end; the training itself is replayed."""

import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from maquette.cli import main, train
from maquette.events import Event, Finished, Sampled
from maquette.runs.recorder import Recorder
from maquette.runs.store import Run, Store
from maquette.worker.signals import StopOnSignal


@pytest.fixture
def replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """The events that the next command sees."""
    events: list[Event] = []
    run = Run(tmp_path / "runs" / "a-b-c")
    with Recorder(Run(Store(run.path.parent).create("a", spec_text="").path.rename(run.path))):
        pass

    def work(*_: object, **__: object) -> Iterator[Event]:
        yield from events

    monkeypatch.delenv("MAQUETTE_RUNS", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(train, "_create", lambda *_, **__: run)
    monkeypatch.setattr(train, "_work", work)
    return events


def end(step: int, reason: Literal["completed", "early_stop", "stopped"]) -> list[Event]:
    written = [
        Sampled(0, "One day", " xqz"),
        Sampled(5, "One day", " a cat"),
        Sampled(9, "", "sat"),
    ]
    return [*(event for event in written if event.step <= step), Finished(step, reason)]


def test_demo_shows_the_first_and_the_last_text(
    replay: list[Event], capfd: pytest.CaptureFixture[str]
) -> None:
    replay += end(9, "completed")
    assert main(["demo"]) == 0
    out, err = capfd.readouterr()
    assert out.index("xqz") < out.index("sat")
    assert "a cat" not in out
    assert "maquette generate a-b-c " in err


def test_demo_names_commands_that_can_be_typed(
    replay: list[Event], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(sys, "argv", [".venv/bin/maquette", "demo"])
    replay += end(9, "completed")
    assert main(["demo"]) == 0
    assert "  .venv/bin/maquette plan stories " in capfd.readouterr().err


def test_a_demo_that_was_stopped_claims_no_last_step(
    replay: list[Event], capfd: pytest.CaptureFixture[str]
) -> None:
    replay += end(7, "stopped")
    assert main(["demo"]) == 130
    out, err = capfd.readouterr()
    assert out == ""
    assert "stopped before the end; a-b-c has what it learned so far" in err


def test_the_next_command_finds_a_run_in_another_folder(
    replay: list[Event],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    replay += end(9, "early_stop")
    place = str(tmp_path / "runs")
    monkeypatch.chdir("/")
    assert main(["train", "demo", "--runs-dir", place]) == 0
    out, err = capfd.readouterr()
    assert out == "a-b-c\n"
    assert f"maquette generate {place}/a-b-c " in err
    monkeypatch.setenv("MAQUETTE_RUNS", place)
    assert main(["train", "demo"]) == 0
    assert "maquette generate a-b-c " in capfd.readouterr().err


@pytest.mark.parametrize(
    ("kinds", "command"),
    [
        (["wikitext", "notes", "dialogues"], "chat {}"),
        (["wikitext", "notes"], "generate {} --prompt 'Once upon a time'"),
    ],
)
def test_what_comes_next_is_to_chat_with_who_read_dialogues(
    kinds: list[str], command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAQUETTE_RUNS", str(tmp_path))
    spec = {"data": {"sources": {kind: {"kind": kind} for kind in kinds}}}
    run = Store().create("tiny", spec_text="", spec=spec)
    assert train._use(run) == command.format(run.id)


def test_arguments_that_are_not_utf8_are_written_down_all_the_same() -> None:
    assert train._readable("--runs-dir=é") == "--runs-dir=é"
    assert train._readable("a\udcffb") == "a\N{REPLACEMENT CHARACTER}b"


@pytest.mark.parametrize("detach", [[], ["-d"]])
def test_a_name_that_no_device_has(
    detach: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", "demo", "--device", "gpu", "--runs-dir", str(tmp_path), *detach]
    assert main(arguments) == 2
    assert "--device 'gpu' is not a device" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_says_how_to_go_on(
    replay: list[Event], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> Iterator[Event]:
        yield Sampled(0, "", "")
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "_work", interrupted)
    assert main(["train", "demo"]) == 130
    assert "maquette resume a-b-c" in capfd.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_exit_code_of_a_training_that_was_stopped_names_the_signal(
    replay: list[Event],
    number: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def stopped(_: object, stop: StopOnSignal, **__: object) -> Iterator[Event]:
        stop.patient = True
        with stop:
            signal.raise_signal(number)
            assert stop()
            yield Finished(7, "stopped")

    monkeypatch.setattr(train, "_work", stopped)
    assert main(["train", "demo"]) == 128 + number
    out, err = capfd.readouterr()
    assert out == "a-b-c\n"
    assert "maquette resume a-b-c" in err


def test_a_new_run_that_is_interrupted_before_it_began_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MAQUETTE_RUNS", str(tmp_path))
    run = Store().create("tiny", spec_text="")

    def interrupted(*_: object, **__: object) -> Iterator[Event]:
        yield from ()
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "_create", lambda *_, **__: run)
    monkeypatch.setattr(train, "_work", interrupted)
    assert main(["train", "demo"]) == 130
    assert capfd.readouterr().err == f"interrupted before it began: {run.id} is removed\n"
    assert list(tmp_path.iterdir()) == []
