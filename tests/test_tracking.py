"""Tracking: what TensorBoard's own reader finds, resumes without a step twice, trackers that fail.

trackio and wandb are stood in for by modules with the few functions of theirs that are used.
"""

import sys
import threading
import types
from collections import Counter
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from maquette import tracking
from maquette.cli import main
from maquette.errors import UsageError
from maquette.events import Evaluated, Event, Note, Sampled, Started, StepDone
from maquette.reading import run_spec
from maquette.runs.store import Run, Store
from maquette.tracking import Tracking, named, numbers_of, require
from maquette.worker import work
from maquette.worker.training import create_run
from tests.training.tiny import tiny_spec, write_text

STARTED = Started(0, 12, 1000, "cpu", "float32", False)


def done(step: int, loss: float = 2.0) -> StepDone:
    return StepDone(step, 0.1, step * 64, loss, 1e-3, 0.5, 0.25)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAQUETTE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("WANDB_PROJECT", raising=False)


def tracked_run(folder: Path, *track: str) -> Run:
    spec = tiny_spec(folder, checkpoint={"every": 4, "keep": 12})
    spec = spec.model_copy(update={"track": list(track)})
    return create_run(spec, Store(folder / "runs"), spec_text="name: tiny\n", device="cpu")


def read_back(run: Run) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(run.path / "tensorboard"), size_guidance={"scalars": 0})
    found.Reload()
    return found


def test_tensorboard_shows_what_the_run_says_and_each_step_once(tmp_path: Path) -> None:
    run = tracked_run(tmp_path, "tensorboard")
    assert run_spec(run).track == ["tensorboard"]
    list(work(run))
    list(work(run, checkpoint=4))  # steps 5 to 12 come again
    assert len(list((run.path / "tensorboard").iterdir())) == 2
    found = read_back(run)
    events = [event for _, event in run.events()]
    steps = {e.step: e for e in events if isinstance(e, StepDone)}
    losses = found.Scalars("loss/training")
    assert [s.step for s in losses] == list(range(1, 13))
    assert [s.value for s in losses] == pytest.approx([steps[s.step].loss for s in losses])
    for name, field in (("learning_rate", "learning_rate"), ("gradient_norm", "gradient_norm")):
        values = {s.step: s.value for s in found.Scalars(name)}
        assert values == pytest.approx({n: getattr(e, field) for n, e in steps.items()})
    speeds = [s.value for s in found.Scalars("tokens_per_second")]
    assert speeds == pytest.approx([4 * 16 / e.step_seconds for e in steps.values()])
    judged = [(e.step, e.loss) for e in events if isinstance(e, Evaluated)]
    assert [s.step for s in found.Scalars("loss/validation")] == [step for step, _ in judged]
    told = [s.value for s in found.Scalars("loss/validation")]
    assert told == pytest.approx([loss for _, loss in judged])
    written = {e.step: e for e in events if isinstance(e, Sampled)}
    texts = found.Tensors("sample/text_summary")
    assert {t.step for t in texts} == written.keys()
    last = texts[-1].tensor_proto.string_val[0].decode()
    first_line = f"{written[12].prompt}{written[12].text}".splitlines()[0]
    assert last.startswith(f"    {first_line}")


def test_pictures(tmp_path: Path) -> None:
    run = Store(tmp_path).create("images", spec_text="", spec={"task": "image-classification"})
    made = Tracking(run, "tensorboard", after_step=0, reached=0)
    assert made.begin() == []
    picture = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    assert made.picture(0, "images/training", lambda: picture) == []
    made.take(done(1))
    assert made.close() == []
    found = read_back(run)
    [image] = found.Images("images/training")
    assert (image.step, image.width, image.height) == (0, 4, 4)
    assert found.Scalars("images_per_second")[0].value == 256


@pytest.mark.parametrize("when", ["begin", "step", "close"])
def test_a_tracker_that_fails_is_said_once_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    class Failing:
        note = None

        def __init__(self, *_: object, **__: object) -> None:
            if when == "begin":
                raise RuntimeError("no server\nand more")

        def numbers(self, step: int, values: dict[str, float]) -> None:
            if when == "step" and step >= 3:
                raise OSError("no server\nand more")

        def text(self, *_: object) -> None: ...

        def close(self) -> None:
            if when == "close":
                raise ValueError("no server\nand more")

    monkeypatch.setitem(tracking.TRACKERS, "tensorboard", Failing)
    run = tracked_run(tmp_path, "tensorboard")
    events = list(work(run))
    assert run.state().status == "completed"
    notes = [e.text for e in events if isinstance(e, Note) and "no server" in e.text]
    expected = "tracking by tensorboard has ended: no server; the training goes on"
    assert notes == ([expected] if when != "close" else [])
    assert run.log_path.read_text().count("no server") == 1
    assert isinstance(events[0], Started)


