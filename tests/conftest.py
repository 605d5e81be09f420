"""For all tests: how they share a machine, and which of them are tried again."""

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# One thread a process, since two processes that spin on two cores crawl.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Hundreds of processes import the same modules, which are compiled once, whatever the shell says.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Their files lie in memory where there is room: they are synced many thousand times, which on a
# busy disk takes longer than all the rest, and shows nothing where no power is cut.
MEMORY = Path("/dev/shm")
if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 4 << 30:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

# A shell that starts the tests in its background has them ignore Ctrl-C, and so all they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says how busy the machine is, and is no test's business.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

OUTSIDE = {"browser", "pseudo_terminal"}
"""Fixtures behind which a large program that isn't ours takes its own time."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Try tests through a browser or a terminal again before they fail, and say so at the end.

    On a busy machine now and then a key or a click of theirs is lost on its way. Nothing else is
    tried again: a fault of durability, resume or arithmetic is one even if it shows but once.
    """
    for item in items:
        if OUTSIDE & {*getattr(item, "fixturenames", ())}:
            item.add_marker(pytest.mark.flaky(reruns=2))
