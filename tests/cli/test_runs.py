"""ps, status and rm, on runs of every status."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from maquette.cli import main
from maquette.cli import table as tables
from maquette.cli.table import Cell, print_columns, print_pairs
from maquette.events import Evaluated, Finished, Started
from maquette.runs.recorder import Recorder
from maquette.runs.state import Telemetry
from maquette.runs.store import Run, Store
from tests.runs.conftest import save, step, train

Output = pytest.CaptureFixture[str]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("MAQUETTE_RUNS", str(tmp_path / "runs"))
    return Store()


@pytest.fixture
def done(store: Store) -> Run:
    run = store.create("done", spec_text="", command=["maquette", "train", "done.yaml"])
    train(run)
    return run


@pytest.fixture
def failed(store: Store) -> Run:
    run = store.create("failed", spec_text="")
    with pytest.raises(ZeroDivisionError), Recorder(run) as recorder:
        recorder.begin(steps=9, tokens_per_step=1)
        recorder.record(step(1))
        raise ZeroDivisionError("by nothing")
    return run


def printed(capsys: Output, *arguments: str, code: int = 0) -> tuple[str, str]:
    assert main(arguments) == code
    captured = capsys.readouterr()
    return captured.out, captured.err


def printed_json(capsys: Output, *arguments: str) -> Any:
    return json.loads(printed(capsys, *arguments, "--json")[0])


def test_ps(store: Store, done: Run, failed: Run, capsys: Output) -> None:
    out, err = printed(capsys, "ps")
    lines = out.splitlines()
    assert lines[0].split() == [
        "run", "status", "step", "loss", "validation", "tokens/s", "left", "age", "device",
    ]  # fmt: skip
    assert lines[1].startswith(failed.id)
    assert lines[2].split()[:6] == [done.id, "completed", "6/6", "4.400", "5.000", "6.40k"]
    assert err == ""
    rows = printed_json(capsys, "ps")
    assert [row["id"] for row in rows] == [failed.id, done.id]
    assert rows[1]["best_step"] == 4
    assert rows[1]["validation_loss"] == 5.0


IMAGES = {"task": "image-classification"}


def test_ps_and_status_of_images(store: Store, capsys: Output) -> None:
    run = store.create("shapes", spec_text="", spec=IMAGES)
    train(run)
    with Recorder(run) as recorder:
        recorder.begin(steps=7, tokens_per_step=64, after_step=6)
        recorder.record(Evaluated(6, "validation", 0.5, accuracy=0.8125, top5=1.0))
        recorder.record(Finished(6, "completed"))
    header, row = printed(capsys, "ps")[0].splitlines()
    names = ["run", "status", "step", "loss", "validation", "accuracy", "images/s"]
    assert header.split()[:7] == names
    assert "81.25%" in row
    assert printed_json(capsys, "ps")[0]["accuracy"] == 0.8125
    assert "validation 81.25%" in printed(capsys, "status", run.id)[0]
    train(store.create("text", spec_text=""))
    out = printed(capsys, "ps")[0]
    assert out.splitlines()[0].split()[6] == "speed"
    assert "6.40k tokens/s" in out


def test_ps_of_many(store: Store, capsys: Output) -> None:
    first = store.create("first", spec_text="")
    with first.lock():
        for _ in range(21):
            train(store.create("more", spec_text=""), last=1)
        out, err = printed(capsys, "ps")
        assert len(out.splitlines()) == 1 + 20 + 1  # the queued one is old, but not over
        assert "1 older" not in out
        assert "maquette ps --all" not in out
        assert err.startswith("1 older")
        assert len(printed(capsys, "ps", "-a")[0].splitlines()) == 1 + 22


def test_ps_without_runs(store: Store, capsys: Output) -> None:
    out, err = printed(capsys, "ps")
    assert out == ""
    assert "maquette train" in err
    assert printed_json(capsys, "ps") == []


def test_status(done: Run, capsys: Output) -> None:
    out, _ = printed(capsys, "status", "done")
    for expected in (
        "completed",
        "6 of 6 (100%), epoch 0.60",
        "training 4.400, validation 5.000, best 5.000 at step 4",
        "latest step 6, best step 4; 3 on disk",
        "1.23k parameters",
        "maquette train done.yaml",
        f"{os.getpid()} on ",
    ):
        assert expected in out
    content = printed_json(capsys, "status")
    assert content["meta"]["id"] == done.id
    assert [c["step"] for c in content["checkpoints"]] == [2, 4, 6]
    assert content["alive"] is False
    assert content["error"] is None


def test_status_of_a_failure(failed: Run, capsys: Output) -> None:
    out, _ = printed(capsys, "status", "fail")
    assert "ZeroDivisionError: by nothing" in out
    assert "worker.log has the whole story" in out
    assert "raise ZeroDivisionError" in out.partition("the end of ")[2]
    assert printed_json(capsys, "status", "latest")["error"]["message"].startswith("ZeroDivision")


def test_status_of_a_lost_run(store: Store, done: Run, capsys: Output) -> None:
    content = json.loads(done.state_path.read_text())
    content["status"] = "running"
    done.state_path.write_text(json.dumps(content))
    out, _ = printed(capsys, "status")
    assert "perhaps for lack of memory" not in out  # its process, this one, lives: but not for it
    assert "maquette resume done" in out
    assert "from step 6" in out
    found = printed_json(capsys, "status")
    assert found["status"] == "lost"
    assert found["lost"]["resume_from_step"] == 6
    assert found["alive"] is False


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"started": "1"}, "was killed, perhaps for lack of memory, last heard of"),
        ({"boot": "another"}, "the machine was restarted since, last heard of"),
        ({"boot": "another", "host": "elsewhere"}, "nothing comes from elsewhere any more"),
    ],
)
def test_how_a_worker_was_lost(
    done: Run, capsys: Output, change: dict[str, str], cause: str
) -> None:
    content = json.loads(done.state_path.read_text())
    content |= {"status": "running", "heartbeat_at": content["heartbeat_at"] - 7200}
    content["process"] |= change
    done.state_path.write_text(json.dumps(content))
    out, _ = printed(capsys, "status")
    assert cause in out
    assert "last heard of 2h ago" in out


def test_status_of_a_live_run(store: Store, capsys: Output) -> None:
    run = store.create("live", spec_text="")
    figures = Telemetry(173.2, 3 << 30, 24 << 30, 55.0, 10 << 30, 80 << 30, "as told")
    with Recorder(run) as recorder:
        recorder.begin(steps=100, tokens_per_step=64, telemetry=lambda: figures)
        recorder.record(Started(0, 100, 1234, "cpu", "float32", False))
        recorder.record(step(1))
        recorder.record(save(run, 1))
        out, _ = printed(capsys, "status")
        for expected in (
            f"{os.getpid()} on ",
            "which lives",
            "CPU 173% (100% is one core), memory 3.00 GiB of 24.0 GiB",
            "55% in use, memory 10.0 GiB of 80.0 GiB, as told",
            ", until ",
        ):
            assert expected in out
        content = printed_json(capsys, "status")
        assert content["alive"] is True
        assert content["telemetry"]["cpu_percent"] == 173.2
        assert content["ends_at"] == content["heartbeat_at"] + content["eta_seconds"]
        content = json.loads(run.state_path.read_text())
        content["heartbeat_at"] -= 90
        run.state_path.write_text(json.dumps(content))
        assert "last heard of 1min ago" in printed(capsys, "status")[0]


def test_status_of_nothing(store: Store, done: Run, capsys: Output) -> None:
    _, err = printed(capsys, "status", "dune", code=1)
    assert err.startswith("error: there is no run 'dune'")
    assert done.id in err


def test_rm(store: Store, done: Run, failed: Run, capsys: Output) -> None:
    _, err = printed(capsys, "rm", "done", code=2)
    assert "add --yes" in err
    assert done.path.exists()
    out, err = printed(capsys, "rm", "--yes", "done", done.id, "failed")
    assert out == ""
    assert err.splitlines() == [f"removed {done.id}", f"removed {failed.id}"]
    assert store.list() == []
    gone = store.create("gone", spec_text="")
    train(gone, last=1)
    assert printed_json(capsys, "rm", "-y", "gone")[0] == {
        "id": gone.id,
        "path": str(gone.path),
        "removed": True,
    }


def test_rm_refuses_a_live_run(store: Store, done: Run, capsys: Output) -> None:
    live = store.create("live", spec_text="")
    for queued, status in ((False, "running"), (True, "queued")):
        with Recorder(live, queued=queued):
            out, err = printed(capsys, "rm", "-y", "live", "--json", code=1)
        assert json.loads(out) == []
        assert f"{live.id} is {status}" in err
        assert "maquette stop" in err
    assert [run.id for run in store.list()] == [live.id, done.id]


def test_rm_deletes_those_that_it_can_and_names_the_rest(
    store: Store, done: Run, failed: Run, capsys: Output
) -> None:
    live = store.create("live", spec_text="")
    with Recorder(live):
        arguments = ["rm", "-y", "nonsense", "done", "live", "failed", "--json"]
        out, err = printed(capsys, *arguments, code=1)
    assert [row["id"] for row in json.loads(out)] == [done.id, failed.id]
    for words in ("no run 'nonsense'", f"{live.id} is running", f"removed {failed.id}"):
        assert words in err
    assert [run.id for run in store.list()] == [live.id]
    assert "can't ask" not in printed(capsys, "rm", "nonsense", code=1)[1]  # for nothing


@pytest.mark.parametrize("content", [None, "[", "3"])
def test_a_run_without_its_meta_is_shown_and_can_be_deleted(
    store: Store, done: Run, content: str | None, capsys: Output
) -> None:
    (done.path / "meta.json").unlink()
    if content is not None:
        (done.path / "meta.json").write_text(content)
    damage = "meta.json is damaged" if content else "meta.json is missing"
    out, _ = printed(capsys, "ps")
    assert out.splitlines()[1].split()[:4] == [done.id, "completed,", "damaged", "6/6"]
    out, _ = printed(capsys, "status", "done")
    assert damage in out
    assert f"`maquette rm {done.id}` deletes it" in out
    assert printed_json(capsys, "status")["damage"] == damage
    assert f"removed {done.id}" in printed(capsys, "rm", "-y", "done")[1]
    assert store.list() == []


def test_what_a_worker_does_before_it_trains(store: Store, capsys: Output) -> None:
    run = store.create("live", spec_text="")
    with Recorder(run) as recorder:
        assert "  running: preparing data  " in printed(capsys, "ps")[0]
        for doing in ("preparing data: a, train", "starting"):
            recorder.tell(doing)
            assert f"running: {doing}\n" in printed(capsys, "status")[0]
            assert printed_json(capsys, "ps")[0]["doing"] == doing
        recorder.begin(steps=9, tokens_per_step=1)
        recorder.record(Started(0, 9, 1234, "cpu", "float32", False))
        assert "status       running\n" in printed(capsys, "status")[0]
        assert printed_json(capsys, "status")["doing"] is None
    assert run.state().doing is None


def test_commands_in_hints_name_a_run_of_another_folder(
    store: Store, done: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.delenv("MAQUETTE_RUNS")
    monkeypatch.chdir(tmp_path.parent)
    option = ["--runs-dir", str(store.root)]
    content = json.loads(done.state_path.read_text())
    done.state_path.write_text(json.dumps({**content, "status": "running"}))
    out, _ = printed(capsys, "status", *option)
    assert f"`maquette resume {done.path}` goes on" in out
    _, err = printed(capsys, "stop", "done", *option, code=1)
    assert f"`maquette resume {done.path}` goes on" in err
    _, err = printed(capsys, "status", "zzz", *option, code=1)
    assert f"`maquette ps -a --runs-dir {store.root}`" in err
    _, err = printed(capsys, "ps", "--runs-dir", f"{tmp_path}/none")
    assert f"`maquette train SPEC --runs-dir {tmp_path}/none`" in err
    assert main(["status", str(done.path)]) == 0  # what was told works


def test_an_unreadable_runs_folder(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "file").write_text("")
    _, err = printed(capsys, "ps", "--runs-dir", str(tmp_path / "file"), code=2)
    assert "is a file" in err


def test_a_narrow_table_leaves_columns_out(capsys: Output) -> None:
    rows = [[Cell("a-b-c"), Cell("running"), Cell("1"), Cell("2"), Cell("3")]]
    print_columns(("run", "status", "x", "yy", "zzz"), rows, left=2, width=20)
    assert capsys.readouterr().out == "run    status   x\na-b-c  running  1\n"
    print_columns(("run", "status", "x", "yy", "zzz"), rows, left=2, width=None)
    assert capsys.readouterr().out.splitlines()[0] == "run    status   x  yy  zzz"
    print_columns(("run", "status", "x", "yy", "zzz"), rows, left=2, width=3)
    assert capsys.readouterr().out.splitlines()[1] == "a-b-c  running"


def test_long_values_go_on_below(capsys: Output) -> None:
    print_pairs([("a", Cell("word " * 10)), ("long", Cell(""))], width=30)
    assert capsys.readouterr().out.splitlines() == [
        "a     word word word word word",
        "      word word word word word",
        "long",
    ]


def test_colours_need_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    assert tables.paint("x", "red") == "x"
    monkeypatch.setattr("sys.stdout", Terminal())
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert tables.paint("x", "red") == "\x1b[31mx\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert tables.paint("x", "red") == "x"
