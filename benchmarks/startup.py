"""Start-up of the commands that must answer at once."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from maquette.runs.store import Store

_ROUNDS = 9


def main(arguments: list[str] | None = None) -> None:
    """Print the median seconds of each command, and of an interpreter that does nothing."""
    del arguments
    maquette = str(Path(sys.executable).with_name("maquette"))
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(3):
            Store(folder).create("benchmark", spec_text="")
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "maquette --help": [maquette, "--help"],
            "maquette ps": [maquette, "ps", "--runs-dir", folder],
            "maquette status": [maquette, "status", "latest", "--runs-dir", folder],
        }
        table = Table(title=f"Start-up (medians of {_ROUNDS})")
        table.add_column("command")
        table.add_column("seconds", justify="right")
        for name, command in commands.items():
            table.add_row(name, f"{statistics.median(_seconds(command)):.3f}")
        Console(width=100).print(table)


def _seconds(command: list[str]) -> list[float]:
    environment = {**os.environ, "COLUMNS": "100"}
    times = []
    for _ in range(_ROUNDS):
        begin = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, env=environment)
        times.append(time.perf_counter() - begin)
    return times


if __name__ == "__main__":
    main()
