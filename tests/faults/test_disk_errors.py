"""A disk that is full, fails or can't be written to: the run says so, and loses nothing."""

import errno
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from maquette.runs.store import Run
from tests.faults.conftest import BRIEF
from tests.faults.full_disk import digest
from tests.faults.processes import (
    ForkServer,
    assert_readable,
    computed,
)

SHORT = {**BRIEF, "steps": 2}
ERRORS = [errno.ENOSPC, errno.EIO]


@pytest.fixture(scope="module")
def whole(server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    run = server.create(tmp_path_factory.mktemp("whole"), **SHORT)
    server.finish(run)
    return computed(run)


def test_a_refused_write_or_sync_fails_the_run(
    server: ForkServer, whole: dict[str, Any], tmp_path: Path
) -> None:
    """Some of those that `test_every_refused_write_and_sync` has all of."""
    for number in range(1, 60, 7):
        code = ERRORS[number % 2]
        if not refused(server, whole, tmp_path, number, code, stays=number % 3 == 0):
            break
    else:
        pytest.fail("the run writes more often than this test knows")


@pytest.mark.slow
@pytest.mark.parametrize("stays", [False, True], ids=["once", "stays"])
@pytest.mark.parametrize("code", ERRORS, ids=["full", "broken"])
def test_every_refused_write_and_sync(
    server: ForkServer, whole: dict[str, Any], tmp_path: Path, code: int, stays: bool
) -> None:
    for number in itertools.count(1):
        if not refused(server, whole, tmp_path, number, code, stays=stays):
            break
    assert number > 30


def refused(
    server: ForkServer,
    whole: dict[str, Any],
    folder: Path,
    number: int,
    code: int,
    *,
    stays: bool,
) -> bool:
    """Have one call refused, judge what becomes of the run; False if there is no such call."""
    run = server.create(folder / "runs", **SHORT)
    worker = server.start(run, refuse=(number, code), stays=stays)
    if worker.wait() == 0:
        assert run.state().status == "completed"
        return False
    says(worker.words, run.path, code)
    assert_readable(run)
    state = run.state()
    if stays:  # not one byte of state.json can be written any more
        ended = json.loads(run.state_path.read_text("utf-8"))["status"] == "completed"
        assert state.status == ("completed" if ended else "lost")
    else:
        assert state.status == "failed"
        assert state.error is not None
        assert state.error.message in worker.words
    server.finish(run)
    assert computed(run) == whole, f"after call {number}"
    return True


def says(words: str, place: Path, code: int) -> None:
    """There is one message, which names path and cause, and a hint; no traceback."""
    message, hint = words.rstrip("\n").split("\n")
    pattern = rf"error: can't \w+( up)? {re.escape(str(place))}/\S+: (.+)"
    match = re.fullmatch(pattern, message)
    assert match, words
    assert match[2] == os.strerror(code).lower()
    assert hint.startswith("  ")


CALLS = ("write", "pwrite64", "fsync", "ftruncate", "mkdir", "rename")


@pytest.mark.slow
@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
def test_every_refused_system_call(
    server: ForkServer, whole: dict[str, Any], tmp_path: Path, error: str
) -> None:
    """As above, whoever makes the call: Python's files and libraries in Rust too.

    strace counts the calls of each thread, and so refuses the N-th of every one.
    """
    run = server.create(tmp_path / "runs", prepared=False, **SHORT)
    calls = {(name, number) for name, number, path in traced(server, run, tmp_path) if path}
    assert len(calls) > 60
    for name, number in sorted(calls):
        run = server.create(tmp_path / "runs", prepared=False, **SHORT)
        inject = f"inject={name}:error={error}:when={number}"
        hit = [path for *_, path in traced(server, run, tmp_path, "-e", inject, only_hits=True)]
        assert hit, f"{name} {number} was not reached"
        assert_readable(run)
        state = run.state()
        words = (tmp_path / "words.txt").read_text(encoding="utf-8")
        if state.status == "completed":  # a line of the log isn't worth a training
            files = ("worker.log", "worker.lock", "state.json")
            assert all(path.endswith(files) for path in hit), (name, number, hit)
            continue
        outside = not all(hit)  # the queue's file, which has the same number in its thread
        untold = any("state.json" in path for path in hit)  # one thread's, with another's call
        assert state.status == "failed" or (untold and state.status == "lost"), hit
        says(words, server.folder if outside else run.path, getattr(errno, error))
        server.finish(run)
        assert computed(run) == whole, (name, number, hit)


def traced(
    server: ForkServer, run: Run, folder: Path, *options: str, only_hits: bool = False
) -> list[tuple[str, int, str]]:
    """Carry a run on under strace; its calls: name, how manieth of its thread, path in the run.

    Calls that concern other files have an empty path. `only_hits`: those that were refused.
    """
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    log = folder / "strace.txt"
    log.unlink(missing_ok=True)
    worker = server.start(run, traced=True)
    trace = ["strace", "-f", "-y", "-s", "0", "-o", str(log), "-p", str(worker.pid)]
    tracer = subprocess.Popen(
        [*trace, "-e", f"trace={','.join(CALLS)}", *options], stderr=subprocess.PIPE, text=True
    )
    worker.wait()
    _, complaint = tracer.communicate(timeout=60)
    if "not permitted" in complaint:
        pytest.skip("this process may not trace another one")
    (folder / "words.txt").write_text(worker.words, encoding="utf-8")
    found: list[tuple[str, int, str]] = []
    counts: Counter[tuple[str, str]] = Counter()
    begun: dict[str, str] = {}  # of each thread the call that another's interrupted in the log
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        thread, _, call = line.partition(" ")
        if " resumed>" in call:
            call = begun.pop(thread, "") + call
        elif "<unfinished" in call:
            begun[thread] = call
            continue
        match = re.match(r" *(\w+)\((.*)", call)
        if match is None or match[1] not in CALLS:
            continue
        counts[thread, match[1]] += 1
        if "EEXIST" in line or (only_hits and "(INJECTED)" not in line):
            continue
        path = re.search(rf"{re.escape(str(run.path))}[^\s>\",]*", match[2])
        found.append((match[1], counts[thread, match[1]], path[0] if path else ""))
    return found


def test_a_disk_that_is_really_full(
    server: ForkServer, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    run = server.create(tmp_path / "runs", **BRIEF)
    script = (
        'mkdir "$2" && mount -t tmpfs -o size=4m tmpfs "$2" && cp -a "$1" "$2"/run'
        ' && cd "$2" && shift 2 && exec "$@" "$PWD"'
    )
    folder = tmp_path / "small"
    worker = [sys.executable, "-m", "tests.faults.full_disk"]
    done = in_namespace(server, script, run.path, folder, *worker)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["refused"].startswith(f"can't write {folder}/run/checkpoints/step-00000")
    assert told["refused"].endswith(": no space left on device")
    assert told["status"] == "failed"
    assert told["sound"] >= 2
    assert told["computed"] == digest(undisturbed)


def test_a_read_only_run(server: ForkServer, brief: Run) -> None:
    server.finish(brief)
    before = {path: path.read_bytes() for path in brief.path.rglob("*") if path.is_file()}
    script = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'

    def there(*words: str) -> subprocess.CompletedProcess[str]:
        return in_namespace(server, script, brief.path, sys.executable, "-m", *words)

    done = there("maquette.worker", str(brief.path))
    assert done.returncode == 1
    assert done.stderr == (
        f"error: can't lock {brief.lock_path}: read-only file system\n"
        "  that file system is read-only; choose another folder\n"
    )
    done = there("maquette", "status", str(brief.path), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "completed"
    assert {path: path.read_bytes() for path in before} == before


def in_namespace(
    server: ForkServer, script: str, *arguments: str | Path
) -> subprocess.CompletedProcess[str]:
    """Run a shell script where mounting is allowed and is seen by nobody else."""
    inside = ["unshare", "--user", "--map-root-user", "--mount"]
    if shutil.which("unshare") is None or subprocess.run([*inside, "true"], check=False).returncode:
        pytest.skip("user namespaces are not to be had here")
    return subprocess.run(
        [*inside, "sh", "-c", script, "sh", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=server.environment,
        timeout=120,
    )