class Recorded:
    """What a stand-in was told: rows by step, and whether it was ended."""

    def __init__(self, begin: dict[str, Any], next_step: int) -> None:
        self.begin, self.step, self._next_step = begin, next_step, next_step
        self.rows: list[tuple[int, dict[str, Any]]] = []
        self.ended = False

    def log(self, values: dict[str, Any], *, step: int) -> None:
        self.rows.append((step, values))

    def finish(self) -> None:
        print("said by a library")
        self.ended = True


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, *, next_step: int = 0) -> list[Recorded]:
    """A module of that name; the runs that were begun with it."""
    runs: list[Recorded] = []

    def init(**begin: Any) -> Recorded:
        print("said by a library")
        runs.append(Recorded(begin, next_step))
        return runs[-1]

    module = types.ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)  # what is installed has one
    parts: dict[str, Any] = {
        "init": init,
        "login": lambda prompt: False,
        "Settings": dict,
        "Html": lambda text: ("Html", text),
        "Markdown": lambda text: ("Markdown", text),
        "Image": lambda picture: ("Image", picture.size),
    }
    for part, value in parts.items():
        setattr(module, part, value)
    monkeypatch.setitem(sys.modules, name, module)
    return runs


@pytest.mark.parametrize("name", ["trackio", "wandb"])
def test_others_go_on_with_the_same_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    run = Store(tmp_path).create("shared", spec_text="", spec={"seed": 3})
    [begun] = [stand_in(monkeypatch, name, next_step=7)]  # it has steps up to 6
    made = Tracking(run, name, after_step=4, reached=5)
    told = made.begin()
    events: list[Event] = [STARTED, *map(done, range(5, 9)), Sampled(6, "a", "b")]
    for event in (*events, Sampled(8, "<a>", "b")):
        assert made.take(event) == []
    made.picture(8, "images/training", lambda: Image.new("RGB", (3, 2)))
    assert made.close() == []
    [there] = begun
    begin = there.begin
    assert (begin["project"], begin["name"], begin["resume"]) == ("maquette", run.id, "allow")
    assert begin["config"] == {"seed": 3}
    assert [step for step, _ in there.rows] == [7, 8, 8, 8]
    assert there.rows[0][1]["loss/training"] == 2.0
    kinds = {"trackio": ("Markdown", "```\n<a>b\n```"), "wandb": ("Html", "<pre>&lt;a&gt;b</pre>")}
    assert there.rows[2][1] == {"sample": kinds[name]}
    assert there.rows[3][1] == {"images/training": ("Image", (3, 2))}
    assert there.ended
    assert capsys.readouterr().out == ""
    if name == "wandb":
        assert (begin["id"], begin["mode"]) == (run.id, "offline")
        assert "nobody is logged in" in told[0]
    assert told[0].startswith(f"{name} has the steps up to 6 already: they stay as they are there")


def test_two_trackers_of_a_training_that_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trackio, wandb = stand_in(monkeypatch, "trackio"), stand_in(monkeypatch, "wandb")
    run = tracked_run(tmp_path, "trackio", "wandb")
    list(work(run))
    list(work(run, checkpoint=8))
    for runs in (trackio, wandb):
        steps = Counter(s for one in runs for s, values in one.rows if "loss/training" in values)
        assert steps == dict.fromkeys(range(1, 13), 1)
        assert all(one.ended for one in runs)


def test_one_that_does_not_end_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, go_on = stand_in(monkeypatch, "trackio"), threading.Event()
    monkeypatch.setattr(tracking, "_CLOSE_SECONDS", 0.01)
    made = Tracking(
        Store(tmp_path).create("slow", spec_text=""), "trackio", after_step=0, reached=0
    )
    made.begin()
    monkeypatch.setattr(runs[0], "finish", go_on.wait)
    try:
        assert made.close() == ["tracking by trackio didn't end in 0 seconds"]
    finally:
        go_on.set()


def test_what_is_missing_is_said_before_there_is_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="tensorboardX isn't installed") as caught:
        require(["tensorboard"])
    assert "maquette[track]" in (caught.value.hint or "")
    require([])
    spec = tmp_path / "tiny.yaml"
    write_text(tmp_path)
    spec.write_text("name: tiny\ntrack: wandb\ndata: {sources: {t: {kind: files, path: text.txt}}}")
    for options in ([], ["-d"]):
        arguments = ["train", str(spec), "--runs-dir", str(tmp_path / "runs"), *options]
        assert main(arguments) == 2
        assert "wandb isn't installed" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_numbers() -> None:
    assert named("wandb") == ["wandb"]
    assert named(["wandb", "trackio", "wandb"]) == ["wandb", "trackio"]
    assert numbers_of(done(2, loss=float("nan")), "images") == {
        "learning_rate": 1e-3, "gradient_norm": 0.5, "images_per_second": 256.0
    }  # fmt: skip
    told = Evaluated(3, "validation", 1.5, accuracy=0.5, sources={"a": 1.0, "b": float("inf")})
    assert numbers_of(told, "images") == {
        "loss/validation": 1.5, "accuracy/validation": 0.5, "loss/validation/a": 1.0
    }  # fmt: skip
    assert numbers_of(STARTED, "tokens") == {}
