"""maquette search: trials are runs; what fails or is interrupted is told, and goes on."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from maquette.build import Training
from maquette.cli import main
from maquette.errors import RunError, TrainingError
from maquette.events import Evaluated, Event, StepDone
from maquette.reading import run_spec
from maquette.runs.label import read_label
from maquette.runs.store import Run, Store
from maquette.search import carry, space, speed
from maquette.search.record import Options, Search, Trial, searches
from maquette.spec.dump import to_yaml
from maquette.spec.load import load_spec
from maquette.spec.schema import Spec
from maquette.worker import work
from tests.training.tiny import tiny_spec

Output = pytest.CaptureFixture[str]
COMMAND = ["search", "tiny.yaml", "--trials", "3", "--steps", "6", "--device", "cpu"]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An empty store beside a spec, where workers work in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAQUETTE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MAQUETTE_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(carry, "start_worker", here())
    monkeypatch.setattr(carry, "relative_seconds", lambda *_, **__: 1.5)
    monkeypatch.setattr(
        carry, "step_seconds", lambda *_, **__: speed.StepSeconds(shortest=0.01, median=0.02)
    )
    (tmp_path / "tiny.yaml").write_text(to_yaml(tiny_spec(tmp_path)))
    return Store()


def here(after: Callable[[Run, StepDone], None] = lambda *_: None) -> Callable[..., None]:
    """A worker in this process, that a test looks at after each step."""

    def start(run: Run, *_: str) -> None:
        events = work(run)
        try:
            for event in events:
                if isinstance(event, StepDone):
                    after(run, event)
        except RunError:
            pass
        finally:
            events.close()

    return start


def only(store: Store) -> Search:
    [search] = searches(store.root)
    return search


def test_a_search_finds_a_winner(store: Store, capsys: Output) -> None:
    assert main([*COMMAND, "-o", "best.yaml", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    trials = shown["trials"]
    search = only(store)
    assert shown["name"] == search.name
    assert [trial["status"] for trial in trials] == ["done"] * len(trials)
    assert trials[0]["changes"] == "the spec itself"
    assert trials[0]["steps"] == 6
    assert {run.id for run in store.list()} == {trial["run"] for trial in trials}
    assert all(trial["score"] == min(score for _, score in trial["curve"]) for trial in trials)
    run = store.find(trials[1]["run"])
    assert read_label(run.path).name == f"trial 2 of the search {search.name}"
    assert run.state().step == trials[1]["steps"]
    best = load_spec("best.yaml")
    assert isinstance(best, Spec)
    winning = trials[shown["winner"] - 1]
    assert best.model.depth == winning["spec"]["model"]["depth"]
    assert best.train.steps in (8, 12)  # of twelve, at its speed
    picture = Path(shown["picture"]).read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert main(["search", "--resume", search.name]) == 0
    again = capsys.readouterr()
    assert "the spec itself" in again.out
    assert "trial 1:" not in again.err
    assert len(store.list()) == len(trials)


def test_equal_time(store: Store, monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    def other(spec: dict[str, Any], *_: object, **__: object) -> dict[str, Any]:
        changed: dict[str, Any] = json.loads(json.dumps(spec))
        changed["train"]["batch_size"] = 6
        changed["model"]["dropout"] = 0.01 * len(only(store).trials)
        return changed

    monkeypatch.setattr(space, "draw", other)
    assert main([*COMMAND, "--no-confirm"]) == 0
    trials = only(store).trials
    assert [trial.steps for trial in trials] == [6, 4, 4]  # a step takes 1.5 times as long
    for trial in trials:
        spec = run_spec(store.find(trial.run or ""))
        assert spec.train.steps == trial.steps
        assert spec.seed == trials[0].spec["seed"]


def test_a_trial_that_fails_stops_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    def broken(spec: dict[str, Any], *_: object, **__: object) -> dict[str, Any]:
        number = len(only(store).trials)
        changed: dict[str, Any] = json.loads(json.dumps(spec))
        if number == 1:
            changed["model"]["context"] = 100_000
        changed["train"]["learning_rate"] = 0.001 * number
        return changed

    def explode(run: Run, event: StepDone) -> None:
        if "-t3-" in run.id:
            raise FloatingPointError("made up")

    def start(run: Run, *arguments: str) -> None:
        try:
            here(explode)(run, *arguments)
        except FloatingPointError:
            raise RunError("the worker did not start: made up") from None

    monkeypatch.setattr(space, "draw", broken)
    monkeypatch.setattr(carry, "start_worker", start)
    assert main([*COMMAND, "--trials", "4", "--no-confirm"]) == 0
    shown = capsys.readouterr()
    trials = only(store).trials
    assert [trial.status for trial in trials] == ["done", "failed", "failed", "done"]
    assert "model.context=100000 is longer than" in shown.out
    assert "failed: the worker did not start: made up" in shown.err


def test_a_loss_that_is_not_finite_is_told(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    events = Training.events

    def burst(self: Training, *arguments: Any, **named: Any) -> Iterator[Event]:
        for event in events(self, *arguments, **named):
            yield event
            if self.blueprint.name == "tiny-t2" and event.step == 3:
                raise TrainingError("after step 3: the loss is not finite")

    def start(run: Run, *_: str) -> None:
        with contextlib.suppress(TrainingError):
            list(work(run))

    monkeypatch.setattr(Training, "events", burst)
    monkeypatch.setattr(carry, "start_worker", start)
    assert main([*COMMAND, "--no-confirm", "--json"]) == 0
    trials = json.loads(capsys.readouterr().out)["trials"]
    assert [trial["status"] for trial in trials] == ["done", "failed", "done"]
    assert trials[1]["cause"] == "after step 3: the loss is not finite"
    assert store.find(trials[1]["run"]).state().status == "failed"


def test_the_spec_itself_must_not_fail(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    def start(run: Run, *_: str) -> None:
        raise RunError("no memory")

    monkeypatch.setattr(carry, "start_worker", start)
    assert main(COMMAND) == 1
    assert "the spec itself can't be trained: no memory" in capsys.readouterr().err
    assert only(store).finished


def test_an_interrupted_search_goes_on(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    def interrupt(run: Run, event: StepDone) -> None:
        if "-t2-" in run.id and event.step == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(carry, "start_worker", here(interrupt))
    assert main(COMMAND) == 130
    said = capsys.readouterr().err
    search = only(store)
    assert f"maquette search --resume {search.name} goes on" in said.replace("`", "")
    assert [trial.status for trial in search.trials] == ["done", "running"]
    [first, second] = [trial.run for trial in search.trials]
    monkeypatch.setattr(carry, "start_worker", here())
    assert main(COMMAND) == 0
    assert f"going on with {search.name}" in capsys.readouterr().err
    after = only(store)
    assert [trial.run for trial in after.trials[:2]] == [first, second]
    assert after.finished
    assert store.find(second or "").state().status == "completed"
    assert main([*COMMAND, "--new", "--no-confirm"]) == 0
    assert len(list(searches(store.root))) == 2


def test_a_kill_while_measuring_is_remembered(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    def die(*_: object, **__: object) -> float:
        [search] = searches(store.root)
        assert search.trials[-1].status == "failed"  # what the next process finds after a kill
        assert "perhaps for lack of memory" in (search.trials[-1].cause or "")
        raise MemoryError

    monkeypatch.setattr(carry, "relative_seconds", die)
    monkeypatch.setattr(carry, "same_work", lambda *_: False)
    assert main([*COMMAND, "--no-confirm"]) == 0
    assert "out of memory" in capsys.readouterr().out


def test_hopeless_trials_are_stopped(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    carrier = object.__new__(carry._Carrier)
    search = Search(store.root / "searches" / "a-b-c", {}, "language", Options(), 100)
    carrier.search = search
    curve = tuple((step, 2.0 - step / 100) for step in range(10, 101, 10))
    for number in range(3):
        search.trials.append(
            Trial(number, number, "", {}, status="done", steps=100, score=1.0, curve=curve)
        )
    trial = Trial(3, 3, "", {}, status="running", steps=50)
    assert not carrier._hopeless(trial, ((20, 9.0),))  # too early to tell
    assert carrier._hopeless(trial, ((5, 1.95), (25, 1.6)))
    assert not carrier._hopeless(trial, ((5, 1.95), (25, 1.4)))
    default = Trial(0, 0, "", {}, status="running", steps=50)
    assert not carrier._hopeless(default, ((25, 9.0),))
    worse = SimpleNamespace(
        state=lambda: SimpleNamespace(status="running", validation_loss=1.6),
        events=lambda: iter([(0.0, Evaluated(25, "validation", 1.0, bits_per_byte=1.6))]),
    )
    asked: list[object] = []

    def ask(run: object) -> SimpleNamespace:
        asked.append(run)
        return SimpleNamespace(wait=lambda: SimpleNamespace(status="stopped"))

    monkeypatch.setattr(carry, "ask_to_stop", ask)
    assert carrier._watch(trial, cast(Run, worse))
    assert asked == [worse]
    del search.trials[0]
    assert not carrier._hopeless(trial, ((25, 9.0),))  # two others are no majority


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name a SPEC"),
        (["tiny.yaml", "--resume", "x"], "not both"),
        (["--resume", "x"], "no search 'x'"),
        (["tiny.yaml", "--keep", "seed"], "no search changes that"),
        (["tiny.yaml", "--minutes", "0.1", "--trials", "40"], "tells nothing"),
    ],
)
def test_wrong_use(store: Store, capsys: Output, arguments: list[str], words: str) -> None:
    assert main(["search", *arguments]) in (1, 2)
    assert words in capsys.readouterr().err
    assert list(searches(store.root)) == []


@pytest.mark.slow
def test_with_real_workers_and_ctrl_c(store: Store, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "maquette", *COMMAND, "--strategy", "halving", "--steps", "40"]
    process = subprocess.Popen(command, env=environment, cwd=tmp_path)
    try:
        while not any("-t2-" in run.id and run.state().step for run in store.list()):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    finally:
        process.kill()
        process.wait()
    assert not any(run.state().status == "running" for run in store.list())
    subprocess.run(command, env=environment, cwd=tmp_path, check=True, timeout=300)
    search = only(store)
    assert search.finished
    assert all(trial.status == "done" for trial in search.trials)
