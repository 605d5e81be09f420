"""What the terminal UI takes: to open a long run, and to look at 200 runs of which 5 are live."""

import contextlib
import dataclasses
import json
import multiprocessing
import multiprocessing.synchronize
import os
import pty
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.watch import write_run
from maquette.events import StepDone, to_row
from maquette.runs.process import this_process
from maquette.runs.state import Change, State
from maquette.runs.store import Run, Store

_RUNS, _LIVE, _LINES = 200, 5, 2_000_000
_STEPS_A_SECOND = 10
_SECONDS = 20.0


def main(arguments: list[str] | None = None) -> None:
    """Print both; the argument is how many seconds to look at the 200 runs."""
    seconds = float(arguments[0]) if arguments else _SECONDS
    table = Table(title="the terminal UI, 100 x 30", show_header=False)
    with tempfile.TemporaryDirectory() as folder:
        run = write_run(Store(Path(folder) / "long"), _LINES)
        found = [_until_drawn(run) for _ in range(3)]
        size = run.metrics_path.stat().st_size / 2**20
        what = f"a run of {_LINES:,} steps ({size:.0f} MiB): seconds to its curves"
        table.add_row(what, f"{statistics.median(at for at, _ in found):.2f}")
        table.add_row(
            "  of that, of the processor", f"{statistics.median(c for _, c in found):.2f}"
        )
        store = Store(Path(folder) / "many")
        _fill(store)
        for name, keys in (("the list", b""), ("a live run of them", b"\r")):
            share, memory = _looking(store, keys, seconds)
            what = f"{name}, {_RUNS} runs of which {_LIVE} are live: of a core"
            table.add_row(what, f"{share:.1%}")
            table.add_row("  memory", f"{memory / 2**20:.0f} MiB")
    Console(width=100).print(table)


class _Terminal:
    """`maquette` with these arguments on a terminal; what it draws is read away."""

    def __init__(self, *arguments: str) -> None:
        self._master, slave = pty.openpty()
        command = [sys.executable, "-m", "maquette", *arguments]
        environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"}
        self.process = psutil.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            start_new_session=True,
        )
        os.close(slave)
        self.seen = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while part := os.read(self._master, 65536):
                self.seen += part

    def press(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + 120
        while text.encode() not in self.seen:
            assert time.monotonic() < deadline, f"{text} never came"
            time.sleep(0.002)

    def cpu_seconds(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()
        os.close(self._master)


def _until_drawn(run: Run) -> tuple[float, float]:
    """Seconds from the start of the process to the curves of a run, and those of the processor."""
    begin = time.perf_counter()
    terminal = _Terminal("watch", str(run.path))
    terminal.press(b"v")  # then it stays; and what is drawn is another quantity
    terminal.wait_for("┬")
    seconds = time.perf_counter() - begin
    took = terminal.cpu_seconds()
    terminal.end()
    return seconds, took


def _looking(store: Store, keys: bytes, seconds: float) -> tuple[float, float]:
    """Share of a core while it looks on, and bytes of memory at its end."""
    stop = multiprocessing.Event()
    worker = multiprocessing.Process(target=_train, args=(str(store.root), stop))
    worker.start()
    terminal = _Terminal("tui", "--runs-dir", str(store.root))
    try:
        terminal.wait_for(f"{_LIVE} running")
        terminal.press(keys)
        time.sleep(3.0)  # what opening takes isn't what looking on takes
        begin, before = time.perf_counter(), terminal.cpu_seconds()
        time.sleep(seconds)
        share = (terminal.cpu_seconds() - before) / (time.perf_counter() - begin)
        return share, float(terminal.process.memory_info().rss)
    finally:
        terminal.end()
        stop.set()
        worker.join()


def _fill(store: Store) -> None:
    """Runs of a thousand steps: copies of one that is completed."""
    first = write_run(store, 1000)
    created = json.loads((first.path / "meta.json").read_text())
    for i in range(_RUNS - 1):
        copy = store.root / f"copy-calm-otter-{i}"
        shutil.copytree(first.path, copy)
        meta = {**created, "created_at": created["created_at"] - 1000.0 - i}
        (copy / "meta.json").write_text(json.dumps(meta))
    for run in store.list()[:_LIVE]:
        state = run.stored_state()
        changed = dataclasses.replace(
            state, status="running", history=(Change("running", time.time()),), steps=10**6
        )
        run.state_path.write_text(json.dumps(changed.to_json()))


def _train(root: str, stop: multiprocessing.synchronize.Event) -> None:
    """Be the worker of five runs: a step each, ten times a second."""
    runs = Store(root).list()[:_LIVE]
    with contextlib.ExitStack() as stack:
        for run in runs:
            stack.enter_context(run.lock())
        step = 1000
        while not stop.wait(1 / _STEPS_A_SECOND):
            step += 1
            for run in runs:
                loss = 2.0 + random.random() / 10
                event = StepDone(step, step / 1000, step * 4096, loss, 1e-3, 0.5, 0.1)
                row = {"at": time.time(), **to_row(event)}
                with run.metrics_path.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                if step % _STEPS_A_SECOND == 0:
                    _tell(run, step, loss)


def _tell(run: Run, step: int, loss: float) -> None:
    state = run.stored_state()
    changed: State = dataclasses.replace(
        state,
        process=this_process(),
        step=step,
        train_loss=loss,
        heartbeat_at=time.time(),
        tokens_per_second=41_000.0,
        eta_seconds=1000.0,
    )
    new = run.state_path.with_suffix(".new")
    new.write_text(json.dumps(changed.to_json()))
    new.replace(run.state_path)


if __name__ == "__main__":
    main(sys.argv[1:])
