"""What befalls a worker's process: signals, kills, a closed terminal, pipes nobody reads."""

import contextlib
import fcntl
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maquette.errors import RunError
from maquette.events import Started, StepDone
from maquette.runs import control
from maquette.runs.store import Run
from tests.faults.conftest import BRIEF
from tests.faults.processes import (
    MAQUETTE,
    ForkServer,
    Worker,
    assert_readable,
    command,
    computed,
    session_members,
    until,
)

LONG: dict[str, Any] = {
    "steps": 100_000,
    "checkpoint": {"every": 5, "keep": 2},
    "evaluate": {"every": 50_000, "windows": 2},
    "sample": {"every": 50_000, "max_new_tokens": 4},
}
SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]


@pytest.fixture
def long(server: ForkServer, tmp_path: Path) -> Run:
    """A run that doesn't end by itself."""
    return server.create(tmp_path / "runs", **LONG)


def steps_done(run: Run) -> int:
    return sum(isinstance(event, StepDone) for _, event in run.events())


def at_work(server: ForkServer, run: Run, **fault: Any) -> Worker:
    """A worker in the middle of its training."""
    before = beginning(run)
    worker = server.start(run, **fault)
    until(lambda: beginning(run) != before and steps_done(run) >= 7, "a seventh step")
    return worker


def beginning(run: Run) -> float | None:
    """When the last worker began to train; one that begins at the start forgets those before it."""
    found = [at for at, event in run.events() if isinstance(event, Started)]
    return found[-1] if found else None


def assert_stopped(worker: Worker, run: Run, *, codes: tuple[int, ...] = (0,)) -> None:
    """It ended as it was asked to, said so, and left nobody behind."""
    assert worker.wait() in codes, worker.words
    assert worker.words == ""
    state = run.state()
    assert (state.status, state.error) == ("stopped", None)
    assert state.history[-1].status == "stopped"
    assert session_members(worker.pid) == []
    assert_readable(run)


@pytest.mark.parametrize("number", SIGNALS)
def test_one_signal_ends_after_the_step_with_a_checkpoint(
    server: ForkServer, long: Run, number: signal.Signals
) -> None:
    worker = at_work(server, long)
    worker.signal(number)
    assert_stopped(worker, long)
    state = long.state()
    assert long.checkpoint("latest").step == state.step == steps_done(long)


@pytest.mark.parametrize(
    "numbers",
    [
        [signal.SIGTERM, signal.SIGTERM],
        [signal.SIGINT, signal.SIGINT],
        [signal.SIGTERM, signal.SIGINT],
        [signal.SIGHUP, signal.SIGINT, signal.SIGTERM] * 4,
    ],
    ids=["terms", "interrupts", "stop-now", "storm"],
)
def test_further_signals_end_at_once_but_in_good_order(
    server: ForkServer, long: Run, numbers: list[signal.Signals]
) -> None:
    worker = at_work(server, long)
    for number in numbers:
        worker.signal(number)
        time.sleep(0.001)
    # When it has written its end, the last ones may find a process that listens no more.
    assert_stopped(worker, long, codes=(0, *(-number for number in numbers)))


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_in_the_queue(
    server: ForkServer, long: Run, tmp_path: Path, number: signal.Signals
) -> None:
    first = at_work(server, long)
    waits = server.create(tmp_path / "runs", **BRIEF)
    second = server.start(waits, "--queue")
    until(lambda: waits.state().process is not None, "a place in the queue")
    assert waits.state().status == "queued"
    second.signal(number)
    assert_stopped(second, waits)
    assert long.state().status == "running"
    first.kill()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_the_data_is_prepared(
    server: ForkServer, tmp_path: Path, number: signal.Signals
) -> None:
    run = server.create(tmp_path / "runs", prepared=False, **BRIEF)
    with server.data_held(run):
        worker = server.start(run)
        until(lambda: run.state().status == "running", "a worker")
        time.sleep(0.1)
        worker.signal(number)
        assert_stopped(worker, run)
    assert not run.blueprint_path.exists()
    server.finish(run)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_in_the_first_step(server: ForkServer, long: Run, number: signal.Signals) -> None:
    worker = server.start(long)
    until(lambda: any(True for _ in long.events()), "the first event")
    worker.signal(number)
    assert_stopped(worker, long)
    assert long.checkpoint("latest").step == long.state().step >= 1


def test_a_signal_at_any_moment(
    server: ForkServer, brief: Run, undisturbed: dict[str, Any]
) -> None:
    """Also in the moments between; a run that is stopped again and again is bit-exact."""
    for delay_ms in range(5, 200, 15):
        before = brief.stored_state()
        worker = server.start(brief)
        time.sleep(delay_ms / 1000)
        worker.signal(signal.SIGTERM)
        code = worker.wait()
        assert worker.words == ""
        after = brief.stored_state()
        # The first milliseconds and the last are Python's own, when no worker listens.
        own = after == before or after.status == "completed"
        assert code == 0 or (code == -signal.SIGTERM and own), (delay_ms, after)
        assert own or after.status == "stopped", (delay_ms, after)
        if after.status == "completed":
            break
    if brief.state().status != "completed":
        server.finish(brief)
    assert computed(brief) == undisturbed


