"""A save that is killed at every one of its system calls: the old or the new, and it goes on."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from tests.faults.scenarios import check_saved, make_run

PROMISES = ("saved", "pruned")
KINDS = {
    "write": "write,pwrite64,writev",
    "fsync": "fsync,fdatasync,sync_file_range",
    "rename": "rename,renameat,renameat2",
    "folder": "mkdir,mkdirat,unlink,unlinkat,rmdir,ftruncate",
}
ROOT = Path(__file__).parents[2]
CHILD = [sys.executable, "-B", "-S", "-m", "tests.faults.saving"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}


def run_child(
    *words: str | Path, wrapper: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*wrapper, *CHILD, *map(str, words)],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
    )


def check(folder: Path, promises: int) -> None:
    """What was promised holds, nothing is half there, and the next save works."""
    with mock.patch.object(os, "fsync"):
        check_saved(folder, frozenset(PROMISES[:promises]))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("way", ["before", "torn"])
def test_a_save_that_ends_at_any_call(tmp_path: Path, way: str) -> None:
    (tmp_path / "0").mkdir()
    make_run(tmp_path / "0", steps=(2, 4))
    child = run_child(tmp_path, way)
    assert child.returncode == 0, child.stderr
    results = [tuple(map(int, line.split())) for line in child.stdout.splitlines()]
    assert len(results) > 40
    assert {promises for _, promises in results} == {0, 1, 2}
    for number, promises in results:
        check(tmp_path / str(number), promises)


@pytest.fixture(scope="module")
def strace(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where strace is, if it may be used here."""
    program = shutil.which("strace")
    if program is None:
        pytest.skip("strace is not installed")
    tried = subprocess.run([program, "-f", "true"], capture_output=True, text=True)
    if tried.returncode != 0:
        pytest.skip(f"strace doesn't work here: {tried.stderr.strip()[:100]}")
    return program


@pytest.mark.parametrize(
    "kind", ["write", "fsync", "rename", pytest.param("folder", marks=pytest.mark.slow)]
)
def test_a_save_that_is_killed_at_any_system_call(tmp_path: Path, strace: str, kind: str) -> None:
    (tmp_path / "0").mkdir()
    make_run(tmp_path / "0", steps=(2, 4))
    for name, count in _calls(tmp_path, strace, KINDS[kind]).items():
        for number in range(1, count + 2):
            folder = shutil.copytree(tmp_path / "0", tmp_path / f"{name}-{number}")
            inject = ("-e", f"trace={name}", "-e", f"inject={name}:signal=KILL:when={number}")
            child = run_child(folder, wrapper=(strace, "-f", "-qq", "-o", os.devnull, *inject))
            killed = number <= count  # and the last one survives
            assert child.returncode == (-9 if killed else 0), (name, number, child.stderr)
            check(folder, len(child.stdout.splitlines()))


def _calls(folder: Path, strace: str, names: str) -> dict[str, int]:
    """How often a save makes each of these system calls, on this system."""
    copy = shutil.copytree(folder / "0", folder / "counted")
    known = ",".join(f"?{name}" for name in names.split(","))
    log = folder / "calls.txt"
    child = run_child(copy, wrapper=(strace, "-f", "-qq", "-o", str(log), "-e", f"trace={known}"))
    assert child.returncode == 0, child.stderr
    counts: dict[str, int] = {}
    for name in re.findall(r"^\d+ +(\w+)\(", log.read_text(errors="replace"), re.MULTILINE):
        counts[name] = counts.get(name, 0) + 1
    assert counts
    return counts
