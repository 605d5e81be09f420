"""Starting, stopping and refusing, with light processes in the worker's place."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from maquette.errors import CheckpointError, RunError
from maquette.runs import control
from maquette.runs.control import ask_to_stop, refuse_live, start_worker, starting_point, stop
from maquette.runs.process import (
    Process,
    describe,
    process_of,
    read_holder,
    start_time,
    this_process,
)
from maquette.runs.state import Change
from maquette.runs.store import Run, Store
from tests.runs.conftest import save, train

WORKER = """
import signal, sys, time
from pathlib import Path
from maquette.errors import RunError
from maquette.runs import durable
from maquette.runs.recorder import Recorder
from maquette.runs.store import Run

manner, folder = sys.argv[1:3]
inherited = int(sys.argv[sys.argv.index("--lock") + 1])
if manner == "dies":
    sys.exit("no room for another one")

if manner == "full":  # no file can be made: what is there can be overwritten only
    def refuse(path, *_, **settings):
        raise RunError(f"can't write {path}: no space left on device", hint="free some space")
    durable.write_json = refuse

def end(*_):
    raise KeyboardInterrupt

deaf = manner == "deaf"
signal.signal(signal.SIGTERM, signal.SIG_IGN if deaf else end)
signal.signal(signal.SIGINT, signal.SIG_IGN if deaf else end)
run = Run(Path(folder))
try:
    with Recorder(run, queued=manner == "queued", lock=run.lock(inherited)):
        while True:
            time.sleep(0.02)
except KeyboardInterrupt:
    pass
"""


class Workers:
    """Started through `start_worker`, with a script in the place of `-m maquette.worker`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, run: Run, manner: str = "works") -> "subprocess.Popen[bytes]":
        true_popen = subprocess.Popen

        def popen(command: list[str], **settings: object) -> "subprocess.Popen[bytes]":
            assert command[1:3] == ["-m", "maquette.worker"]
            script = [sys.executable, "-c", WORKER, manner, *command[3:]]
            self.started.append(true_popen(script, **settings))  # type: ignore[call-overload]
            return self.started[-1]

        self._monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        with self._monkeypatch.context() as patch:
            patch.setattr(subprocess, "Popen", popen)
            start_worker(run)
        return self.started[-1]


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    made = Workers(monkeypatch)
    yield made
    for worker in made.started:
        worker.returncode = None
        worker.kill()
        worker.wait()


def test_a_worker_has_a_session_of_its_own(run: Run, workers: Workers) -> None:
    worker = workers.start(run)
    state = run.state()
    assert state.status == "running"
    assert state.process is not None
    assert state.process.pid == worker.pid
    assert os.getsid(worker.pid) == worker.pid
    assert stop(run).status == "stopped"
    assert [change.status for change in run.state().history] == ["queued", "running", "stopped"]


def test_a_worker_that_cannot_start(run: Run, workers: Workers) -> None:
    with pytest.raises(RunError, match="did not start: no room for another one"):
        workers.start(run, "dies")
    state = run.state()
    assert state.status == "failed"
    assert state.error is not None
    assert "no room" in state.error.message
    train(run)
    with pytest.raises(RunError, match="did not start"):
        workers.start(run, "dies")
    assert run.state().status == "completed"  # what it was before: nothing has happened to it


def test_a_worker_that_can_say_only_that_it_failed(run: Run, workers: Workers) -> None:
    with pytest.raises(RunError, match=f"{run.id} failed: .*: no space left") as caught:
        workers.start(run, "full")
    assert caught.value.hint == "free some space"
    assert run.state().status == "failed"
    assert [change.status for change in run.state().history] == ["queued", "failed"]


