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
from maquette.runs.process import Process, WorkerLock, boot_id, is_held, process_of, read_holder
from maquette.runs.state import ACTIVE, Failure, State, Status
from maquette.runs.store import Checkpoint, Run

_APPEAR_SECONDS = 30.0  # for a worker that was started to take its run over
_BEGIN_SECONDS = 2.0  # for whoever made a run to start one
_KILL_AFTER_SECONDS = 10.0
_LOOK_SECONDS = 0.05


def spawn(run: Run, *arguments: str, handles: tuple[int, ...] = ()) -> "subprocess.Popen[bytes]":
    """A process that runs `python -m maquette.worker` on a run, in a session of its own.

    What it prints goes to worker.log; it inherits the `handles`. Raises RunError.
    """
    command = [sys.executable, "-m", "maquette.worker", str(run.path), *arguments]
    with durable.os_errors("write", run.log_path), run.log_path.open("ab") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=handles,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )


def start_worker(run: Run, *arguments: str, lock: WorkerLock | None = None) -> None:
    """Start a worker on a run that outlives this process and its terminal.

    Returns once the worker has taken the run over. `lock` is the run's, if it is taken already.
    Raises RunError: somebody else works on the run; or, with its last words, that the worker ended
    before; then a run that had no worker yet is `failed`. Whatever interrupts this ends the worker.
    """
    with lock or run.lock() as lock:
        begin = [*arguments, "--lock", str(lock.handle)]
        worker = spawn(run, *begin, handles=(lock.handle,))
        try:
            process = process_of(worker.pid)
            lock.name(process)
            if _appears(run, worker, process):
                worker.returncode = 0  # it is on its own: nothing to wait for, or to warn of
                return
        except BaseException:
            _end(worker)
            raise
        if not run.path.is_dir():
            raise run.gone(lock)
        words = " / ".join(run.log_tail(3)) or "it said nothing"
        what = f"the worker of {run.id} did not start: {words}"
        error = RunError(what, hint=f"see {run.log_path}")
        if run.stored_state().process is None:
            _note_end(run, "failed", Failure(error.message, error.hint))
        raise error


def _appears(run: Run, worker: "subprocess.Popen[bytes]", process: Process) -> bool:
    """Wait until the worker has taken the run over; False if it ended before, or never does.

    Raises RunError if all it could take over was to write down why it failed.
    """
    deadline = time.monotonic() + _APPEAR_SECONDS
    while time.monotonic() < deadline:
        state = run.stored_state()
        there = state.process
        if there is not None and (there.pid, there.started) == (process.pid, process.started):
            if state.status == "failed" and state.error is not None:  # and it never said running
                raise RunError(f"{run.id} failed: {state.error.message}", hint=state.error.hint)
            return True
        if worker.poll() is not None:
            return False
        time.sleep(_LOOK_SECONDS)
    worker.kill()
    worker.wait()
    return False


def _end(worker: "subprocess.Popen[bytes]") -> None:
    """End a worker that has only just been started."""
    worker.terminate()
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.wait(_KILL_AFTER_SECONDS)
    finally:
        worker.kill()
        worker.wait()


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
        f"{run.id} {what}: {who} works on it", hint=f"`maquette stop {run.name}` ends it first"
    )


def why_lost(state: State) -> str:
    """What can be told of the worker of a lost run, which is gone without a word."""
    if state.process is None:
        return "no worker ever took it up"
    if state.process.elsewhere():
        return f"nothing comes from {state.process.host} any more"
    if state.process.boot != boot_id():
        return "the machine was restarted since"
    if state.process.lives():  # only its lock is gone
        return f"{state.process} has let go of it"
    return "its process was killed, perhaps for lack of memory"


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


def way_on(run: Run) -> str:
    """What can be done with a run that ended before its end."""
    delete = f"`maquette rm {run.name}` deletes it"
    if run.meta.kind == "simulation":
        return f"{delete}; a simulation can't go on"
    return f"`maquette resume {run.name}` goes on with it, {delete}"


def _worker_of(run: Run) -> Process:
    """The live process that works on a run. Raises RunError."""
    begin = time.monotonic()
    while (state := run.state()).process is None or state.status not in ACTIVE:
        if state.status not in ACTIVE:
            raise RunError(
                f"{run.id} is not running: it is {state.status}",
                hint=way_on(run) if state.status in ("lost", "failed", "stopped") else None,
            )
        patience = _APPEAR_SECONDS if is_held(run.lock_path) else _BEGIN_SECONDS
        if time.monotonic() - begin > patience:
            who = read_holder(run.lock_path) or "whoever made it"
            raise RunError(
                f"{run.id} has no worker yet: {who} has not begun on it",
                hint="end that, and nothing will",
            )
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
        _note_end(run, status, error)


def _note_end(run: Run, status: Status, error: Failure | None = None) -> None:
    """The same for whoever holds the run's lock."""
    state = run.stored_state()
    if state.status in ACTIVE:
        ended = state.changed(status, time.time())
        ended = dataclasses.replace(ended, error=error, eta_seconds=None)
        durable.write_json(run.state_path, ended.to_json())