def test_the_second_of_two_workers_ends_at_once(server: ForkServer, long: Run) -> None:
    first = at_work(server, long)
    second = server.start(long)
    assert second.wait() == 1
    assert f"{long.id} is being worked on by process {first.pid} on " in second.words
    assert "Traceback" not in second.words
    assert long.state().status == "running"
    done = steps_done(long)
    until(lambda: steps_done(long) > done, "another step of the first worker")
    first.kill()


def test_a_recycled_process_id_is_never_signalled(server: ForkServer, long: Run) -> None:
    at_work(server, long).kill()
    with contextlib.closing(Bystander()) as bystander:
        state = json.loads(long.state_path.read_text("utf-8"))
        state["process"]["pid"] = bystander.pid
        long.state_path.write_text(json.dumps(state), encoding="utf-8")
        long.lock_path.write_text(json.dumps(state["process"]), encoding="utf-8")
        assert long.state().status == "lost"
        for now in (False, True):
            with pytest.raises(RunError, match="not running: it is lost"):
                control.stop(long, now=now)
        with long.lock():  # even when somebody else holds the lock
            assert long.state().status == "lost"
            with pytest.raises(RunError, match="not running: it is lost"):
                control.stop(long)
        assert bystander.lives()
        at_work(server, long).kill()
        assert bystander.lives()


