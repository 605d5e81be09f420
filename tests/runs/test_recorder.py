"""The worker's side: what it writes while it lives, and how it ends."""

import dataclasses
import errno
import json
import math
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from maquette.errors import RunError, TrainingError
from maquette.events import CheckpointDue, Evaluated, Finished, Note, Started, StepDone
from maquette.runs import durable
from maquette.runs.process import Process, boot_id
from maquette.runs.recorder import Pace, Recorder
from maquette.runs.state import Change, State, Status, Telemetry
from maquette.runs.store import Run
from tests.runs.conftest import step, train


def test_a_whole_run(run: Run) -> None:
    train(run)
    state = run.state()
    assert state.status == "completed"
    assert [change.status for change in state.history] == ["queued", "running", "completed"]
    assert (state.step, state.steps, state.best_step, state.checkpoint_step) == (6, 6, 4, 6)
    assert state.eta_seconds is None
    assert state.process is not None
    assert state.process.pid == os.getpid()
    kinds = [json.loads(line)["event"] for line in run.metrics_path.read_text().splitlines()]
    assert kinds[:4] == ["started", "step", "step", "evaluated"]
    assert kinds[-1] == "finished"
    assert (run.samples_path / "step-00000002.txt").read_text() == "Once upon a time\n"
    assert [type(event).kind for _, event in run.events()] == kinds
    assert "completed" in run.log_tail()[-1]


def test_the_state_while_it_runs(run: Run) -> None:
    with Recorder(run) as recorder:
        recorder.begin(steps=10, tokens_per_step=64)
        recorder.record(Started(0, 10, 1, "cpu", "float32", False))
        recorder.record(step(1))
        recorder.record(CheckpointDue(1, False))
        recorder.record(Note(1, "compiling pays for itself"))
        recorder.record(Evaluated(1, "validation", 800.0, math.inf, 1.0, None, True, 0.1))
        state = run.state()
        assert state.status == "running"
        assert state.tokens_per_second == pytest.approx(6400)
        assert state.eta_seconds is not None
        recorder.record(Finished(1, "early_stop"))
    assert run.state().status == "completed"
    events = [event for _, event in run.events()]
    assert [event.kind for event in events] == ["started", "step", "note", "evaluated", "finished"]
    evaluated = events[3]
    assert isinstance(evaluated, Evaluated)
    assert evaluated.perplexity is None  # as it is written down
    assert "NaN" not in run.metrics_path.read_text()
    assert any("compiling pays" in line for line in run.log_tail())


def test_one_run_has_one_worker(run: Run) -> None:
    with (
        Recorder(run),
        pytest.raises(RunError, match=f"worked on by process {os.getpid()}"),
        Recorder(Run(run.path)),
    ):
        pass


def failing(run: Run, error: BaseException) -> Run:
    with Recorder(run) as recorder:
        recorder.begin(steps=9, tokens_per_step=1)
        recorder.record(step(1))
        raise error


class OutOfMemoryError(RuntimeError):
    pass


@pytest.mark.parametrize(
    ("error", "message", "hint"),
    [
        (TrainingError("loss is nan", hint="lower the rate"), "loss is nan", "lower the rate"),
        (MemoryError(), "out of memory", "batch_size"),
        (OutOfMemoryError("CUDA out of memory.\nmore"), "CUDA out of memory", "batch_size"),
        (KeyError("x"), "KeyError: 'x'", "worker.log"),
    ],
)
def test_a_failure_is_kept(run: Run, error: Exception, message: str, hint: str) -> None:
    with pytest.raises(type(error)):
        failing(run, error)
    state = run.state()
    assert state.status == "failed"
    assert state.error is not None
    assert message in state.error.message
    assert hint in (state.error.hint or "")
    assert state.step == 1
    assert not isinstance(error, KeyError) or "Traceback" in "\n".join(run.log_tail(50))


def test_an_interruption_stops(run: Run) -> None:
    with pytest.raises(KeyboardInterrupt):
        failing(run, KeyboardInterrupt())
    assert run.state().status == "stopped"


def test_going_on_after_a_step(run: Run) -> None:
    train(run, last=6, finish=False)
    assert run.state().status == "stopped"
    train(run, first=5, last=8)
    state = run.state()
    assert state.status == "completed"
    assert [c.status for c in state.history] == [
        "queued", "running", "stopped", "running", "completed",
    ]  # fmt: skip
    done = [event.step for _, event in run.events() if isinstance(event, StepDone)]
    assert done == [1, 2, 3, 4, 5, 6, 7, 8]
    assert (run.path / "metrics-aside.jsonl").exists()


