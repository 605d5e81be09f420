"""What a user is told whose permissions don't suffice, root's own rights taken away."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from maquette.runs.store import Run, Store
from tests.runs.conftest import train

DO = """
import contextlib, io, json, sys
from maquette.cli import main
found = []
for arguments in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments)
    found.append([code, out.getvalue(), err.getvalue()])
print(json.dumps(found))
"""
CAPABILITIES = "-dac_override,-dac_read_search,-fowner"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAQUETTE_RUNS", str(tmp_path / "runs"))
    run = Store().create("tiny", spec_text="", blueprint_text="{}")
    train(run)
    return run


def told(*commands: list[str], closed: Path, mode: int = 0) -> list[tuple[int, str, str]]:
    """Exit code, stdout and stderr of commands while a file or folder has this mode."""
    program = [sys.executable, "-c", DO, json.dumps(commands)]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("setpriv is not installed, and root may do everything")
        program = ["setpriv", f"--bounding-set={CAPABILITIES}", "--inh-caps=-all", *program]
    before = closed.stat().st_mode
    closed.chmod(mode)
    try:
        done = subprocess.run(
            program,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
    finally:
        closed.chmod(before)
    if "setpriv:" in done.stderr:
        pytest.skip(done.stderr.strip())
    found: list[Any] = json.loads(done.stdout)
    return [(code, out, err) for code, out, err in found]


def test_a_run_that_is_closed_is_shown_and_nothing_is_claimed_of_it(run: Run) -> None:
    ps, status, rm, logs = told(
        ["ps"], ["status", run.id], ["rm", "-y", run.id], ["logs"], closed=run.path
    )
    assert run.id in ps[1]
    assert "damaged" in ps[1]
    assert "meta.json can't be read: permission denied" in status[1]
    assert "see its mode and owner" in status[1]
    assert (rm[0], logs[0]) == (1, 1)
    assert "worker.lock: permission denied\n  see its mode and owner" in rm[2]
    assert "worker.log: permission denied\n  see its mode and owner" in logs[2]


def test_a_run_of_which_a_part_may_not_go_is_not_deleted_by_half(run: Run) -> None:
    files = sorted(run.path.rglob("*"))
    for folder in (run.path, run.checkpoints_path):
        ((code, _, err),) = told(["rm", "-y", run.id], closed=folder, mode=0o555)
        assert code == 1
        assert err == (
            f"error: can't remove {folder}: permission denied\n"
            "  see its mode and owner, or choose another folder\n"
        )
        assert sorted(run.path.rglob("*")) == files
    run.remove()
    assert not run.path.exists()


def test_checkpoints_that_are_closed_are_not_taken_for_none(run: Run) -> None:
    resume, generate = told(
        ["resume", run.id, "--more-steps", "1"], ["generate", run.id], closed=run.checkpoints_path
    )
    for code, _, err in (resume, generate):
        assert code == 1
        assert f"error: can't read {run.checkpoints_path}: permission denied\n" in err
    assert len(run.checkpoints()) == 3


def test_a_runs_folder_that_is_anothers(run: Run) -> None:
    ((code, _, err),) = told(["train", "demo", "-d"], closed=run.path.parent, mode=0o555)
    assert code == 1
    assert "permission denied\n  see its mode and owner, or choose another folder\n" in err
