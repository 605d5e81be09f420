"""Worker processes that decode images, so that training doesn't wait for them."""

import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO

import numpy as np

from maquette.augmentation import Crop
from maquette.data.image.decoder_process import decode_all, receive, send
from maquette.data.image.decoding import Encoded, Pixels
from maquette.errors import DataError

Task = tuple[Encoded, Crop | None]
Decoded = tuple[Pixels, dict[int, str]]
CHUNK = 32
"""Images that a process is given at a time."""
MOST_WORKERS = 16


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Decoders:
    """So many processes that decode; with none, it is done here. The results are the same.

    A process ends when its pipe does, so none outlives whoever started it, not even after a kill.
    """

    def __init__(self, workers: int | None = None) -> None:
        """`workers` is one for each core, at most MOST_WORKERS, unless it is given."""
        self.workers = min(usable_cores(), MOST_WORKERS) if workers is None else workers
        self._threads = ThreadPoolExecutor(max(1, self.workers), thread_name_prefix="decode")
        self._free: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()
        self._started: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()

    def decode(self, tasks: Sequence[Task], size: int) -> Decoded:
        """All of them, (N, size, size, 3), and why those that are broken are. Raises DataError."""
        if self.workers == 0:
            return decode_all(list(tasks), size)
        chunk = max(1, min(CHUNK, -(-len(tasks) // self.workers)))
        parts = [tasks[i : i + chunk] for i in range(0, len(tasks), chunk)]
        results = list(self._threads.map(lambda part: self._ask(part, size), parts))
        broken = {
            i * chunk + row: why for i, (_, b) in enumerate(results) for row, why in b.items()
        }
        return np.concatenate([pixels for pixels, _ in results]), broken

    def stream(self, parts: Iterable[Sequence[Task]], size: int) -> Iterator[Decoded]:
        """Part after part, in order, while the next ones are being decoded. Raises DataError."""
        if self.workers == 0:
            for part in parts:
                yield decode_all(list(part), size)
            return
        ahead: list[Future[Decoded]] = []
        for part in parts:
            ahead.append(self._threads.submit(self._ask, part, size))
            if len(ahead) > 2 * self.workers:
                yield ahead.pop(0).result()
        for future in ahead:
            yield future.result()

    def close(self) -> None:
        """End the processes; a second call does nothing."""
        self._threads.shutdown(cancel_futures=True)
        for process in self._started:
            with contextlib.suppress(OSError):
                _stdin(process).close()
        for process in self._started:
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        self._started.clear()

    def __enter__(self) -> "Decoders":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, part: Sequence[Task], size: int) -> Decoded:
        process = self._process()
        try:
            send(_stdin(process), (list(part), size))
            assert process.stdout is not None
            result: Decoded = receive(process.stdout)
        except (EOFError, OSError) as error:
            code = process.wait()
            raise DataError(
                f"a process that decodes images ended by itself (exit code {code})",
                hint="is the memory used up? a smaller image_size or batch_size takes less",
            ) from error
        self._free.put(process)
        return result

    def _process(self) -> subprocess.Popen[bytes]:
        try:
            return self._free.get_nowait()
        except queue.Empty:
            # A session of its own: Ctrl-C in the terminal is for us, who will close the pipe.
            process = subprocess.Popen(
                [sys.executable, "-m", "maquette.data.image.decoder_process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
            with self._lock:
                self._started.append(process)
            return process


def _stdin(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdin is not None
    return process.stdin
