"""compare as it is typed: what it prints at every width, its picture, and what it refuses."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from maquette.cli import comparing, main
from maquette.cli import table as tables
from maquette.comparison import ABSENT, compare
from maquette.runs.store import Run, Store
from tests.test_comparison import make_run

Output = pytest.CaptureFixture[str]


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Run, Run]:
    monkeypatch.setenv("MAQUETTE_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("COLUMNS", "100")
    slow = make_run(Store(), "train: {batch_size: 8}", losses=(5, 4, 3.5, 3.25), name="slow")
    fast = make_run(Store(), "train: {learning_rate: 0.01}", losses=(5, 3, 2), name="fast")
    return slow, fast


def test_the_whole_report(pair: tuple[Run, Run], capsys: Output) -> None:
    assert main(["compare", "slow", "fast"]) == 0
    out = capsys.readouterr().out
    lines = [line.split() for line in out.splitlines()]
    slow = pair[0]
    assert ["A", slow.id, "completed", "step", "30", "of", "30"] in lines
    assert ["train.batch_size", "8", "32"] in lines
    assert ["train.learning_rate", "0.001", "0.01"] in lines
    assert ["final", "3.2500", "2.0000*"] in lines
    assert ["at", "step", "20", "3.5000", "2.0000*"] in lines
    assert ["after", "20s", "3.5000", "2.0000*"] in lines
    assert ["after", "61.4k", "tokens", "3.2500*", "~3.5000"] in lines
    assert "training loss" in out
    assert re.search(r"^     5 │[AB]", out, re.M)
    assert "\x1b" not in out


@pytest.mark.parametrize("width", [40, 60, 120])
def test_nothing_is_wider_than_the_terminal(
    pair: tuple[Run, Run], width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = make_run(
        Store(), f"data: {{sources: {{text: {{kind: files, path: {'/a/long/path' * 9}}}}}}}"
    )
    for coloured in (False, True):
        monkeypatch.setattr(tables, "coloured", lambda on=coloured: on)
        monkeypatch.setattr(comparing, "coloured", lambda on=coloured: on)
        lines = comparing.report(compare([*pair, long]), "seconds", width)
        plain = [re.sub(r"\x1b\[\d+m", "", line) for line in lines]
        words = [line for line in plain if len(line) > width]
        # Ids and paths stay whole, to be copied.
        assert not [line for line in words if "/a/long/path" not in line]
        assert any("⠀" < c <= "⣿" for line in plain for c in line) == coloured
        assert plain != lines or not coloured
        # One value that is long doesn't keep the others from standing in columns.
        columns = ["train.batch_size", "8", "32", "32"] in [line.split() for line in plain]
        assert columns == (width == 120)


def test_json_and_picture(pair: tuple[Run, Run], tmp_path: Path, capsys: Output) -> None:
    png = tmp_path / "curves.png"
    assert main(["compare", "slow", "fast", "--by", "time", "--png", str(png), "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["differences"]["train.batch_size"][pair[0].id] == 8
    with Image.open(png) as picture:
        assert picture.format == "PNG"
    assert str(png) in captured.err


def test_what_is_refused(pair: tuple[Run, Run], capsys: Output) -> None:
    assert main(["compare", "slow"]) == 2
    assert "needs two runs" in capsys.readouterr().err
    assert main(["compare", "slow", "nobody", "noone"]) == 1
    said = capsys.readouterr().err
    assert "nobody" in said
    assert "noone" in said
    assert main(["compare"]) == 2


def test_a_run_without_metrics_is_said(pair: tuple[Run, Run], capsys: Output) -> None:
    pair[1].metrics_path.unlink()
    assert main(["compare", "slow", "fast"]) == 0
    out = capsys.readouterr().out
    assert f"note: {pair[1].id}: has no metrics yet" in out
    assert ["final", "3.2500", "-"] in [line.split() for line in out.splitlines()]


def test_what_a_terminal_would_obey_is_escaped() -> None:
    assert comparing.text_of("a b") == "a b"
    assert comparing.text_of("ROMEO:\n") == '"ROMEO:\\n"'
    assert comparing.text_of("\x9b31m") == '"\\u009b31m"'
    assert comparing.text_of("") == '""'
    assert comparing.text_of(None) == "null"
    assert comparing.text_of(ABSENT) == "-"
