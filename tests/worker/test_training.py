import json
import math
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from maquette import build
from maquette.blueprint import serial
from maquette.blueprint.extend import extend
from maquette.build import rate_factor
from maquette.errors import RunError, TrainingError
from maquette.events import CheckpointSaved, Evaluated, Finished, Started, StepDone
from maquette.reading import read_blueprint
from maquette.runs.store import Run, Store
from maquette.worker import __main__ as worker
from maquette.worker import work
from maquette.worker.signals import StopOnSignal
from maquette.worker.training import create_run
from tests.training.tiny import tiny_spec


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAQUETTE_CACHE", str(tmp_path / "cache"))


def new_run(folder: Path, *, keep: int = 2, **train: Any) -> Run:
    spec = tiny_spec(folder, checkpoint={"every": 4, "keep": keep}, **train)
    return create_run(spec, Store(folder / "runs"), spec_text="name: tiny\n", device="cpu")


def step_rows(run: Run) -> list[tuple[int, float, float]]:
    return [(e.step, e.loss, e.gradient_norm) for _, e in run.events() if isinstance(e, StepDone)]


def weights(run: Run) -> bytes:
    return (run.checkpoint("latest").path / "model.safetensors").read_bytes()


def test_the_run_directory_is_as_designed(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    events = list(work(run))
    assert isinstance(events[-1], Finished)
    names = {path.name for path in run.path.iterdir()}
    assert names >= {
        "spec.yaml",
        "blueprint.json",
        "meta.json",
        "state.json",
        "metrics.jsonl",
        "worker.log",
        "tokenizer.json",
        "samples",
        "checkpoints",
    }
    assert run.spec_path.read_text() == "name: tiny\n"
    assert run.state().status == "completed"
    files = {path.name for path in run.checkpoint("latest").path.iterdir()}
    assert files == {
        "model.safetensors",
        "optimizer.safetensors",
        "trainer.json",
        "manifest.json",
    }
    rows = [json.loads(line) for line in run.metrics_path.read_text().splitlines()]
    assert [row["event"] for row in rows][:2] == ["started", "note"]
    assert [row["step"] for row in rows if row["event"] == "step"] == list(range(1, 13))


def test_no_start_waits_for_torchs_compiler(tmp_path: Path) -> None:
    run = new_run(tmp_path, optimizer={"kind": "muon"}, average=0.9)
    script = f"""
import sys
from pathlib import Path
from maquette.runs.store import Run
from maquette.worker import work
kinds = {{event.kind for event in work(Run(Path({str(run.path)!r})))}}
assert kinds >= {{"step", "evaluated", "sampled", "checkpoint", "finished"}}
print("torch" in sys.modules, "torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("True False\n", "")


def test_a_run_cut_off_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    whole = new_run(tmp_path)
    list(work(whole))

    cut = new_run(tmp_path)
    worker_events = work(cut)
    for event in worker_events:
        if isinstance(event, StepDone) and event.step == 7:
            worker_events.close()  # the worker is gone, in the middle of an interval
            break
    assert (cut.state().status, cut.state().checkpoint_step) == ("stopped", 6)
    list(work(cut))
    assert step_rows(cut) == step_rows(whole)
    assert weights(cut) == weights(whole)


def test_what_was_measured_at_the_start_stays_so_after_a_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(tmp_path, precision="auto")
    monkeypatch.setattr(
        "maquette.build.training.choose_precision", lambda wanted, _: wanted.replace("auto", "bf16")
    )
    for event in work(run):
        if isinstance(event, CheckpointSaved):
            break
    monkeypatch.setattr(
        "maquette.build.training.choose_precision", lambda wanted, _: wanted.replace("auto", "fp16")
    )
    list(work(run))
    started = [event for _, event in run.events() if isinstance(event, Started)]
    assert [event.precision for event in started] == ["bf16", "bf16"]


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals are POSIX's")
def test_a_second_signal_that_comes_too_late_spoils_nothing(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    with StopOnSignal() as stop:
        for event in work(run, stop=stop):
            if isinstance(event, StepDone) and event.step == 3:
                signal.raise_signal(signal.SIGTERM)
            if isinstance(event, Finished):
                signal.raise_signal(signal.SIGTERM)
    state = run.state()
    assert (state.status, state.step, state.checkpoint_step) == ("stopped", 3, 3)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals are POSIX's")
def test_a_second_signal_ends_at_once_without_a_checkpoint(tmp_path: Path) -> None:
    run = new_run(tmp_path, **SELDOM)
    with StopOnSignal() as stop, pytest.raises(KeyboardInterrupt):
        for event in work(run, stop=stop):
            if isinstance(event, StepDone) and event.step == 3:
                signal.raise_signal(signal.SIGTERM)
                signal.raise_signal(signal.SIGINT)
    state = run.state()
    assert (state.status, state.step, state.checkpoint_step) == ("stopped", 3, None)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals are POSIX's")
@pytest.mark.parametrize("signalled", [True, False])
def test_what_a_signal_breaks_is_stopped_and_has_not_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signalled: bool
) -> None:
    run = new_run(tmp_path)

    def half_imported(*_: object, **__: object) -> None:
        try:
            if signalled:
                signal.raise_signal(signal.SIGTERM)
        finally:
            raise AttributeError("partially initialized module")

    monkeypatch.setattr(build.Training, "__init__", half_imported)
    error = KeyboardInterrupt if signalled else AttributeError
    with StopOnSignal() as stop, pytest.raises(error):
        list(work(run, stop=stop))
    assert run.state().status == ("stopped" if signalled else "failed")


def test_retention_keeps_the_last_and_the_best(tmp_path: Path) -> None:
    run = new_run(tmp_path, steps=24, evaluate={"every": 6, "windows": 4})
    list(work(run))
    steps = [checkpoint.step for checkpoint in run.checkpoints()]
    assert steps[-1] == 24
    assert len(steps) <= 3
    assert run.checkpoint("best").step == run.state().best_step


def test_changed_data_is_refused(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    for event in work(run):
        if isinstance(event, CheckpointSaved):
            break
    text = tmp_path / "text.txt"
    text.write_text(text.read_text().replace("cat", "cow"))  # all counts stay as they are
    with pytest.raises(RunError, match=r"the data of \S+ has changed"):
        list(work(run))
    assert run.state().status == "failed"


def test_the_worker_module_runs_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = new_run(tmp_path)
    assert worker.main([str(run.path)]) == 0
    assert run.state().status == "completed"
    with pytest.raises(SystemExit, match="2"):
        worker.main([])
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["__init__", "events"])
def test_running_out_of_memory_is_told_to_people(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    run = new_run(tmp_path)

    def too_large(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: 51539607552 bytes")

    monkeypatch.setattr(build.Training, part, too_large)
    with pytest.raises(TrainingError, match="out of memory") as caught:
        list(work(run))
    assert "train.batch_size" in (caught.value.hint or "")
    assert run.state().status == "failed"


SELDOM: dict[str, Any] = {
    "evaluate": {"every": 6, "windows": 4},
    "sample": {"every": 12, "max_new_tokens": 2},
}


def extend_run(run: Run, after_step: int, more_steps: int, how: Any = None) -> None:
    longer = extend(read_blueprint(run), after_step=after_step, more_steps=more_steps, how=how)
    run.write_blueprint(serial.to_json(longer))


def copy_of(run: Run) -> Run:
    """The same run once more, in a folder of its own."""
    place = run.path.with_name(f"{run.id}-copy")
    shutil.copytree(run.path, place)
    return Run(place)


def train_until(run: Run, last: int) -> None:
    """Work on a run, and be gone after a step."""
    events = work(run)
    for event in events:
        if isinstance(event, StepDone) and event.step == last:
            events.close()
            break


# The last of 12 steps has a tenth of the peak, 0.001. Then come 20 more: stretched over 32 steps
# and without a warmup (12 steps have none), after 8 of them cosine has fallen by 20 / 32.
RATES = {
    "continue": {12: 1e-4, 20: 1e-4 + 9e-4 * (0.5 + 0.5 * math.cos(math.pi * 20 / 32)), 32: 1e-4},
    "rewarm": {12: 1e-4, 13: 4e-4, 14: 7e-4, 15: 1e-3, 32: 1e-4},
    "constant": {12: 1e-4, 13: 1e-4, 20: 1e-4, 32: 1e-4},
}


@pytest.mark.parametrize("how", RATES)
def test_an_extended_run_trains_at_the_rates_of_its_plan(tmp_path: Path, how: str) -> None:
    warmup = {"warmup_steps": 3 if how == "rewarm" else 0}
    run = new_run(tmp_path, schedule=warmup, learning_rate=1e-3, **SELDOM)
    list(work(run))
    before = step_rows(run)
    extend_run(run, 12, 20, how)
    events = list(work(run))
    assert events[-1] == Finished(32, "completed")
    assert step_rows(run)[:12] == before
    rates = {e.step: e.learning_rate for _, e in run.events() if isinstance(e, StepDone)}
    assert sorted(rates) == list(range(1, 33))
    factor = rate_factor(read_blueprint(run).train)
    assert rates == {step: 1e-3 * factor(step) for step in rates}
    assert {step: rates[step] for step in RATES[how]} == pytest.approx(RATES[how])
    state = run.state()
    assert (state.status, state.step, state.steps, state.checkpoint_step) == (
        "completed", 32, 32, 32,
    )  # fmt: skip


def test_a_run_extended_twice_and_cut_off_goes_on_as_if_nothing_had_happened(
    tmp_path: Path,
) -> None:
    whole = new_run(tmp_path, **SELDOM)
    list(work(whole))
    extend_run(whole, 12, 6)
    train_until(whole, 17)
    list(work(whole))
    extend_run(whole, 18, 6, "constant")
    cut = copy_of(whole)
    list(work(whole))
    for last in (19, 22):
        train_until(cut, last)
    list(work(cut))
    assert [step for step, _, _ in step_rows(whole)] == list(range(1, 25))
    assert step_rows(cut) == step_rows(whole)
    assert weights(cut) == weights(whole)


def test_going_back_before_an_extension_and_extending_from_there(tmp_path: Path) -> None:
    run = new_run(tmp_path, keep=9, **SELDOM)
    list(work(run))
    extend_run(run, 12, 6)
    list(work(run))
    extend_run(run, 8, 7, "constant")
    list(work(run, checkpoint=8))
    rates = [e.learning_rate for _, e in run.events() if isinstance(e, StepDone)]
    assert len(rates) == 15
    assert set(rates[7:]) == {rates[7]}
    assert run.state().steps == 15


TIRED: dict[str, Any] = {
    "learning_rate": 1e-12,  # so that nothing gets better
    "evaluate": {"every": 1, "windows": 4, "patience": 6},
}


def evaluations(run: Run) -> list[int]:
    return [e.step for _, e in run.events() if isinstance(e, Evaluated)]


def test_a_run_that_ended_early_has_its_patience_anew_when_it_is_extended(tmp_path: Path) -> None:
    run = new_run(tmp_path, **TIRED)
    assert list(work(run))[-1] == Finished(6, "early_stop")  # those of steps 1 to 6 are no better
    extend_run(run, 6, 20)
    assert read_blueprint(run).train.extensions[0].how == "continue"
    cut = copy_of(run)
    assert list(work(run))[-1] == Finished(12, "early_stop")
    for last in (7, 10):
        train_until(cut, last)
    assert list(work(cut))[-1] == Finished(12, "early_stop")
    assert evaluations(cut) == evaluations(run) == list(range(13))
    assert step_rows(cut) == step_rows(run)
    assert weights(cut) == weights(run)


def test_it_has_it_also_when_it_comes_by_the_old_end_again(tmp_path: Path) -> None:
    run = new_run(tmp_path, keep=9, **TIRED)
    list(work(run))
    extend_run(run, 6, 20)
    again = copy_of(run)
    list(work(run))
    assert list(work(again, checkpoint=4))[-1] == Finished(12, "early_stop")
    assert step_rows(again) == step_rows(run)
    assert weights(again) == weights(run)
