"""Start, stop and watch over the process that works on a run."""

import contextlib
import dataclasses
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from maquette.errors import CheckpointError, RunError
from maquette.runs import durable
from maquette.runs.process import Process, is_held, start_time
from maquette.runs.state import ACTIVE, Failure, State, Status
from maquette.runs.store import Checkpoint, Run

_APPEAR_SECONDS = 30.0
_KILL_AFTER_SECONDS = 10.0
_LOOK_SECONDS = 0.05


def start_worker(run: Run, *arguments: str) -> None:
    """Start `python -m maquette.worker` on a run, in a session of its own.

    Returns once the worker holds the run's lock; what it prints goes to worker.log. It outlives
    this process and its terminal. Raises RunError, with its last words, if it ends before; then
    a run that had no worker yet is `failed`.
    """
    command = [sys.executable, "-m", "maquette.worker", str(run.path), *arguments]
    with durable.os_errors("write", run.log_path), run.log_path.open("ab") as log:
        worker = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    identity = (worker.pid, start_time(worker.pid))
    deadline = time.monotonic() + _APPEAR_SECONDS
    while time.monotonic() < deadline:
        process = run.stored_state().process
        if process is not None and (process.pid, process.started) == identity:
            worker.returncode = 0  # it is on its own from here: nothing to wait for, or to warn of
            return
        if worker.poll() is not None:
            break
        time.sleep(_LOOK_SECONDS)
    else:
        worker.kill()
        worker.wait()
    words = " / ".join(run.log_tail(3)) or "it said nothing"
    error = RunError(f"the worker of {run.id} did not start: {words}", hint=f"see {run.log_path}")
    if run.stored_state().process is None:
        _write_end(run, "failed", Failure(error.message, error.hint))
    raise error


def starting_point(run: Run, which: int | str) -> Checkpoint | None:
    """The checkpoint to go on from, every byte of it checked; None to begin at the start.

    That is where the latest of a run begins that never saved one. Raises CheckpointError.
    """
    try:
        return run.checkpoint(which)
    except CheckpointError:
        if which == "latest" and run.stored_state().checkpoint_step is None:
            return None
        raise


def refuse_live(run: Run) -> State:
    """The state of a run that nobody works on. Raises RunError, which names who does."""
    state = run.state()
    if state.status not in ACTIVE:
        return state
    who = state.process or "a worker that is starting"
    what = "is waiting for a device" if state.status == "queued" else "is running"
    raise RunError(
        f"{run.id} {what}: {who} works on it", hint=f"`maquette stop {run.id}` ends it first"
    )


@dataclass(frozen=True)
class Ending:
    """A worker that was asked to end. `kill_at` is a time of the monotonic clock, or infinite."""

    run: Run
    process: Process
    kill_at: float

    def wait(self, *, tick: Callable[[], None] = lambda: None) -> State:
        """Wait until it has ended; returns the run's state then. `tick` is called while waiting."""
        while self.process.lives() and is_held(self.run.lock_path):
            if time.monotonic() > self.kill_at:
                _signal(self.process, getattr(signal, "SIGKILL", signal.SIGTERM))
            tick()
            time.sleep(_LOOK_SECONDS)
        if self.run.state().status == "lost":  # killed, or it ended before it could hear
            _write_end(self.run, "stopped")
        return self.run.state()


def ask_to_stop(run: Run, *, now: bool = False) -> Ending:
    """Ask a run's worker to end: after its step and a checkpoint, or `now` without.

    With `now`, one that doesn't end within ten seconds is killed by whoever waits for it. Raises
    RunError if nobody works on the run, or somebody on another machine does.
    """
    process = _worker_of(run)
    _signal(process, signal.SIGTERM)
    if now:
        _signal(process, signal.SIGINT)  # the second signal: end at once
    return Ending(run, process, time.monotonic() + _KILL_AFTER_SECONDS if now else math.inf)


def stop(run: Run, *, now: bool = False, tick: Callable[[], None] = lambda: None) -> State:
    """Ask a run to stop and wait until it has; returns its state then. Raises RunError."""
    return ask_to_stop(run, now=now).wait(tick=tick)


def _worker_of(run: Run) -> Process:
    """The live process that works on a run. Raises RunError."""
    deadline = time.monotonic() + _APPEAR_SECONDS
    while True:
        state = run.state()
        if state.status not in ACTIVE:
            raise RunError(
                f"{run.id} is not running: it is {state.status}",
                hint=f"`maquette resume {run.id}` goes on with it"
                if state.status in ("lost", "failed", "stopped")
                else None,
            )
        if state.process is not None:
            break
        if time.monotonic() > deadline:
            raise RunError(f"{run.id} has no worker")
        time.sleep(_LOOK_SECONDS)
    if state.process.elsewhere():
        raise RunError(
            f"{run.id} is being worked on by {state.process}", hint="stop it on that machine"
        )
    return state.process


def _signal(process: Process, number: signal.Signals) -> None:
    """Send a signal to this very process, never to another that has its id by now."""
    with contextlib.suppress(ProcessLookupError):
        if not hasattr(os, "pidfd_open"):
            if process.lives():
                os.kill(process.pid, number)
            return
        handle = os.pidfd_open(process.pid)
        try:
            if process.lives():  # then the handle is of it, whatever happens to the id
                signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)


def _write_end(run: Run, status: Status, error: Failure | None = None) -> None:
    """Write down the end of a run whose worker couldn't."""
    with run.lock():
        state = run.stored_state()
        if state.status in ACTIVE:
            ended = state.changed(status, time.time())
            ended = dataclasses.replace(ended, error=error, eta_seconds=None)
            durable.write_json(run.state_path, ended.to_json())
