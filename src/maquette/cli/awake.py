"""Keep the machine awake for as long as this process needs it."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

from maquette.cli import common

_WINDOWS_STAY = 0x80000000 | 0x1 | 0x2  # continuous, system, display


def helper() -> list[str] | None:
    """The system's own command that holds a wake lock until this process ends; None if none."""
    own = str(os.getpid())
    if sys.platform == "darwin" and shutil.which("caffeinate"):
        return ["caffeinate", "-di", "-w", own]
    if shutil.which("systemd-inhibit"):
        return [
            "systemd-inhibit",
            "--what=idle:sleep",
            "--who=maquette",
            "--why=a show is on",
            "tail",
            f"--pid={own}",
            "-f",
            "/dev/null",
        ]
    return None


@contextlib.contextmanager
def awake() -> Iterator[None]:
    """Hold a wake lock inside; where there is no way to, say so and go on."""
    if sys.platform == "win32":
        import ctypes

        ctypes.windll.kernel32.SetThreadExecutionState(_WINDOWS_STAY)
        try:
            yield
        finally:
            ctypes.windll.kernel32.SetThreadExecutionState(0x80000000)
        return
    command = helper()
    if command is None:
        common.say("can't keep this machine awake: neither systemd-inhibit nor caffeinate is here")
        yield
        return
    silent = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=silent, stdout=silent, stderr=silent) as holder:
        try:
            yield
        finally:
            holder.terminate()
