"""Locks and process identity, with real processes."""

import dataclasses
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from maquette.errors import RunError
from maquette.runs.process import (
    WorkerLock,
    describe,
    is_held,
    process_from,
    process_of,
    read_holder,
    start_time,
    this_process,
)

HOLD = """
import sys
from pathlib import Path
from maquette.runs.process import WorkerLock
lock = WorkerLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_process_is_itself_and_no_other() -> None:
    me = this_process()
    assert me.lives()
    assert not me.elsewhere()
    assert me.pid == os.getpid()
    assert process_from(dataclasses.asdict(me)) == me
    assert not dataclasses.replace(me, started="1").lives()  # the id was used again
    assert not dataclasses.replace(me, boot="another").lives()  # the machine was restarted
    assert dataclasses.replace(me, boot="another", host="elsewhere").elsewhere()


def test_what_is_not_a_process() -> None:
    assert process_from({"pid": 1}) is None
    assert process_from({"pid": "1", "started": "1", "boot": "", "host": ""}) is None
    assert process_from(None) is None


def test_a_dead_process_has_no_start_time() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert start_time(child.pid) is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no zombies on this system")
def test_a_zombie_does_not_live() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.read()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, not yet collected
    assert start_time(child.pid) is None
    child.communicate()


def test_the_lock_goes_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "worker.lock"
    assert not is_held(path)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    assert is_held(path)
    written = read_holder(path)
    assert written is not None
    assert written.pid == holder.pid
    assert written.lives()
    with pytest.raises(RunError, match=f"process {holder.pid}"):
        WorkerLock(path).acquire()
    holder.kill()
    holder.communicate()
    assert not is_held(path)
    assert not written.lives()
    with WorkerLock(path):
        assert is_held(path)
    assert not is_held(path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system can't fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "worker.lock"
    lock = WorkerLock(path)
    lock.acquire()
    from_child, to_parent = os.pipe()
    from_parent, to_child = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(to_child)
        os.write(to_parent, b"!")
        os.read(from_parent, 1)
        os._exit(0)
    os.read(from_child, 1)
    lock.release()
    held = is_held(path)
    for handle in (from_child, to_parent, from_parent, to_child):
        os.close(handle)
    os.waitpid(child, 0)
    assert not held


def test_a_lock_that_cannot_be_written_in_is_held_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space")

    path = tmp_path / "worker.lock"
    path.write_text(describe(dataclasses.replace(this_process(), started="1")))
    monkeypatch.setattr(os, "pwrite", full)
    with WorkerLock(path):
        assert is_held(path)
        assert read_holder(path) is None
        with pytest.raises(RunError, match="worked on by another process"):
            WorkerLock(path).acquire()


def test_a_process_goes_on_holding_the_lock_that_it_inherited(tmp_path: Path) -> None:
    path = tmp_path / "worker.lock"
    lock = WorkerLock(path)
    lock.acquire()
    code = HOLD.replace("(Path(sys.argv[1]))", "(Path(sys.argv[1]), int(sys.argv[2]))")
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(path), str(lock.handle)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=(lock.handle,),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    lock.release()
    assert is_held(path)
    assert read_holder(path) == process_of(holder.pid)
    holder.kill()
    holder.communicate()
    assert not is_held(path)


def test_a_lock_is_no_stdin_of_a_worker(tmp_path: Path) -> None:
    """With stdin closed, the next file that is opened has its number."""
    code = HOLD.replace("lock.acquire()", "sys.stdin = None; lock.acquire()")
    code = code.replace('print("held", flush=True)\nsys.stdin.read()', "print(lock.handle)")
    script = f"import os; os.close(0)\n{code}"
    path = tmp_path / "worker.lock"
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert int(done.stdout) > 2


def test_where_a_lock_has_gone(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    with WorkerLock(tmp_path / "old" / "worker.lock") as lock:
        assert lock.folder() == tmp_path / "old"
        (tmp_path / "old").rename(tmp_path / "new")
        assert lock.folder() == tmp_path / "new"
        (tmp_path / "new" / "worker.lock").unlink()
        assert lock.folder() is None


def test_a_lock_in_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="can't lock"):
        WorkerLock(tmp_path / "gone" / "worker.lock").acquire()
