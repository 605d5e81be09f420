"""rename and archive: what they change, and that everything else stays."""

import json
from pathlib import Path

import pytest

from maquette.cli import main
from maquette.runs.label import Label, read_label, write_label
from maquette.runs.store import Run, Store

Output = pytest.CaptureFixture[str]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("MAQUETTE_RUNS", str(tmp_path / "runs"))
    return Store()


@pytest.fixture
def run(store: Store) -> Run:
    return store.create("tiny", spec_text="")


def files(run: Run) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in run.path.iterdir()
        if path.is_file() and path.name != "label.json"
    }


def test_a_name_is_told_and_the_id_stays(store: Store, run: Run, capsys: Output) -> None:
    before = files(run)
    assert main(["rename", run.id, "the [good] one 🦦"]) == 0
    assert main(["ps"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0].split()[-1] == "name"
    assert table[1].startswith(run.id)
    assert table[1].endswith("the [good] one 🦦")
    assert main(["status", run.id, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["id"], told["name"]) == (run.id, "the [good] one 🦦")
    assert files(run) == before
    assert main(["rename", run.id, ""]) == 0
    assert read_label(run.path) == Label()


@pytest.mark.parametrize("name", ["two\nlines", "\x1b[31mred", "x" * 81])
def test_a_name_that_no_line_could_show_is_refused(run: Run, capsys: Output, name: str) -> None:
    assert main(["rename", run.id, name]) == 1
    assert not (run.path / "label.json").exists()
    assert capsys.readouterr().err.startswith("error: ")


def test_archived_runs_are_listed_with_all_only(store: Store, run: Run, capsys: Output) -> None:
    other = store.create("other", spec_text="")
    assert main(["rename", run.id, "kept"]) == 0
    assert main(["archive", run.id]) == 0
    capsys.readouterr()
    assert main(["ps"]) == 0
    told = capsys.readouterr()
    assert other.id in told.out
    assert run.id not in told.out
    assert "1 put away" in told.err
    assert main(["ps", "--all", "--json"]) == 0
    listed = {row["id"]: row["archived"] for row in json.loads(capsys.readouterr().out)}
    assert listed == {run.id: True, other.id: False}
    assert main(["archive", "--undo", run.id]) == 0
    assert read_label(run.path) == Label("kept")
    assert store.find(run.id).path == run.path


def test_where_all_are_put_away_ps_says_so(run: Run, capsys: Output) -> None:
    assert main(["archive", run.id]) == 0
    capsys.readouterr()
    assert main(["ps"]) == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert "ps --all" in told.err
    assert "no runs" not in told.err


def test_a_name_of_no_run_fails_and_the_others_are_archived(run: Run, capsys: Output) -> None:
    assert main(["archive", "nothing-like-it", run.id]) == 1
    assert read_label(run.path).archived


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"name": 3, "archived": "yes"}', '{"name": "a\\nb"}', "[" * 100_000]
)
def test_a_damaged_label_is_none(run: Run, text: str) -> None:
    (run.path / "label.json").write_text(text)
    assert read_label(run.path) == Label()


def test_a_label_comes_back_as_it_was_written(run: Run) -> None:
    write_label(run.path, Label("été", archived=True))
    assert read_label(run.path) == Label("été", archived=True)
