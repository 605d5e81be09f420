"""How soon `watch` shows a run of a million steps."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from maquette.events import Evaluated, Event, Finished, Sampled, Started, StepDone, to_row
from maquette.runs.state import Change, State
from maquette.runs.store import Run, Store

_ROUNDS = 5
_BEGIN_AT = 1.76e9


def main(arguments: list[str] | None = None) -> None:
    """Print the median seconds from the start of the process to the first drawn panel."""
    counts = [int(argument) for argument in arguments or ()] or [1_000, 100_000, 1_000_000]
    table = Table(title=f"watch, to the first drawn panel (medians of {_ROUNDS})")
    for column in ("steps", "metrics.jsonl", "seconds"):
        table.add_column(column, justify="right")
    with tempfile.TemporaryDirectory() as folder:
        for steps in counts:
            run = write_run(Store(Path(folder) / str(steps)), steps)
            size = run.metrics_path.stat().st_size
            seconds = statistics.median(seconds_to_panel(run) for _ in range(_ROUNDS))
            table.add_row(f"{steps:,}", f"{size / 2**20:.1f} MiB", f"{seconds:.2f}")
    Console(width=100).print(table)


def write_run(store: Store, steps: int) -> Run:
    """A completed run with the metrics of so many steps."""
    run = store.create("benchmark", spec_text="")
    with run.metrics_path.open("w", encoding="utf-8") as file:
        for at, event in _events(steps):
            file.write(json.dumps({"at": round(at, 3), **to_row(event)}) + "\n")
    history = (Change("running", _BEGIN_AT), Change("completed", at))
    state = State("completed", history, step=steps, steps=steps, tokens_per_second=2e5)
    run.state_path.write_text(json.dumps(state.to_json()))
    return run


def _events(steps: int) -> Iterator[tuple[float, Event]]:
    yield _BEGIN_AT, Started(0, steps, 10_240_000, "cpu", "bf16", True)
    at = _BEGIN_AT
    for step in range(1, steps + 1):
        at += 0.02
        loss = 1.5 + 9 / (1 + step / 500) + 0.2 * ((step * 7919) % 1000 / 1000 - 0.5)
        rate = 1e-3 * (1 - step / (steps + 1))
        gradient = 0.5 + step % 13 / 17
        yield at, StepDone(step, step / 1000, step * 4096, loss, rate, gradient, 0.0199)
        if step % 500 == 0 or step == steps:
            yield at, Evaluated(step, "validation", loss + 0.1, 5.0, 2.0, None, False, 0.5)
        if step % 2000 == 0:
            yield at, Sampled(step, "Once", " upon a time there was a cat." * 20)
    yield at, Finished(steps, "completed")


def seconds_to_panel(run: Run) -> float:
    """Seconds from the start of `maquette watch` on a terminal until its panel is there."""
    import pty

    master, slave = pty.openpty()
    command = [str(Path(sys.executable).with_name("maquette")), "watch", str(run.path)]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"}
    begin = time.perf_counter()
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment) as p:
        os.close(slave)
        seen = b""
        seconds = None
        with contextlib.suppress(OSError):  # the terminal's last user is gone
            while part := os.read(master, 65536):
                seen += part
                if seconds is None and "✓ completed".encode() in seen and "┬".encode() in seen:
                    seconds = time.perf_counter() - begin
    os.close(master)
    assert p.returncode == 0, seen.decode(errors="replace")
    assert seconds is not None, seen.decode(errors="replace")
    return seconds


if __name__ == "__main__":
    main(sys.argv[1:])