class Bystander:
    """A process that nothing is to happen to."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(["sleep", "600"])
        self.pid = self._process.pid

    def lives(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def test_a_kill_while_others_read(server: ForkServer, long: Run) -> None:
    worker = at_work(server, long)
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with command(*MAQUETTE, "watch", long.path, folder=server.folder, **options) as watch:
        assert watch.stdout is not None
        assert watch.stdout.readline().startswith(long.id)
        assert status(server, long) == ("running", True)
        worker.kill()
        assert long.state().status == "lost"
        assert status(server, long) == ("lost", False)
        _, words = watch.communicate(timeout=60)
        assert watch.returncode == 1
        assert f"{long.id} is lost" in words
        assert "Traceback" not in words
        assert session_members(watch.pid) == []
    assert session_members(worker.pid) == []
    at_work(server, long).kill()
    statuses = [change.status for change in long.state().history]
    assert statuses == ["queued", "running", "lost", "running"]


def status(server: ForkServer, run: Run) -> tuple[str, bool]:
    """What the command says: status, and whether the worker lives."""
    options = {"stdout": subprocess.PIPE}
    with command(
        *MAQUETTE, "status", run.path, "--json", folder=server.folder, **options
    ) as process:
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0
    value = json.loads(said)
    return value["status"], value["alive"]


@pytest.mark.parametrize("every", [1, 50, 100_000], ids=["saving", "between", "never"])
def test_a_run_deleted_under_its_worker_stays_deleted(
    server: ForkServer, tmp_path: Path, every: int
) -> None:
    run = server.create(tmp_path / "runs", **{**LONG, "checkpoint": {"every": every, "keep": 2}})
    worker = at_work(server, run)
    while run.path.exists():  # the worker goes on writing while it is being deleted
        shutil.rmtree(run.path, ignore_errors=True)
    assert worker.wait() == 1
    path = re.escape(str(run.path))
    whole = rf"error: {run.id} is gone: its folder was deleted or moved\n  {path}\n"
    half = rf"error: can't \w+ {path}/\S+: no such file or directory\n  the folder is gone; .*\n"
    assert re.fullmatch(f"{whole}|{half}", worker.words)
    assert not run.path.exists()
    assert session_members(worker.pid) == []


def test_a_clock_set_back_an_hour(
    server: ForkServer, brief: Run, undisturbed: dict[str, Any], long: Run
) -> None:
    worker = server.start(brief, clock=(30, -3600.0))
    assert worker.wait() == 0, worker.words
    state = brief.state()
    assert state.status == "completed"
    assert [change.status for change in state.history] == ["queued", "running", "completed"]
    assert state.history[1].at - state.history[2].at > 3000, "the clock was set back"
    assert state.elapsed_seconds(time.time()) >= 0
    assert computed(brief) == undisturbed

    worker = at_work(server, long, clock=(10, -3600.0))
    state = until_heartbeat_before(long, time.time() - 3000)
    assert state.status == "running"
    assert state.eta_seconds is not None
    assert state.eta_seconds >= 0
    for now in (time.time(), time.time() - 3600):
        assert state.elapsed_seconds(now) >= 0
    worker.signal(signal.SIGTERM)
    assert_stopped(worker, long)


def until_heartbeat_before(run: Run, moment: float) -> Any:
    until(lambda: (run.state().heartbeat_at or moment) < moment, "a heartbeat by the new clock")
    return run.state()


def test_a_run_from_the_future_does_not_wait_for_its_worker_for_hours(
    server: ForkServer, long: Run
) -> None:
    meta = json.loads((long.path / "meta.json").read_text("utf-8"))
    meta["created_at"] += 3600
    maker = json.loads(long.lock_path.read_text("utf-8"))
    long.lock_path.write_text(json.dumps({**maker, "started": "1"}), encoding="utf-8")
    (long.path / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
    assert Run(long.path).state().status == "lost"


def test_out_of_memory_fails_with_a_hint(server: ForkServer, tmp_path: Path) -> None:
    run = server.create(tmp_path / "runs", **{**BRIEF, "batch_size": 16384})
    worker = server.start(run, memory_bytes=200 << 20)
    assert worker.wait() == 1
    state = run.state()
    assert state.status == "failed"
    assert state.error is not None
    assert "train.batch_size" in (state.error.hint or "")
    assert re.fullmatch(r"out of memory: tried to allocate [\d,]+ bytes", state.error.message)
    assert worker.words == f"error: {state.error.message}\n  {state.error.hint}\n"


def test_nobody_reads_what_a_training_says(server: ForkServer, brief: Run, tmp_path: Path) -> None:
    """Pipes that are full from the start hold nothing up."""
    spec = spec_file(brief, tmp_path)
    with full_pipe() as (out, out_end), full_pipe() as (_, err_end):
        arguments = [str(spec), "--device", "cpu", "--runs-dir", str(tmp_path / "here")]
        with command(
            *MAQUETTE, "train", *arguments, folder=server.folder, stdout=out_end, stderr=err_end
        ) as process:
            until(lambda: found(tmp_path / "here", "completed"), "the end of the training")
            drain(out)  # the id of the run is data: it waits for its reader
            assert process.wait(60) == 0
            assert session_members(process.pid) == []


def test_a_terminal_that_is_closed_stops_the_run(server: ForkServer, long: Run) -> None:
    spec = spec_file(long, server.folder)
    runs = long.path.parent.parent / "here"
    arguments: list[str | Path] = [*MAQUETTE, "train", spec, "--device", "cpu", "--runs-dir", runs]
    pid, terminal = pty.fork()
    if pid == 0:
        server.become(arguments)
    try:
        said = read_until(terminal, lambda: found(runs, "running", steps=7))
        os.close(terminal)
        _, code = os.waitpid(pid, 0)
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    run = Run(next(runs.iterdir()))
    state = run.state()
    assert (state.status, state.error) == ("stopped", None)
    assert run.checkpoint("latest").step == state.step == steps_done(run)
    assert "Traceback" not in said + run.log_path.read_text("utf-8")
    # The id can't be printed any more, or else it is the signal.
    assert os.waitstatus_to_exitcode(code) in (1, 128 + signal.SIGHUP)
    assert session_members(pid) == []


def spec_file(run: Run, folder: Path) -> Path:
    """The run's spec as a file."""
    path = folder / "spec.yaml"
    path.write_text(json.dumps(run.meta.spec), encoding="utf-8")
    return path


def found(runs: Path, status: str, steps: int = 0) -> bool:
    """Whether there is a run of this status in the folder."""
    paths = [path for path in runs.glob("*") if not path.name.startswith(".")]
    return any(Run(p).state().status == status and steps_done(Run(p)) >= steps for p in paths)


@contextlib.contextmanager
def full_pipe() -> Iterator[tuple[int, int]]:
    """Both ends of a pipe that not one more byte goes into."""
    out, end = os.pipe()
    flags = fcntl.fcntl(end, fcntl.F_GETFL)
    fcntl.fcntl(end, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(end, b"x")
    fcntl.fcntl(end, fcntl.F_SETFL, flags)
    try:
        yield out, end
    finally:
        os.close(out)
        os.close(end)


def drain(pipe: int) -> None:
    """Read what is in a pipe."""
    os.set_blocking(pipe, False)
    with contextlib.suppress(BlockingIOError):
        while os.read(pipe, 65536):
            pass


def read_until(terminal: int, condition: Any) -> str:
    """What comes from a terminal until the condition holds."""
    os.set_blocking(terminal, False)
    said = b""

    def look() -> bool:
        nonlocal said
        with contextlib.suppress(BlockingIOError):
            said += os.read(terminal, 65536)
        return bool(condition())

    until(look, "what was waited for at the terminal")
    return said.decode("utf-8", "replace")
