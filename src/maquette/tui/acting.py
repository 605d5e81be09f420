"""Acting on runs: what is done here is what the command line does, for it is what does it.

A command runs in a process of its own, so that nothing holds the screen up, torch stays out of
this process, and what was begun comes to its end when the screen is closed.
"""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command said, and whether it did what it should."""

    command: tuple[str, ...]
    done: bool
    said: str
    printed: str = ""
    """What it wrote to stdout."""


def run_command(arguments: Sequence[str]) -> Outcome:
    """Run `maquette` with these arguments, and wait for it; for a thread beside the screen."""
    try:
        process = subprocess.run(
            [sys.executable, "-m", "maquette", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            start_new_session=True,
            check=False,
        )
    except OSError as error:
        return Outcome(tuple(arguments), False, str(error))
    text = process.stderr or process.stdout
    said = text.decode("utf-8", "replace").strip()
    printed = process.stdout.decode("utf-8", "replace").strip()
    return Outcome(tuple(arguments), process.returncode == 0, said, printed)