def test_going_back_forgets_later_losses(run: Run) -> None:
    train(run, last=6)
    with Recorder(run) as recorder:
        recorder.begin(steps=9, tokens_per_step=1, after_step=2)
        assert recorder.state.best_step == 2
        assert recorder.state.train_loss == pytest.approx(4.8)
        assert recorder.state.step == 2


def test_a_full_disk_ends_the_run_with_its_own_name(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def fill_the_disk() -> None:
        with Recorder(run) as recorder:
            recorder.begin(steps=9, tokens_per_step=1)
            recorder.record(step(1))
            monkeypatch.setattr(os, "write", full)
            recorder.record(step(2))

    with pytest.raises(RunError, match="no space left"):
        fill_the_disk()
    monkeypatch.undo()
    assert run.state().status == "lost"
    assert [event.step for _, event in run.events()] == [1]


@pytest.mark.skipif(os.name == "nt", reason="Windows doesn't tell the blocks of a file")
@pytest.mark.parametrize(("words", "status"), [("no", "failed"), ("no" * 65536, "lost")])
def test_where_no_other_file_has_room_the_failure_is_written_over_the_state(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: str, status: Status
) -> None:
    real = os.open

    def full(path: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_EXCL:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, flags, mode)

    with pytest.raises(TrainingError), Recorder(run) as recorder:
        recorder.begin(steps=9, tokens_per_step=64)
        monkeypatch.setattr(os, "open", full)
        raise TrainingError(words)
    monkeypatch.undo()
    json.loads(run.state_path.read_text())
    state = run.state()
    assert state.status == status
    assert status == "lost" or (state.error is not None and state.error.message == words)


def test_what_a_killed_writer_left_is_cleared(run: Run) -> None:
    left: list[Path] = [run.path / ".tmp-state.json-1-ab", run.checkpoints_path / ".tmp-step-1-ab"]
    left[0].write_text("{")
    left[1].mkdir()
    train(run)
    assert not any(path.exists() for path in left)


WORK = """
import sys, time
from pathlib import Path
from maquette.events import Started, StepDone
from maquette.runs.recorder import Recorder
from maquette.runs.store import Run
with Recorder(Run(Path(sys.argv[1]))) as recorder:
    recorder.begin(steps=9, tokens_per_step=1)
    recorder.record(Started(0, 9, 1, "cpu", "float32", False))
    recorder.record(StepDone(1, 0.1, 1, 2.0, 1e-3, 1.0, 0.1))
    print("at work", flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the folder in /proc")
@pytest.mark.parametrize("how", ["goes on", "finishes", "stops"])
def test_a_run_that_is_moved_under_its_worker_ends_where_it_is_now(run: Run, how: str) -> None:
    place = run.path.with_name("moved")
    recorder = Recorder(run).__enter__()
    recorder.begin(steps=9, tokens_per_step=64)
    recorder.record(step(1))
    run.path.rename(place)
    error = {"goes on": OSError(2, "gone"), "finishes": None, "stops": KeyboardInterrupt()}[how]
    if how == "stops":
        recorder.__exit__(KeyboardInterrupt, error, None)
    else:
        with pytest.raises(RunError, match=f"was moved to {place}, and so its worker"):
            recorder.__exit__(type(error) if error else None, error, None)
    assert not run.path.exists()
    state = Run(place).state()
    assert state.status == ("stopped" if how == "stops" else "failed")
    assert how == "stops" or (state.error is not None and str(place) in state.error.message)


def test_a_run_that_was_deleted_under_its_worker_stays_deleted(run: Run) -> None:
    recorder = Recorder(run).__enter__()
    shutil.rmtree(run.path)
    with pytest.raises(RunError, match=f"{run.id} is gone: its folder was deleted"):
        recorder.__exit__(None, None, None)
    assert not run.path.exists()
    with pytest.raises(RunError, match="can't lock"):
        Recorder(run).__enter__()
    assert not run.path.exists()


def test_a_killed_worker_leaves_a_lost_run_that_goes_on(run: Run) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-c", WORK, str(run.path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert worker.stdout is not None
    assert worker.stdout.readline() == b"at work\n"
    state = run.state()
    assert state.status == "running"
    assert state.process is not None
    assert state.process.pid == worker.pid
    with pytest.raises(RunError, match=f"worked on by process {worker.pid} on "):
        run.remove()
    worker.kill()
    worker.communicate()
    lost = run.state()
    assert lost.status == "lost"
    assert [change.status for change in lost.history] == ["queued", "running"]
    train(run)
    done = run.state()
    assert [change.status for change in done.history] == [
        "queued", "running", "lost", "running", "completed",
    ]  # fmt: skip
    assert done.history[2].at == lost.heartbeat_at
    assert [e.step for _, e in run.events() if isinstance(e, StepDone)] == [1, 2, 3, 4, 5, 6]


def left_behind(run: Run, status: Status, *, process: bool = True) -> None:
    """What a worker has written that is gone: at 1000 to 1030 seconds."""
    gone = Process(2**22 + 1, "0", boot_id(), socket.gethostname())
    changes = (Change("queued", 990.0), Change(status, 1000.0))
    state = State(status, changes, gone if process else None, heartbeat_at=1030.0)
    durable.write_json(run.state_path, state.to_json())


@pytest.mark.parametrize("status", ["running", "queued"])
def test_the_next_worker_writes_down_when_the_last_one_was_lost(run: Run, status: Status) -> None:
    left_behind(run, status)
    assert run.state().status == "lost"
    with Recorder(run) as recorder:
        changes = recorder.state.history
        assert [c.status for c in changes] == ["queued", status, "lost", "running"]
        assert changes[2].at == 1030.0
        worked = 30.0 if status == "running" else 0.0
        assert recorder.state.elapsed_seconds(changes[3].at + 5.0) == worked + 5.0
        assert recorder.state.kills == 1
    assert run.state().elapsed_seconds(1e12) == worked + changes_apart(run)


def changes_apart(run: Run) -> float:
    """How long the last worker ran."""
    *_, running, stopped = run.state().history
    return stopped.at - running.at


@pytest.mark.parametrize("status", ["stopped", "failed", "completed"])
def test_a_worker_that_ended_by_itself_was_not_lost(run: Run, status: Status) -> None:
    left_behind(run, status)
    with Recorder(run) as recorder:
        assert [c.status for c in recorder.state.history] == ["queued", status, "running"]


def test_a_run_that_had_no_worker_yet_has_lost_none(run: Run) -> None:
    left_behind(run, "queued", process=False)
    with Recorder(run) as recorder:
        assert [c.status for c in recorder.state.history] == ["queued", "queued", "running"]


def test_in_the_queue_and_out_of_it(run: Run) -> None:
    with Recorder(run, queued=True) as recorder:
        state = run.state()
        assert state.status == "queued"
        assert state.process is not None
        assert state.process.pid == os.getpid()
        recorder.leave_queue()
        assert run.state().status == "running"
        assert run.state().elapsed_seconds(recorder.state.history[-1].at + 3.0) == 3.0


def test_telemetry_is_in_the_state_of_a_run_at_work(run: Run) -> None:
    figures = Telemetry(cpu_percent=190.0, memory_bytes=123, gpu_note="no GPU")
    with Recorder(run) as recorder:
        recorder.begin(steps=10, tokens_per_step=64, telemetry=lambda: figures)
        recorder.record(Started(0, 10, 1, "cpu", "float32", False))
        assert run.state().telemetry == figures
        assert json.loads(run.state_path.read_text())["telemetry"]["cpu_percent"] == 190.0
    with Recorder(run) as recorder:
        assert run.state().telemetry is None  # what another process took is no news of this one


def test_the_state_of_another_version_is_read_as_it_is(run: Run) -> None:
    train(run)
    known = run.state()
    older = json.loads(run.state_path.read_text())
    newer = {**older, "mood": "sunny"}
    del older["telemetry"]
    run.metrics_path.unlink()  # nothing is left to rebuild it from
    for content in (older, newer):
        run.state_path.write_text(json.dumps(content))
        assert run.state() == dataclasses.replace(known, telemetry=None)


def test_pace() -> None:
    pace = Pace(steps=100, tokens_per_step=1000)
    assert pace.tokens_per_second is None
    assert pace.eta_seconds is None
    clock = 50.0
    for number in range(1, 11):
        seconds = 30.0 if number == 1 else 0.5  # the first step compiles
        clock += seconds + 0.1
        pace.add(StepDone(number, 0.0, 1000, 1.0, 1e-3, 1.0, seconds), clock)
    assert pace.tokens_per_second == pytest.approx(2000)
    assert pace.eta_seconds == pytest.approx(90 * (0.5 + 0.09))
