"""The worker: carries a run from where it stands to its end, writing everything down."""

import contextlib
import gc
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from maquette.data.cache import cache_folder
from maquette.errors import MaquetteError
from maquette.events import Event
from maquette.runs.process import WorkerLock
from maquette.runs.queue import Ticket
from maquette.runs.recorder import Recorder
from maquette.runs.store import Run

if TYPE_CHECKING:
    from maquette.worker.signals import StopOnSignal

_LOOK_SECONDS = 0.2


def work(
    run: Run,
    *,
    stop: "StopOnSignal | None" = None,
    queue: bool = False,
    checkpoint: int | str = "latest",
    lock: WorkerLock | None = None,
    waiting: Callable[[int], None] = lambda _: None,
) -> Generator[Event]:
    """Train a run from a checkpoint, or from the start, to its end.

    With `queue`, wait until the device is free and nobody came earlier; `waiting` is told how many
    are ahead whenever that changes. `lock` is the run's, if it is taken already. Yields each event
    after it was recorded. Raises MaquetteError, with the run `failed`.
    """
    # The place in the queue is taken before the run shows its worker: who starts two runs one after
    # the other finds them in that order.
    with (
        lock or run.lock() as lock,
        _ticket(run, lock) as ticket,
        Recorder(run, queued=queue, lock=lock) as recorder,
        _as_interruption(stop),
    ):
        if queue:
            _wait(ticket, waiting)
        ticket.work()
        if queue:
            recorder.leave_queue()
        # Importing torch takes over a second. The lock comes first, so that others see at once
        # that the run has its worker, and a worker in the queue takes next to no memory.
        with _uncollected():
            from maquette.worker.training import carry_on

        yield from carry_on(recorder, stop=stop, which=checkpoint)


def queue_folder() -> Path:
    """Where the workers of this machine queue for its devices."""
    import socket

    return cache_folder().parent / "queue" / socket.gethostname()


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """What is made inside stays: looking through it for garbage is a tenth of what importing takes,
    and a pause in the training whenever it is done again."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextlib.contextmanager
def _as_interruption(stop: "StopOnSignal | None") -> Iterator[None]:
    """What an interruption has broken is no failure: one amid an import may come out of it as any
    error, at once or when what is missing is needed."""
    try:
        yield
    except Exception:
        if stop is not None and stop.interrupted:
            raise KeyboardInterrupt from None
        raise


@contextlib.contextmanager
def _ticket(run: Run, lock: WorkerLock) -> Iterator[Ticket]:
    """A place in the queue; where there is none to be had, the run has failed for that.

    A signal that comes meanwhile stops the run as later ones do.
    """
    with contextlib.ExitStack() as stack:
        try:
            ticket = stack.enter_context(Ticket(queue_folder(), run.meta.device))
        except (MaquetteError, KeyboardInterrupt):
            with Recorder(run, queued=True, lock=lock):
                raise
        yield ticket


def _wait(ticket: Ticket, waiting: Callable[[int], None]) -> None:
    told = 0
    while ahead := ticket.ahead():
        if ahead != told:
            waiting(ahead)
            told = ahead
        time.sleep(_LOOK_SECONDS)
