"""Saves checkpoints while the training goes on."""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from maquette.events import CheckpointDue, CheckpointSaved
from maquette.runs.store import Checkpoint, Run

_NICER_BY = 10  # by less, and it holds up the steps; by more, and it is kept waiting for many


class Saver:
    """Saves one checkpoint at a time; leaving its context waits for the one that is on its way.

    The files are written before `begin` returns, so that training may go on from there. A thread
    reads them back for their checksums, waits for the disk, gives the checkpoint its name, and
    removes those that aren't kept. Where the steps are computed `on_cpu`, all of whose cores they
    need and wait for, the checksums are taken by all cores at once before `begin` returns.
    """

    def __init__(
        self, run: Run, save: Callable[[Path], None], *, keep: int, on_cpu: bool = False
    ) -> None:
        self._run = run
        self._save = save
        self._keep = keep
        self._on_cpu = on_cpu
        self._thread = ThreadPoolExecutor(1, initializer=_make_way)
        self._on_its_way: Future[CheckpointSaved] | None = None

    def begin(self, due: CheckpointDue, *, lasting: bool = True) -> None:
        """Save the training as it is now; `saved` says when that is done. Raises RunError.

        One that isn't `lasting` survives kills, but perhaps not a power cut.
        """
        assert self._on_its_way is None, "one at a time"
        begin = time.perf_counter()
        commit = self._run.begin_checkpoint(
            due.step, self._save, best=due.best, lasting=lasting, measure_now=self._on_cpu
        )
        stood_still = time.perf_counter() - begin
        self._on_its_way = self._thread.submit(self._finish, due, commit, stood_still)

    def saved(self, *, wait: bool = False) -> CheckpointSaved | None:
        """The checkpoint that got onto the disk since the last call, or None.

        `wait`: for the one on its way. Raises RunError where it couldn't be saved.
        """
        future = self._on_its_way
        if future is None or not (wait or future.done()):
            return None
        try:
            return future.result()
        finally:
            if future.done():  # Ctrl-C ends the waiting, not the saving
                self._on_its_way = None

    def __enter__(self) -> "Saver":
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()

    def _finish(
        self, due: CheckpointDue, commit: Callable[[], Checkpoint], stood_still: float
    ) -> CheckpointSaved:
        begin = time.thread_time()
        saved = commit()
        self._run.prune(self._keep)
        seconds = stood_still + time.thread_time() - begin
        return CheckpointSaved(step=due.step, best=due.best, bytes=saved.bytes, seconds=seconds)


def _make_way() -> None:
    """Let the steps have the processor first, where a thread has a niceness of its own."""
    if sys.platform == "linux":  # elsewhere a thread's id may be another process's
        nice = os.getpriority(os.PRIO_PROCESS, 0) + _NICER_BY
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)
