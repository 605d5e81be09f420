"""Runs in the background, stopped, lost, resumed and extended: through real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from maquette.blueprint import serial
from maquette.cli import control, main
from maquette.events import Evaluated, Started, StepDone
from maquette.runs.queue import Ticket
from maquette.runs.recorder import Recorder
from maquette.runs.state import State
from maquette.runs.store import Run, Store
from maquette.worker import queue_folder, work
from maquette.worker.training import create_run
from tests.training.tiny import tiny_spec

Output = pytest.CaptureFixture[str]
LONG = 10**6  # steps that no test waits for
CLI = """
import sys
from maquette.cli import main
code = main(sys.argv[1:])
assert "torch" not in sys.modules
sys.exit(code)
"""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAQUETTE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MAQUETTE_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    store = Store()
    yield store
    for run in store.list():
        process = run.stored_state().process
        if process is not None and process.pid != os.getpid() and process.lives():
            os.kill(process.pid, signal.SIGKILL)


def write_spec(folder: Path, **train: Any) -> None:
    spec = tiny_spec(folder, **{"evaluate": {"every": LONG, "windows": 4}, **train})
    (folder / "tiny.yaml").write_text(spec.model_dump_json(exclude_unset=True))


def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """A command in a process of its own, which must not have imported torch."""
    done = subprocess.run(
        [sys.executable, "-c", CLI, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert "AssertionError" not in done.stderr
    return done


def wait_for(run: Run, what: Callable[[State], bool]) -> State:
    deadline = time.monotonic() + 60
    while not what(state := run.state()):
        assert time.monotonic() < deadline, state
        time.sleep(0.05)
    return state


def finished_run(store: Store, folder: Path, **train: Any) -> Run:
    write_spec(folder, **train)
    assert main(["train", "tiny.yaml"]) == 0
    return store.find("latest")


def steps(run: Run) -> list[int]:
    return [event.step for _, event in run.events() if isinstance(event, StepDone)]


def printed(capsys: Output, *arguments: str, code: int = 0) -> tuple[str, str]:
    assert main(arguments) == code
    captured = capsys.readouterr()
    return captured.out, captured.err


def test_a_run_in_the_background(store: Store, tmp_path: Path) -> None:
    write_spec(tmp_path, steps=LONG)
    done = command("train", "tiny.yaml", "-d")
    assert done.returncode == 0, done.stderr
    run = store.find(done.stdout.strip())
    assert f" stop {run.id}" in done.stderr
    state = wait_for(run, lambda state: state.step >= 3)
    assert state.process is not None
    assert os.getsid(state.process.pid) == state.process.pid

    second = subprocess.run(
        [sys.executable, "-m", "maquette.worker", str(run.path)],
        capture_output=True,
        text=True,
        check=False,
    )
    for refused in (second, command("resume", run.id), command("rm", "-y", run.id)):
        assert refused.returncode == 1
        assert f"{run.id} is " in refused.stderr
    assert f"process {state.process.pid} " in second.stderr
    assert f"process {state.process.pid} " in command("resume", run.id).stderr

    stopped = command("stop", run.id, "--json")
    assert stopped.returncode == 0
    assert f"{run.id}: ending after the step it is at" in stopped.stderr
    (row,) = json.loads(stopped.stdout)
    assert row["status"] == "stopped"
    assert run.checkpoint().step == row["step"] == steps(run)[-1]
    again = command("stop", run.id)
    assert again.returncode == 1
    assert "is not running: it is stopped" in again.stderr


def test_a_killed_worker(store: Store, tmp_path: Path) -> None:
    write_spec(tmp_path, steps=LONG, checkpoint={"every": 2})
    assert command("train", "tiny.yaml", "-d").returncode == 0
    run = store.find("latest")
    state = wait_for(run, lambda state: (state.checkpoint_step or 0) >= 2)
    assert state.process is not None
    os.kill(state.process.pid, signal.SIGKILL)
    wait_for(run, lambda state: state.status == "lost")
    (row,) = json.loads(command("ps", "--json").stdout)
    assert row["status"] == "lost"
    status = command("status", run.id).stdout
    assert "perhaps for lack of memory" in status
    newest = run.checkpoints()[-1].step
    assert f"`maquette resume {run.id}` goes on from step {newest}" in status
    stopped = command("stop", run.id)
    assert stopped.returncode == 1
    assert "it is lost" in stopped.stderr
    resumed = command("resume", run.id, "-d", "--json")
    assert json.loads(resumed.stdout)["status"] == "running"
    assert f"{run.id} goes on from step {newest}" in resumed.stderr
    statuses = [change.status for change in run.state().history]
    assert statuses == ["queued", "running", "lost", "running"]
    assert command("stop", run.id, "--now").returncode == 0
    assert run.state().status == "stopped"


def test_data_that_cannot_be_prepared_in_the_background(
    store: Store, tmp_path: Path, capsys: Output
) -> None:
    write_spec(tmp_path)
    text = (tmp_path / "text.txt").rename(tmp_path / "later.txt")
    done = command("train", "tiny.yaml", "-d")
    run = store.find(done.stdout.strip())
    state = wait_for(run, lambda state: state.status == "failed")
    assert state.error is not None
    assert "text.txt" in state.error.message
    assert state.error.message in " ".join(printed(capsys, "status")[0].split())
    assert not run.blueprint_path.exists()
    _, err = printed(capsys, "resume", run.id, "--more-steps", "3", code=1)
    assert "no checkpoint that more steps could be added to" in err
    text.rename(tmp_path / "text.txt")
    out, err = printed(capsys, "resume", run.id)
    assert out == f"{run.id}\n"
    assert "goes on from its start" in err
    assert steps(run) == list(range(1, 13))
    assert run.state().status == "completed"


def test_the_queue(store: Store, tmp_path: Path, capsys: Output) -> None:
    write_spec(tmp_path, steps=LONG)
    with Ticket(queue_folder(), "cpu") as ticket:
        ticket.work()
        runs = [
            store.find(command("train", "tiny.yaml", "-d", "--queue").stdout.strip())
            for _ in range(2)
        ]
        assert [run.state().status for run in runs] == ["queued", "queued"]
        assert [change.status for change in runs[0].state().history] == ["queued"]
        assert "1 ahead" in printed(capsys, "status", runs[0].id)[0]
        assert "2 ahead" in printed(capsys, "status", runs[1].id)[0]
        assert printed(capsys, "ps")[0].count("queued") == 2
        out, err = printed(capsys, "stop", runs[1].id, runs[0].id, "--json")
        assert [row["status"] for row in json.loads(out)] == ["stopped", "stopped"]
        assert err.count("leaving the queue") == 2


def test_the_foreground_says_how_many_are_ahead(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    write_spec(tmp_path, steps=2)
    with Ticket(queue_folder(), "cpu") as ticket:
        ticket.work()
        naps = []

        def nap(_: float) -> None:
            naps.append(store.find("latest").state().status)
            ticket.__exit__()

        monkeypatch.setattr("maquette.worker.time", SimpleNamespace(sleep=nap))
        _, err = printed(capsys, "train", "tiny.yaml", "--queue")
    assert naps == ["queued"]
    assert err.count("waiting for the device: 1 run is ahead") == 1
    assert store.find("latest").state().status == "completed"


def test_more_epochs_are_exactly_as_many(store: Store, tmp_path: Path, capsys: Output) -> None:
    run = finished_run(store, tmp_path, steps=None, epochs=0.05, evaluate={"windows": 4})
    _, err = printed(capsys, "resume", run.id, code=1)
    assert f"{run.id} is completed" in err
    assert "--more-epochs" in err
    _, err = printed(capsys, "resume", run.id, "--checkpoint", "latest", code=1)
    assert "nothing left to do" in err
    before = serial.from_json(run.blueprint_path.read_text()).train
    _, err = printed(capsys, "resume", run.id, "--more-epochs", "0.05", "--schedule", "constant")
    after = serial.from_json(run.blueprint_path.read_text()).train
    windows = after.windows_per_epoch
    seen = before.steps * 4 + 0.05 * windows
    assert seen <= after.steps * 4 < seen + 4
    assert f"more training: from step {before.steps} to {after.steps}, schedule constant" in err
    assert steps(run) == list(range(1, after.steps + 1))
    assert run.state().steps == after.steps
    rates = {event.learning_rate for _, event in run.events()
             if isinstance(event, StepDone) and event.step >= before.steps}  # fmt: skip
    assert len(rates) == 1
    out = printed(capsys, "status")[0]
    assert f"from step {before.steps} to {after.steps}, schedule constant" in out
    (extension,) = json.loads(printed(capsys, "status", "--json")[0])["extensions"]
    assert extension["to_step"] == after.steps


def test_an_earlier_checkpoint(store: Store, tmp_path: Path, capsys: Output) -> None:
    run = finished_run(store, tmp_path, checkpoint={"every": 4, "keep": 9})
    first = (run.checkpoint().path / "model.safetensors").read_bytes()
    capsys.readouterr()
    out, err = printed(capsys, "resume", run.id, "--checkpoint", "4", "--json")
    assert json.loads(out)["status"] == "completed"
    assert "goes on from step 4" in err
    assert steps(run) == list(range(1, 13))
    assert (run.checkpoint().path / "model.safetensors").read_bytes() == first
    assert [e.step for _, e in run.events() if isinstance(e, Started)] == [0, 4]
    assert any(isinstance(e, Evaluated) for _, e in run.events())
    # An extension that no worker has begun yet is no completed run's.
    with run.lock():
        control._extend(run, run.checkpoint(), None, 2, None)
    printed(capsys, "resume", run.id)
    assert steps(run)[-1] == 14


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--more-epochs", "1", "--more-steps", "1"], "use one of them"),
        (["--more-steps", "0"], "0 is not in the range"),
        (["--schedule", "rewarm"], "add --more-epochs"),
        (["--schedule", "faster", "--more-steps", "1"], "faster"),
        (["--checkpoint", "first"], "best, latest or the number"),
    ],
)
def test_wrong_use(store: Store, capsys: Output, arguments: list[str], message: str) -> None:
    run = store.create("tiny", spec_text="")
    assert message in printed(capsys, "resume", run.id, *arguments, code=2)[1]


def test_what_stop_says_of_those_that_do_not_run(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    quiet, live = store.create("quiet", spec_text=""), store.create("live", spec_text="")
    with Recorder(quiet):
        pass
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path\n"
            "from maquette.runs.recorder import Recorder; from maquette.runs.store import Run\n"
            "with Recorder(Run(Path(sys.argv[1]))): print('held', flush=True); sys.stdin.read()",
            str(live.path),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        out, err = printed(capsys, "stop", "quiet", "typo", "live", code=1)
        assert out == ""
        assert f"{quiet.id} is not running: it is stopped" in err
        assert "there is no run 'typo'" in err
        assert f"{live.id}: stopped" in err
        assert live.state().status == "stopped"
    finally:
        holder.kill()
        holder.communicate()


def test_ctrl_c_ends_the_waiting_only(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    def wait(_: object) -> State:
        raise KeyboardInterrupt

    live = store.create("live", spec_text="")
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    monkeypatch.setattr("maquette.runs.control.Ending.wait", wait)
    try:
        with Recorder(live):
            _, err = printed(capsys, "stop", "live", code=130)
            assert live.state().status == "running"
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]
    assert "not waiting any longer" in err


def test_an_extension_that_cannot_begin_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MAQUETTE_CACHE", str(tmp_path / "cache"))
    spec = tiny_spec(tmp_path)
    run = create_run(spec, Store(tmp_path / "runs"), spec_text="name: tiny\n", device="cpu")
    list(work(run))
    before = run.blueprint_path.read_text()
    (tmp_path / "text.txt").unlink()
    arguments = ["resume", run.id, "--more-steps", "3", "--runs-dir", str(tmp_path / "runs")]
    assert main(arguments) == 1
    assert "text.txt: no such file" in capsys.readouterr().err
    assert run.blueprint_path.read_text() == before
