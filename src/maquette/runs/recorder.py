"""How a worker writes down its run: the lock, the events, the state, the samples, the end."""

import contextlib
import dataclasses
import errno
import re
import time
import traceback
from collections import deque
from collections.abc import Callable
from types import TracebackType

from maquette.errors import MaquetteError, RunError
from maquette.events import (
    CheckpointDue,
    CheckpointSaved,
    Evaluated,
    Event,
    Finished,
    Note,
    Sampled,
    Started,
    StepDone,
    to_row,
)
from maquette.runs import durable
from maquette.runs.process import Process, WorkerLock
from maquette.runs.state import ACTIVE, Change, Failure, State, Status, Telemetry, rebuild
from maquette.runs.store import Run

_STATE_EVERY_SECONDS = 1.0
_MEMORY_HINT = "try a smaller train.batch_size, a larger train.accumulation, or a smaller model"


class Pace:
    """Speed and remaining time from the steps so far."""

    def __init__(self, steps: int, tokens_per_step: int) -> None:
        self.steps = steps
        self.tokens_per_step = tokens_per_step
        self._recent: deque[float] = deque(maxlen=64)
        self._begin: float | None = None
        self._now = 0.0
        self._in_steps = 0.0
        self._done = 0
        self._step = 0

    def add(self, event: StepDone, now: float) -> None:
        """Take in one step, which ended at `now`: seconds, by any one clock."""
        if self._begin is None:
            self._begin = now - event.step_seconds
        self._recent.append(event.step_seconds)
        self._in_steps += event.step_seconds
        self._done += 1
        self._step = event.step
        self._now = now

    @property
    def step_seconds(self) -> float | None:
        """Median of the last steps: what a step takes now, whatever the first ones took."""
        if not self._recent:
            return None
        ordered = sorted(self._recent)
        return ordered[len(ordered) // 2]

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens trained on in a second of stepping."""
        seconds = self.step_seconds
        return self.tokens_per_step / seconds if seconds else None

    @property
    def eta_seconds(self) -> float | None:
        """Time to the last step, with evaluations, samples and checkpoints at the rate so far."""
        seconds = self.step_seconds
        if seconds is None or self._begin is None:
            return None
        between = max(0.0, self._now - self._begin - self._in_steps) / self._done
        return max(0, self.steps - self._step) * (seconds + between)


class Recorder:
    """The one writer of a run, for the life of its worker.

    Use it as a context manager around the loop. Entering takes the run's lock (RunError names
    another holder), clears what a killed writer left, and sets the run `running`, or `queued` until
    `leave_queue`. `begin` takes the run back to where training goes on, then `record` takes every
    event. Leaving sets `completed` or `stopped` as the Finished event said, `stopped` after Ctrl-C,
    and `failed` with the cause after any other exception.
    """

    def __init__(self, run: Run, *, queued: bool = False, lock: WorkerLock | None = None) -> None:
        """`lock`: the run's, if it is taken already."""
        self.run = run
        self.pace = Pace(0, 0)
        self._queued = queued
        self._lock = lock or run.lock()
        self._state = State("queued")
        self._rows: durable.Appender | None = None
        self._telemetry: Callable[[], Telemetry] | None = None
        self._finished: Finished | None = None
        self._written_at = 0.0

    @property
    def state(self) -> State:
        """The state as of the last event."""
        return self._state

    def __enter__(self) -> "Recorder":
        process = self._lock.acquire()
        try:
            self._take_over(process)
        except BaseException as error:
            if self._state.process is None:  # nothing is known of the run yet
                self._lock.release()
            else:
                self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def _take_over(self, process: Process) -> None:
        state = self.run.stored_state()
        if not self.run.path.is_dir():
            raise self.run.gone(self._lock)
        if state.status in ACTIVE and state.process is not None:
            seen_at = state.heartbeat_at or time.time()
            history = (*state.history, Change("lost", seen_at))
            state = dataclasses.replace(state, history=history)
        self._state = dataclasses.replace(
            state, process=process, tokens_per_second=None, telemetry=None, error=None
        )
        for folder in (self.run.path, self.run.samples_path, self.run.checkpoints_path):
            durable.make_folder(folder)
            durable.clear_temporaries(folder)
        self._become("queued" if self._queued else "running")

    def leave_queue(self) -> None:
        """The device is free: the run is `running` from now on."""
        self._become("running")

    def tell(self, doing: str) -> None:
        """Write down what is done before the training begins, and that it is. Raises RunError."""
        new = doing != self._state.doing
        if new or time.monotonic() - self._written_at >= _STATE_EVERY_SECONDS:
            self._state = dataclasses.replace(self._state, doing=doing)
            self._write_state(sync=False)

    def begin(
        self,
        *,
        steps: int,
        tokens_per_step: int,
        after_step: int = 0,
        telemetry: Callable[[], Telemetry] | None = None,
    ) -> None:
        """Take the run back to `after_step`, and be ready for the events that follow it.

        `telemetry` is read about once a second. Raises RunError.
        """
        self.run.rewind(after_step or -1)  # from the start: nothing of an earlier try stays
        if self._state.step > after_step:
            created_at = self.run.meta.created_at
            known = rebuild(self.run.events(), created_at=created_at, alive=False)
            kept = dataclasses.replace(known, status="running", history=self._state.history)
            self._state = dataclasses.replace(kept, process=self._state.process)
        self._state = dataclasses.replace(self._state, step=after_step, steps=steps)
        self.pace = Pace(steps, tokens_per_step)
        self._telemetry = telemetry
        self._rows = durable.Appender(self.run.metrics_path)

    def record(self, event: Event) -> None:
        """Write down what happened. Raises RunError when the disk refuses."""
        assert self._rows is not None, "begin() comes first"
        if isinstance(event, CheckpointDue):
            # Not a fact, but a moment: what the checkpoint will stand on goes to the disk first.
            self._rows.flush(sync=True)
            return
        self._rows.append({"at": round(time.time(), 3), **to_row(event)})
        self._state = self._state.after(event)
        match event:
            case StepDone():
                self.pace.add(event, time.monotonic())
                if time.monotonic() - self._written_at >= _STATE_EVERY_SECONDS:
                    self._write_state(sync=False)
            case Sampled():
                with durable.os_errors("create", self.run.samples_path):
                    self.run.samples_path.mkdir(exist_ok=True)
                name = f"step-{event.step:08d}.txt"
                text = f"{event.prompt}{event.text}\n"
                durable.write_text(self.run.samples_path / name, text, sync=False)
            case Note():
                with contextlib.suppress(RunError):  # it isn't worth the training
                    self.log(event.text)
            case Finished():
                self._finished = event
            case Started() | Evaluated() | CheckpointSaved():
                self._write_state(sync=False)

    def log(self, text: str) -> None:
        """Add a line with the time to worker.log."""
        with durable.os_errors("write", self.run.log_path), self.run.log_path.open("a") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        gone = None
        if not self.run.path.is_dir():
            gone = self.run.gone(self._lock)
            self.run = Run(self._lock.folder() or self.run.path)  # moved: its end belongs there
        try:
            if gone is not None and (error is None or isinstance(error, Exception)):
                with contextlib.suppress(RunError):
                    self._fail(gone)
                raise gone from error
            self._end(error)
        finally:
            if self._rows is not None:
                self._rows.close()
            self._lock.release()

    def _end(self, error: BaseException | None) -> None:
        try:
            if isinstance(error, Exception):
                self._fail(error)
            elif error is not None or self._finished is None:
                self._become("stopped")
            else:
                stopped = self._finished.reason == "stopped"
                self._become("stopped" if stopped else "completed")
        except RunError as refused:
            if error is None:
                with contextlib.suppress(RunError):
                    self._fail(refused)
                raise
            # else the first error is the one to hear of; the run will show as lost

    def _fail(self, error: Exception) -> None:
        failure = failure_of(error)
        self._state = dataclasses.replace(self._state, error=failure)
        self._become("failed")
        if not isinstance(error, MaquetteError):
            self.log("".join(traceback.format_exception(error)).rstrip())

    def _become(self, status: Status) -> None:
        before = self._state
        last = self._state.history[-1].status if self._state.history else None
        if status == "queued" == last:
            self._state = dataclasses.replace(self._state, heartbeat_at=time.time())  # no news
        else:
            self._state = self._state.changed(status, time.time())
        if status == "running":
            doing = "starting" if self.run.blueprint_path.exists() else "preparing data"
            self._state = dataclasses.replace(self._state, doing=doing)
        else:
            self._state = dataclasses.replace(self._state, doing=None, eta_seconds=None)
        try:
            self._write_state(sync=True)
        except RunError:
            self._state = before
            raise
        error = self._state.error
        with contextlib.suppress(RunError):  # state.json says it already
            self.log(status if error is None else f"{status}: {error.message}")

    def _write_state(self, *, sync: bool) -> None:
        if self._state.status == "running":
            self._state = dataclasses.replace(
                self._state,
                heartbeat_at=time.time(),
                tokens_per_second=self.pace.tokens_per_second,
                eta_seconds=self.pace.eta_seconds,
                telemetry=self._telemetry() if self._telemetry else None,
            )
        try:
            durable.write_json(self.run.state_path, self._state.to_json(), sync=sync)
        except RunError:
            if self._state.status != "failed":
                raise
            durable.overwrite_json(self.run.state_path, self._state.to_json())
        self._written_at = time.monotonic()


def failure_of(error: Exception) -> Failure:
    """What to tell a person about the exception that ended a run."""
    if isinstance(error, MaquetteError):
        return Failure(error.message, error.hint)
    text = str(error).strip()
    first = text.splitlines()[0] if text else "no message"
    if is_out_of_memory(error):
        # On a CPU torch's message begins with a place in its source; the number says more.
        if size := re.search(r"tried to allocate (\d+) bytes", text):
            first = f"tried to allocate {int(size[1]):,} bytes"
        return Failure(f"out of memory: {first}" if text else "out of memory", _MEMORY_HINT)
    return Failure(f"{type(error).__name__}: {first}", "worker.log has the whole story")


def is_out_of_memory(error: Exception) -> bool:
    """Whether Python, or torch on a GPU or a CPU, ran out of memory."""
    # torch's own class is known by its name: this module must not import torch
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    refused = isinstance(error, OSError) and error.errno == errno.ENOMEM
    words = ("can't allocate memory", "std::bad_alloc")
    return named or refused or any(word in str(error) for word in words)
