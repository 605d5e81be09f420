import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import psutil
import pytest

from maquette.augmentation import Crop
from maquette.data.image.decoders import CHUNK, Decoders, Task
from maquette.errors import DataError
from tests.data.image.making import file_bytes, picture

S = 12


def tasks(count: int) -> list[Task]:
    """Every seventh is broken; some are crops."""
    made: list[Task] = []
    for i in range(count):
        data = b"nothing" if i % 7 == 3 else file_bytes(picture(i, 20, 16))
        made.append((data, Crop(0.5, 1.0, 0.3, 0.9) if i % 2 else None))
    return made


@pytest.fixture
def two() -> Iterator[Decoders]:
    with Decoders(2) as decoders:
        yield decoders


def test_the_number_of_processes_changes_nothing(two: Decoders) -> None:
    work = tasks(3 * CHUNK + 5)
    with Decoders(0) as here:
        pixels, broken = here.decode(work, S)
    assert sorted(broken) == [i for i in range(len(work)) if i % 7 == 3]
    for _ in range(2):  # the second time the processes are there already
        found = two.decode(work, S)
        assert np.array_equal(found[0], pixels)
        assert found[1] == broken


def test_a_stream_keeps_its_order(two: Decoders) -> None:
    parts = [tasks(n) for n in (5, 1, 9, 2, 7, 3, 4, 8, 6)]
    with Decoders(0) as here:
        expected = list(here.stream(parts, S))
    for (pixels, broken), (found, found_broken) in zip(expected, two.stream(parts, S), strict=True):
        assert np.array_equal(pixels, found)
        assert broken == found_broken


def test_closing_ends_the_processes() -> None:
    decoders = Decoders(2)
    decoders.decode(tasks(2 * CHUNK), S)
    started = [process.pid for process in decoders._started]
    assert started
    decoders.close()
    decoders.close()
    assert not any(psutil.pid_exists(pid) for pid in started)


def test_a_process_that_dies_is_told(two: Decoders) -> None:
    two.decode(tasks(1), S)
    (process,) = two._started
    process.kill()
    with pytest.raises(DataError, match=r"ended by itself \(exit code -9\)") as caught:
        two.decode(tasks(1), S)
    assert caught.value.hint


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_no_process_outlives_a_killed_parent() -> None:
    code = (
        "import sys, time\n"
        "from maquette.data.image.decoders import Decoders\n"
        "d = Decoders(1)\n"
        "d.decode([(b'x', None)], 8)\n"
        "print(d._started[0].pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert psutil.pid_exists(child)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    for _ in range(200):
        if not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie":
            return
        time.sleep(0.05)
    pytest.fail("the decoding process is still there")
