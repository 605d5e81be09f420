"""Messages to pipes and terminals that nobody reads."""

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from maquette.cli import unhurried as module
from maquette.cli.unhurried import unhurried
from maquette.runs.store import Store
from tests.cli.test_mistakes import write_spec

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no select for pipes")


def fill(handle: int) -> None:
    """Write until nothing more goes in."""
    os.set_blocking(handle, False)
    for size in (4096, 1):
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(handle, b"x" * size)
    os.set_blocking(handle, True)


@pytest.fixture(params=["pipe", "terminal"])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """Where it is read, and where it is written."""
    if request.param == "pipe":
        reading, writing = os.pipe()
    else:
        tty = pytest.importorskip("tty", reason="this system has no terminals")
        reading, writing = os.openpty()
        tty.setraw(writing)
    yield reading, writing
    os.close(reading)
    os.close(writing)


def message(i: int) -> str:
    return f"message {i} " + "." * 1000 + "\n"


def test_messages_are_dropped_as_wholes_and_come_again(
    ends: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = ends
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 0.01)
    with os.fdopen(writing, "w", closefd=False) as file:
        stream = unhurried(file)
        assert unhurried(stream) is stream
        assert stream is not file
        assert stream.isatty() == file.isatty()
        assert stream.fileno() == writing
        for i in range(300):
            stream.write(message(i))
        os.set_blocking(reading, False)
        found = b""
        for last in ("the first", "the second"):
            with contextlib.suppress(BlockingIOError):
                while True:
                    found += os.read(reading, 65536)
            stream.write(f"{last} after\n")
    found += os.read(reading, 65536)
    lines = found.decode().splitlines(keepends=True)
    assert 3 < len(lines) < 200
    count = len(lines) - 2
    assert lines[:count] == [message(i) for i in range(count)]
    assert lines[count:] == ["the first after\n", "the second after\n"]


def test_a_slow_reader_misses_nothing(
    ends: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = ends
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 60.0)  # it reads once it has started
    reader = subprocess.Popen(
        [sys.executable, "-c", "import sys; print(len(sys.stdin.buffer.read(300_000)))"],
        stdin=reading,
        stdout=subprocess.PIPE,
    )
    with reader, os.fdopen(writing, "w", closefd=False) as file:
        stream = unhurried(file)
        for _ in range(3000):
            stream.write("." * 99 + "\n")
        assert reader.communicate(timeout=60)[0] == b"300000\n"


def test_nobody_there() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as file:
        stream = unhurried(file)
        print("nobody hears this", file=stream, flush=True)


def test_files_stay_as_they_are(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        assert unhurried(file) is file
    text = io.StringIO()
    assert unhurried(text) is text


@pytest.mark.slow  # a quick one is in tests/faults, with pipes
def test_a_training_whose_messages_nobody_reads(
    ends: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, writing = ends
    monkeypatch.chdir(tmp_path)
    spec = write_spec(tmp_path, {"train.steps": 2})
    fill(writing)
    done = subprocess.run(
        [sys.executable, "-m", "maquette", "train", str(spec), "--device", "cpu"],
        stdout=subprocess.PIPE,
        stderr=writing,
        timeout=120,
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "MAQUETTE_RUNS": str(tmp_path / "runs"),
            "MAQUETTE_CACHE": str(tmp_path / "cache"),
            "TERM": "xterm",
        },
    )
    assert done.returncode == 0
    (run,) = Store(tmp_path / "runs").list()
    assert done.stdout.decode() == f"{run.id}\n"
    assert run.state().status == "completed"