def test_a_recycled_id_of_the_last_worker_is_not_taken_for_the_new_one(
    run: Run, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(run)

    def at_another_time(pid: int) -> Process:
        return dataclasses.replace(process_of(pid), started="at another time")

    monkeypatch.setattr(control, "process_of", at_another_time)
    monkeypatch.setattr(control, "_APPEAR_SECONDS", 1.0)
    with pytest.raises(RunError, match="did not start"):  # the id fits, the time doesn't
        workers.start(run)
    assert workers.started[0].returncode == -signal.SIGKILL  # and nobody is left behind


def test_one_that_waits_in_the_queue_stops_too(run: Run, workers: Workers) -> None:
    workers.start(run, "queued")
    assert run.state().status == "queued"
    with pytest.raises(RunError, match="waiting for a device"):
        refuse_live(run)
    assert stop(run).status == "stopped"


def test_several_are_asked_before_any_is_waited_for(store: Store, workers: Workers) -> None:
    runs = [store.create("tiny", spec_text="") for _ in range(2)]
    for run in runs:
        workers.start(run)
    endings = [ask_to_stop(run) for run in runs]
    assert [ending.wait().status for ending in reversed(endings)] == ["stopped", "stopped"]


def test_one_that_hears_nothing_is_killed_if_it_must_be_now(
    run: Run, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "_KILL_AFTER_SECONDS", 0.2)
    worker = workers.start(run, "deaf")
    patient = ask_to_stop(run)
    assert patient.kill_at > time.monotonic() + 1e6
    ticks = []
    state = ask_to_stop(run, now=True).wait(tick=lambda: ticks.append(1))
    assert ticks
    assert state.status == "stopped"
    worker.returncode = None
    assert worker.wait() == -signal.SIGKILL


def test_a_killed_worker_is_lost_and_the_run_can_be_taken_up(run: Run, workers: Workers) -> None:
    worker = workers.start(run)
    worker.returncode = None  # as start_worker left it, Popen takes it for ended
    worker.kill()
    worker.wait()
    assert run.state().status == "lost"
    assert refuse_live(run).status == "lost"
    with pytest.raises(RunError, match="it is lost") as caught:
        stop(run)
    assert "maquette resume" in (caught.value.hint or "")
    workers.start(run)
    assert [change.status for change in run.state().history][-3:] == ["running", "lost", "running"]
    stop(run)


@pytest.mark.parametrize("by", ["pidfd", "pid"])
def test_a_process_that_has_the_id_by_now_is_never_signalled(
    run: Run, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    if by == "pid":
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    stranger = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys\nfor line in sys.stdin: print(line, end='', flush=True)",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def answers() -> bool:
        assert stranger.stdin is not None
        assert stranger.stdout is not None
        stranger.stdin.write("there?\n")
        stranger.stdin.flush()
        return stranger.stdout.readline() == "there?\n"

    try:
        recycled = dataclasses.replace(this_process(), pid=stranger.pid, started="1")
        state = dataclasses.replace(
            run.stored_state().changed("running", time.time()), process=recycled
        )
        run.state_path.write_text(json.dumps(state.to_json()))
        with run.lock():  # even while somebody holds the lock
            assert run.state().status == "lost"
            with pytest.raises(RunError, match="is not running: it is lost"):
                stop(run, now=True)
        control._signal(recycled, signal.SIGKILL)
        assert answers()
        control._signal(dataclasses.replace(recycled, boot="an earlier one"), signal.SIGKILL)
        assert answers()
        # That it is for the wrong start time alone:
        true = dataclasses.replace(recycled, started=start_time(stranger.pid) or "")
        control._signal(true, signal.SIGKILL)
        assert stranger.wait() == -signal.SIGKILL
    finally:
        stranger.kill()
        stranger.wait()
        for pipe in (stranger.stdin, stranger.stdout):
            assert pipe is not None
            pipe.close()


def test_a_run_on_another_machine_is_left_to_it(run: Run) -> None:
    there = dataclasses.replace(this_process(), host="elsewhere", boot="another")
    state = dataclasses.replace(run.stored_state().changed("running", time.time()), process=there)
    run.state_path.write_text(json.dumps(state.to_json()))
    with pytest.raises(RunError, match=r"process \d+ on elsewhere") as caught:
        stop(run)
    assert "on that machine" in (caught.value.hint or "")


def test_a_run_whose_worker_is_just_starting_is_waited_for(
    run: Run, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RunError, match="a worker that is starting"):
        refuse_live(run)
    monkeypatch.setattr(control, "_BEGIN_SECONDS", 60.0)
    starter = threading.Timer(0.2, workers.start, [run])
    starter.start()
    try:
        assert stop(run).status == "stopped"
    finally:
        starter.join()
    monkeypatch.setattr(control, "_BEGIN_SECONDS", 0.1)
    alone = Store(run.path.parent).create("alone", spec_text="")
    with pytest.raises(RunError, match="has no worker"):
        stop(alone)


def test_the_second_of_two_who_start_a_worker_is_told_of_it_at_once(
    run: Run, workers: Workers
) -> None:
    worker = workers.start(run)
    with pytest.raises(RunError, match=f"is being worked on by process {worker.pid} on "):
        workers.start(run)
    assert len(workers.started) == 1  # no second one was begun
    stop(run)


def test_the_worker_is_named_and_the_run_queued_before_it_says_anything(
    run: Run, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def look(_: object, worker: "subprocess.Popen[bytes]", __: object) -> bool:
        seen.append((Run(run.path).state().status, read_holder(run.lock_path), worker.pid))
        raise KeyboardInterrupt

    maker = dataclasses.replace(this_process(), started="1")
    run.lock_path.write_text(describe(maker))  # it would be lost
    monkeypatch.setattr(control, "_appears", look)
    with pytest.raises(KeyboardInterrupt):
        workers.start(run, "deaf")
    ((status, holder, pid),) = seen
    assert status == "queued"
    assert holder is not None
    assert holder.pid == pid


@pytest.mark.parametrize("manner", ["works", "deaf"])
def test_whatever_interrupts_a_start_ends_the_worker(
    run: Run, workers: Workers, monkeypatch: pytest.MonkeyPatch, manner: str
) -> None:
    monkeypatch.setattr(control, "_KILL_AFTER_SECONDS", 0.2 if manner == "deaf" else 60.0)

    def interrupted(run: Run, worker: object, process: Process) -> bool:
        while run.stored_state().process != process:
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(control, "_appears", interrupted)
    with pytest.raises(KeyboardInterrupt):
        workers.start(run, manner)
    assert workers.started[0].returncode is not None
    assert run.state().status == ("stopped" if manner == "works" else "lost")
    run.remove()  # at once: nobody holds its lock


def test_a_run_that_was_moved_while_its_worker_started(
    run: Run, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(run)
    place = run.path.with_name("moved")

    def moved(run: Run, worker: "subprocess.Popen[bytes]", _: object) -> bool:
        run.path.rename(place)
        return bool(worker.wait()) and False

    monkeypatch.setattr(control, "_appears", moved)
    with pytest.raises(RunError, match=f"the folder of {run.id} was moved to {place}"):
        workers.start(run)
    assert not run.path.exists()
    there = Run(place)
    assert there.state().status == "completed"  # as it was: nobody has begun on it
    assert f"{run.id} was moved to {place}" in there.log_path.read_text()


def test_where_a_run_goes_on_from(store: Store, tmp_path: Path) -> None:
    run = store.create("tiny", spec_text="")
    assert starting_point(run, "latest") is None
    with pytest.raises(CheckpointError, match="no checkpoint of step 3"):
        starting_point(run, 3)
    train(run)
    assert [getattr(starting_point(run, which), "step", None) for which in ("latest", "best", 2)] \
        == [6, 4, 2]  # fmt: skip
    for checkpoint in run.checkpoints():
        (checkpoint.path / "trainer.json").write_text("{}")
    with pytest.raises(CheckpointError, match="damaged"):  # it has learned; the start isn't offered
        starting_point(run, "latest")


def test_the_end_of_a_run_that_ended_by_itself_is_left_alone(run: Run) -> None:
    train(run)
    control._write_end(run, "stopped")
    assert run.state().status == "completed"
    assert run.state().history[-1] == Change("completed", run.state().history[-1].at)
    save(run, 7)
