"""watch and logs, of runs in every state, with things happening while they look on."""

import io
import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from maquette import worker
from maquette.cli import common, main, panel, watch
from maquette.events import Evaluated, Finished, Started
from maquette.runs.queue import Ticket
from maquette.runs.recorder import Recorder
from maquette.runs.store import Run, Store
from tests.runs.conftest import step, train
from tests.runs.test_recorder import WORK

Output = pytest.CaptureFixture[str]
Play = Callable[[Iterator[None]], None]
LINES = "".join(f"line {i}\n" for i in range(1, 6))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("MAQUETTE_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("MAQUETTE_CACHE", str(tmp_path / "cache" / "data"))
    return Store()


@pytest.fixture
def run(store: Store) -> Run:
    return store.create("tiny", spec_text="", blueprint_text="{}")


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Play:
    """Whenever watch sleeps, the next part of the script is played; at its end it may not sleep."""

    def prepare(script: Iterator[None]) -> None:
        def sleep(_: float) -> None:
            next(script)

        monkeypatch.setattr(watch, "time", SimpleNamespace(sleep=sleep))
        monkeypatch.setattr(watch, "_wait_for_output", sleep)

    return prepare


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a terminal of 90 columns is sent, at every change."""
    monkeypatch.setattr(panel, "REFRESH_SECONDS", 0.0)
    monkeypatch.setattr(panel, "COST_SHARE", math.inf)
    file = io.StringIO()
    environment = {"TERM": "xterm-256color"}
    console = Console(file=file, width=90, height=30, force_terminal=True, _environ=environment)
    monkeypatch.setattr(common, "out", lambda: console)
    return file


def frame(terminal: io.StringIO) -> str:
    """The last panel."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue().rpartition("╭")[2])


def watched(capsys: Output, *arguments: str, code: int = 0) -> tuple[list[str], str]:
    assert main(["watch", *arguments]) == code
    captured = capsys.readouterr()
    return captured.out.splitlines(), captured.err


def interrupted() -> Iterator[None]:
    yield from ()
    raise KeyboardInterrupt


def test_from_the_queue_to_the_end(run: Run, play: Play, capsys: Output) -> None:
    run.blueprint_path.unlink()
    folder = worker.queue_folder()

    def happens() -> Iterator[None]:
        with Ticket(folder, "cpu") as other, Ticket(folder, "cpu") as ticket:
            other.work()
            with Recorder(run, queued=True) as recorder:
                yield
                yield
                ticket.work()
                recorder.leave_queue()
                yield
                recorder.tell("starting")
                yield
                recorder.begin(steps=4, tokens_per_step=64)
                recorder.record(Started(0, 4, 1234, "cpu", "float32", False))
                yield
                recorder.record(step(1))
                yield
                for number in (2, 3, 4):
                    recorder.record(step(number))
                recorder.record(Evaluated(4, "validation", 5.0, 148.0, 7.2, None, True, 0.01))
                recorder.record(Finished(4, "completed"))
                yield
        yield

    play(happens())
    lines, err = watched(capsys, "tiny")
    assert [re.sub("  tokens.*", "", line) for line in lines] == [
        f"{run.id}: queued",
        f"{run.id}: queued, 1 ahead",
        f"{run.id}: preparing data",
        f"{run.id}: starting",
        f"{run.id}: 1.23k parameters, cpu, float32, 4 steps",
        "step 1/4  loss 2.000",
        "step 4/4  loss 2.000",
        "step 4: validation loss 5.000 (best), perplexity 148.00",
        "completed at step 4",
    ]
    assert err == ""


def test_a_run_that_is_over(run: Run, capsys: Output) -> None:
    train(run)
    lines, _ = watched(capsys)
    assert lines[0] == f"{run.id}: 1.23k parameters, cpu, float32, 6 steps"
    assert lines[1].startswith("step 6/6  loss 4.650  validation 5.000 (best 5.000 at 4)")
    assert lines[2:] == ["completed at step 6"]


def test_as_json_the_events_come_as_they_are_written_and_the_state_last(
    run: Run, play: Play, capsys: Output
) -> None:
    def happens() -> Iterator[None]:
        with Recorder(run) as recorder:
            recorder.begin(steps=4, tokens_per_step=64)
            recorder.record(step(1))
            yield
            assert json.loads(capsys.readouterr().out)["step"] == 1, "printed when it happened"
            recorder.record(Evaluated(1, "validation", math.inf, math.inf, 7.2, None, True, 0.01))
            yield
        yield

    play(happens())
    lines, err = watched(capsys, "--json")
    rows = [json.loads(line, parse_constant=pytest.fail) for line in lines]
    assert rows[:-1] == list(map(json.loads, run.metrics_path.read_text().splitlines()))[1:]
    assert rows[0]["loss"] is None
    assert rows[-1] == {"id": run.id, **json.loads(run.state_path.read_text())}
    assert rows[-1]["status"] == "stopped"
    assert err == ""


def test_the_panel(run: Run, terminal: io.StringIO) -> None:
    train(run)
    assert main(["watch"]) == 0
    shown = frame(terminal)
    for words in (run.id, "6/6  100%  completed", "1.23k parameters, cpu, float32", "step 6 wrote"):
        assert words in shown


def test_a_stopped_run(run: Run, play: Play, terminal: io.StringIO) -> None:
    def happens() -> Iterator[None]:
        with Recorder(run) as recorder:
            recorder.begin(steps=9, tokens_per_step=1)
            recorder.record(step(1))
            yield
            recorder.record(Finished(1, "stopped"))
        yield

    play(happens())
    assert main(["watch"]) == 0
    assert "1/9  11%  stopped" in frame(terminal)


def test_a_failure(run: Run, play: Play, terminal: io.StringIO, capsys: Output) -> None:
    def happens() -> Iterator[None]:
        with pytest.raises(MemoryError), Recorder(run) as recorder:
            recorder.begin(steps=9, tokens_per_step=1)
            yield
            raise MemoryError
        yield

    play(happens())
    assert main(["watch"]) == 1
    assert "failed" in frame(terminal)
    err = capsys.readouterr().err
    assert err.startswith(f"error: {run.id} failed: out of memory\n  try a smaller")


def test_a_worker_that_is_killed(
    run: Run, play: Play, terminal: io.StringIO, capsys: Output
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WORK, str(run.path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:

        def happens() -> Iterator[None]:
            process.kill()
            process.wait()
            yield

        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"at work\n"
            play(happens())  # the next look must see it
            assert main(["watch"]) == 1
        finally:
            process.kill()
    assert "1/9  11%  lost" in frame(terminal)
    assert "lost: its process was killed" in capsys.readouterr().err


def test_a_run_that_never_began(run: Run, capsys: Output) -> None:
    run.lock_path.unlink()  # whoever made it is gone
    _, err = watched(capsys, code=1)
    assert err == (
        f"error: {run.id} is lost: no worker ever took it up\n"
        f"  `maquette resume {run.id}` goes on with it, `maquette rm {run.id}` deletes it\n"
    )


def test_ctrl_c_ends_the_watching_only(run: Run, play: Play, capsys: Output) -> None:
    play(interrupted())
    with Recorder(run):
        _, err = watched(capsys)
        assert run.state().status == "running"
    assert err.startswith(f"{run.id} goes on; ")


@pytest.mark.parametrize("command", [["watch"], ["logs", "-f"]])
def test_a_run_that_is_deleted(command: list[str], run: Run, play: Play, capsys: Output) -> None:
    def happens() -> Iterator[None]:
        shutil.rmtree(run.path)
        yield

    play(happens())
    assert main(command) == 1
    assert f"error: {run.id} is gone: its folder was deleted" in capsys.readouterr().err


def test_a_run_that_begins_again_from_an_earlier_step(
    run: Run, play: Play, terminal: io.StringIO
) -> None:
    train(run, last=6, finish=False)

    def happens() -> Iterator[None]:
        yield
        recorder.begin(steps=9, tokens_per_step=64, after_step=2)
        recorder.record(Started(2, 9, 1234, "cpu", "float32", False))
        yield
        recorder.record(step(3))
        recorder.record(Finished(3, "stopped"))
        recorder.__exit__(None, None, None)
        yield

    recorder = Recorder(run).__enter__()
    play(happens())
    assert main(["watch"]) == 0
    shown = terminal.getvalue()
    assert shown.index("6/6") < shown.index("starting") < shown.index("2/9") < shown.index("3/9")
    assert "step 2 wrote" in frame(terminal)


def damage(run: Run, how: str) -> None:
    rows = run.metrics_path.read_bytes().splitlines(True)
    match how:
        case "no state":
            run.state_path.unlink()
        case "half a state":
            run.state_path.write_text('{"status": "comple')
        case "numbers that are none":
            content = json.loads(run.state_path.read_text())
            content |= dict.fromkeys(
                ("eta_seconds", "tokens_per_second", "best_loss"), float("nan")
            )
            run.state_path.write_text(json.dumps(content))
            text = run.metrics_path.read_text()
            text = text.replace('"loss": 5.0', '"loss": Infinity').replace("4.7", "null")
            run.metrics_path.write_text(text.replace("4.8", "1e308").replace("4.4", "-3"))
        case "corrupt rows":
            rows[1] = rows[1][:20] + b"\x00\xff\n"
            rows[3] = b'{"event": "step", "step": "x"}\n[1]\n\n{"event": {}}\n'
            run.metrics_path.write_bytes(b"".join(rows) + b'{"event": "st')
        case "no metrics":
            run.metrics_path.unlink()
        case "no meta":
            (run.path / "meta.json").write_text("{")
        case "commands to the terminal":
            text = run.metrics_path.read_text().replace('"cpu"', r'"\u001b[2Jcpu"')
            run.metrics_path.write_text(text)


@pytest.mark.parametrize(
    "how",
    ["no state", "half a state", "numbers that are none", "corrupt rows", "no metrics", "no meta",
     "commands to the terminal"],
)  # fmt: skip
def test_damage(how: str, run: Run, terminal: io.StringIO, capsys: Output) -> None:
    train(run)
    damage(run, how)
    assert main(["watch"]) == 0, capsys.readouterr().err
    lines = frame(terminal).rstrip().splitlines()
    assert {len(line) for line in lines[1:]} == {90}
    assert "completed" in lines[1]
    assert "\x1b[2J" not in terminal.getvalue()


def test_a_state_that_is_missing_while_the_worker_lives(
    run: Run, play: Play, terminal: io.StringIO
) -> None:
    def happens() -> Iterator[None]:
        yield
        run.state_path.unlink(missing_ok=True)
        yield
        run.state_path.unlink(missing_ok=True)
        recorder.__exit__(None, None, None)
        run.state_path.unlink(missing_ok=True)
        yield

    recorder = Recorder(run).__enter__()
    recorder.begin(steps=9, tokens_per_step=64)
    recorder.record(Started(0, 9, 1234, "cpu", "float32", False))
    recorder.record(step(5))
    run.state_path.unlink()
    play(happens())
    assert main(["watch"]) == 1
    assert "5/9  56%  lost" in frame(terminal)


def test_the_overview_of_a_large_run(
    run: Run, terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(run, last=400, every=100)
    monkeypatch.setattr("maquette.runs.tail.WHOLE_BYTES", 0)
    monkeypatch.setattr("maquette.runs.tail.Tail.__init__.__kwdefaults__", {"rows": 9, "points": 9})
    assert main(["watch"]) == 0
    shown = frame(terminal)
    assert "400/400  100%  completed" in shown
    assert "step 400 wrote Once upon a time" in shown


def test_logs(run: Run, capsys: Output) -> None:
    run.log_path.write_text(LINES)
    assert main(["logs"]) == 0
    assert capsys.readouterr().out == LINES
    assert main(["logs", "tiny", "-n", "2"]) == 0
    assert capsys.readouterr().out == "line 4\nline 5\n"
    assert main(["logs", "-n", "-1"]) == 2


def test_logs_as_json(run: Run, play: Play, capsys: Output) -> None:
    def happens() -> Iterator[None]:
        with run.log_path.open("a") as file, Recorder(run):
            file.write('a "half')
            file.flush()
            yield
            file.write(' line"\n')
            file.flush()
            yield
        with run.log_path.open("ab") as file:
            file.write(b"torn \xff")
        yield

    play(happens())
    assert main(["logs", "-f", "--json"]) == 0
    lines = [json.loads(line)["line"] for line in capsys.readouterr().out.splitlines()]
    assert lines[1] == 'a "half line"'
    assert lines[-1] == "torn \ufffd"
    assert [line[20:] for line in (lines[0], lines[2])] == ["running", "stopped"]


def test_logs_of_a_run_that_never_began(run: Run, capsys: Output) -> None:
    assert main(["logs"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"error: {run.id} has no worker.log")


def test_logs_follow_until_the_end(run: Run, play: Play, capsys: Output) -> None:
    def happens() -> Iterator[None]:
        with Recorder(run) as recorder:
            yield
            recorder.log("half of it")
            yield
        yield

    play(happens())
    assert main(["logs", "-f"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[20:] for line in lines] == ["running", "half of it", "stopped"]


def test_ctrl_c_ends_following_quietly(run: Run, play: Play, capsys: Output) -> None:
    play(interrupted())
    with Recorder(run):
        assert main(["logs", "-f", "-n", "0"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.skipif(os.name == "nt", reason="needs poll")
@pytest.mark.parametrize("follow", [False, True])
def test_a_reader_of_logs_that_has_gone(run: Run, follow: bool) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with Recorder(run):  # -f would wait for it for long
        run.log_path.write_text("" if follow else LINES)
        command = [sys.executable, "-m", "maquette", "logs", *(["-f"] if follow else [])]
        done = subprocess.run(
            command, stdout=writing, stderr=subprocess.PIPE, timeout=60, check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")
