"""Saving beside the training: what is saved is what was there, and nothing is told too soon."""

import errno
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maquette.errors import CheckpointError, RunError
from maquette.events import CheckpointDue, CheckpointSaved, Finished, StepDone
from maquette.runs.store import Run, Store
from maquette.worker import work
from maquette.worker.saving import Saver
from tests.worker.test_training import new_run, step_rows, weights


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAQUETTE_CACHE", str(tmp_path / "cache"))


class SlowDisk:
    """Holds up every sync of a thread that isn't the main one, until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.go = threading.Event(), threading.Event()
        self.error: OSError | None = None
        real = os.fsync

        def fsync(handle: int) -> None:
            if threading.current_thread() is not threading.main_thread():
                self.reached.set()
                assert self.go.wait(60)
                if self.error:
                    raise self.error
            real(handle)

        monkeypatch.setattr(os, "fsync", fsync)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowDisk]:
    disk = SlowDisk(monkeypatch)
    yield disk
    disk.go.set()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Store(tmp_path / "runs").create("tiny", spec_text="name: tiny\n", device="cpu")


def test_what_is_saved_is_what_was_there_and_is_told_when_it_is_on_the_disk(
    run: Run, disk: SlowDisk
) -> None:
    state = ["first"]
    with Saver(run, lambda folder: _write(folder, state[0]), keep=2) as saver:
        saver.begin(CheckpointDue(1, best=True))
        state[0] = "second"  # training goes on
        assert disk.reached.wait(60)
        assert saver.saved() is None
        assert run.checkpoints() == []
        disk.go.set()
        saved = saver.saved(wait=True)
        assert saved is not None
        assert (saved.step, saved.best) == (1, True)
        checkpoint = run.checkpoint("latest")
        assert (checkpoint.path / "model").read_text() == "first"
        assert saved.bytes == checkpoint.bytes
        assert saver.saved(wait=True) is None  # once told is enough


@pytest.mark.parametrize("on_cpu", [False, True])
def test_checksums_are_taken_beside_the_steps_unless_these_need_the_processor(
    run: Run, disk: SlowDisk, on_cpu: bool
) -> None:
    with Saver(run, lambda folder: _write(folder, "first"), keep=2, on_cpu=on_cpu) as saver:
        saver.begin(CheckpointDue(1, best=False))
        assert disk.reached.wait(60)  # of two halves the second has begun
        (written,) = run.checkpoints_path.glob(".tmp-*/model")
        written.write_text("later")  # of the same size
        disk.go.set()
        saver.saved(wait=True)
        if on_cpu:
            with pytest.raises(CheckpointError, match="checksum differs"):
                Run(run.path).checkpoint("latest")
        else:
            assert Run(run.path).checkpoint("latest").step == 1


def test_a_disk_that_refuses_is_heard_of_and_nothing_half_written_stays(
    run: Run, disk: SlowDisk
) -> None:
    disk.error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    disk.go.set()
    with Saver(run, lambda folder: _write(folder, "first"), keep=2) as saver:
        saver.begin(CheckpointDue(1, best=False))
        with pytest.raises(RunError, match="no space left on device"):
            saver.saved(wait=True)
        assert list(run.checkpoints_path.iterdir()) == []
        disk.error = None
        saver.begin(CheckpointDue(2, best=False))  # what failed is over
        assert saver.saved(wait=True) is not None


def test_leaving_waits_for_the_one_on_its_way(run: Run, disk: SlowDisk) -> None:
    threading.Timer(0.2, disk.go.set).start()
    with Saver(run, lambda folder: _write(folder, "first"), keep=2) as saver:
        saver.begin(CheckpointDue(1, best=False))
    assert run.checkpoint("latest").step == 1


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a niceness of their own on Linux")
def test_the_steps_have_the_processor_first(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[int, int] = {}

    def fsync(_: int) -> None:
        found[threading.get_native_id()] = os.getpriority(os.PRIO_PROCESS, 0)

    monkeypatch.setattr(os, "fsync", fsync)
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with Saver(run, lambda folder: _write(folder, "first"), keep=2) as saver:
        saver.begin(CheckpointDue(1, best=False))
    found.pop(threading.get_native_id(), None)
    assert list(found.values()) == [min(19, before + 10)]
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


def _write(folder: Path, text: str) -> None:
    (folder / "model").write_text(text)


SELDOM: dict[str, Any] = {"evaluate": {"every": 12, "windows": 4}, "sample": {"every": 12}}


def test_steps_done_while_a_checkpoint_is_on_its_way_are_not_in_it(
    tmp_path: Path, disk: SlowDisk
) -> None:
    whole = new_run(tmp_path, keep=9, **SELDOM)
    disk.go.set()
    list(work(whole))
    disk.go.clear()

    cut = new_run(tmp_path, keep=9, **SELDOM)
    seen = work(cut)
    for event in seen:
        if isinstance(event, StepDone) and event.step == 6:
            assert cut.checkpoints() == []  # that of step 4 waits for the disk
            disk.go.set()
        if isinstance(event, CheckpointSaved):
            break
    seen.close()
    assert cut.state().checkpoint_step == 4
    steps = [event.step for _, event in cut.events() if event.kind in ("step", "checkpoint")]
    assert steps[:6] == [1, 2, 3, 4, 5, 6]
    assert steps[-1] == 4  # told when it was there
    assert weights(cut) == (whole.path / "checkpoints/step-00000004/model.safetensors").read_bytes()

    list(work(cut))  # its event was after those of steps that are done anew
    assert [e.step for _, e in cut.events() if isinstance(e, CheckpointSaved)] == [4, 8, 12]
    assert step_rows(cut) == step_rows(whole)
    assert weights(cut) == weights(whole)


def test_the_last_checkpoint_is_there_before_the_end_is_told(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    for event in work(run):
        if isinstance(event, Finished):
            assert run.state().checkpoint_step == 12
            assert run.checkpoint("latest").step == 12


def test_a_checkpoint_that_cannot_be_saved_fails_the_run(tmp_path: Path, disk: SlowDisk) -> None:
    run = new_run(tmp_path, **SELDOM)
    disk.error = OSError(errno.EIO, os.strerror(errno.EIO))
    disk.go.set()
    with pytest.raises(RunError, match="input/output error"):
        list(work(run))
    state = run.state()
    assert (state.status, state.checkpoint_step) == ("failed", None)
    assert state.error is not None
    assert "input/output error" in state.error.message
