"""Start, stop and watch over the process that works on a run."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

from maquette.errors import RunError
from maquette.runs import durable
from maquette.runs.process import Process, is_held
from maquette.runs.state import ACTIVE
from maquette.runs.store import Run

_APPEAR_SECONDS = 30.0
_KILL_AFTER_SECONDS = 10.0
_LOOK_SECONDS = 0.05


def start_worker(run: Run, *arguments: str) -> None:
    """Start `python -m maquette.worker` on a run, in a session of its own.

    Returns once the worker holds the run's lock; what it prints goes to worker.log. It outlives
    this process and its terminal. Raises RunError, with its last words, if it ends before.
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
    deadline = time.monotonic() + _APPEAR_SECONDS
    while time.monotonic() < deadline:
        process = run.stored_state().process
        if process is not None and process.pid == worker.pid:
            worker.returncode = 0  # it is on its own from here: nothing to wait for, or to warn of
            return
        if worker.poll() is not None:
            break
        time.sleep(_LOOK_SECONDS)
    words = " / ".join(run.log_tail(3)) or "it said nothing"
    raise RunError(f"the worker of {run.id} did not start: {words}", hint=f"see {run.log_path}")


def stop(run: Run, *, now: bool = False, tick: Callable[[], None] = lambda: None) -> None:
    """End a run and wait until it has ended: after its step and a checkpoint, or `now` without.

    With `now`, a worker that doesn't end within ten seconds is killed. `tick` is called while
    waiting. Raises RunError if nobody works on it, or somebody on another machine does.
    """
    process = _worker_of(run)
    _signal(process, signal.SIGTERM)
    if now:
        _signal(process, signal.SIGINT)  # the second signal: end at once
    killed_at = time.monotonic() + _KILL_AFTER_SECONDS if now else float("inf")
    while process.lives() and is_held(run.lock_path):
        if time.monotonic() > killed_at:
            _signal(process, getattr(signal, "SIGKILL", signal.SIGTERM))
        tick()
        time.sleep(_LOOK_SECONDS)
    if run.state().status == "lost":  # killed, or it ended before it could hear
        _write_stopped(run)


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


def _write_stopped(run: Run) -> None:
    with run.lock():
        state = run.stored_state()
        if state.status in ACTIVE:
            stopped = state.changed("stopped", time.time())
            durable.write_json(run.state_path, stopped.to_json())
