import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer

from maquette.cli import data
from maquette.cli.data import paint_tokens
from maquette.data.prepare import Progress
from maquette.errors import DataError


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MAQUETTE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "train.txt").write_text("a b\n|the dog|one\ttwo é|" + "more text\n" * 30)
    (tmp_path / "valid.txt").write_text("the dog|a fish")
    path = tmp_path / "spec.yaml"
    path.write_text(
        "data:\n  sources:\n    mine: {kind: files, path: train.txt, validation_path: valid.txt,"
        " separator: '|'}\n"
    )
    return str(path)


def run(*arguments: str) -> None:
    data.app(args=list(arguments), standalone_mode=False)


def read(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_prepare_tells_what_there_is_and_that_it_is_used_again(
    spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run("prepare", spec)
    first = capsys.readouterr()
    lines = [line.split() for line in first.out.splitlines()]
    assert lines[0] == ["source", "split", "documents", "tokens", "bytes", "bytes/token"]
    assert lines[1][:3] == ["mine", "train", "4"]
    assert lines[2] == ["mine", "validation", "2", "15", "13", "1.00"]
    assert lines[3] == ["bytes", "tokenizer,", "256", "ids"]
    assert "preparing data: mine, train" in first.err
    assert "prepared in" in first.err
    run("prepare", spec)
    again = capsys.readouterr()
    assert again.out == first.out
    assert again.err.startswith("nothing has changed: ")


def test_prepare_obeys_overrides(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    run("prepare", spec, "--set", "tokenizer={kind: bpe, vocabulary: 262}", "--json")
    described = read(capsys)
    assert (described["tokenizer"], described["vocabulary"]) == ("bpe", 262)
    assert not described["reused"]
    assert described["sources"]["mine"]["validation"]["documents"] == 2
    assert Path(described["path"]).name == described["key"]


def test_list_shows_the_cache(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    run("list")
    nothing = capsys.readouterr()
    assert nothing.out == ""
    assert "nothing is prepared" in nothing.err
    run("prepare", spec)
    capsys.readouterr()
    run("list")
    assert "mine (files)" in capsys.readouterr().out
    run("list", "--json")
    (entry,) = read(capsys)
    assert entry["sources"] == {"mine": "files"}
    assert 0 <= entry["age_seconds"] < 60
    assert Path(entry["path"]).is_dir()


def test_inspect_looks_at_samples_and_copies(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    run("inspect", spec, "--tokens", "9")
    out = capsys.readouterr().out
    assert "mine, the first 9 tokens of training:\na|·|b|<end of text>\n|t|h|e|·|d\n" in out
    assert "mine: 1 of its 2 validation documents is in the training text too" in out
    assert "'the dog'" in out
    run("inspect", spec, "--json", "--tokens", "2")
    found = read(capsys)
    assert found["duplicates"] == {"mine": {"documents": 1, "of": 2, "example": "the dog"}}
    assert found["samples"] == {"mine": [{"id": 97, "text": "a"}, {"id": 32, "text": " "}]}


def test_clean_removes(
    spec: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run("prepare", spec, "--json")
    path = Path(read(capsys)["path"])
    with pytest.raises(DataError, match="no prepared data has a key that begins with 'zz'"):
        run("clean", "zz")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(typer.Abort):
        run("clean", path.name[:6])
    assert path.is_dir()
    run("clean", path.name[:6], "--yes")
    assert not path.exists()
    run("clean")
    assert "nothing to remove" in capsys.readouterr().err


def test_tokens_are_told_apart_with_and_without_colour() -> None:
    pieces = [b"a", b" b\n", b"\xc3", b"\t\x1b", b""]
    assert paint_tokens(pieces, colour=False) == "a|·b↵\n|<c3>|→<1b>|<end of text>\n"
    painted = paint_tokens(pieces, colour=True)
    assert re.sub(r"\x1b\[[\d;]*m", "", painted) == "a·b↵\n<c3>→<1b><end of text>\n"
    assert re.findall(r"\x1b\[30;(\d+)m", painted) == ["43", "46", "43", "46", "43"]
    assert all(line.endswith("\x1b[0m") for line in painted.splitlines())


def test_plain_progress_speaks_seldom(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 1.0, 11.0, 11.5, 12.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    with data.preparing() as progress:
        for stage, size in (("tokenizer", 1), ("tokenizer", 2), ("tokenizer", 2048)):
            progress(Progress(stage, "a", "train", 0, 0, size, 4096))  # type: ignore[arg-type]
        progress(Progress("tokens", "a", "train", 0, 0, 1, None))
        progress(Progress("tokens", "a", "train", 0, 0, 2, None))
    assert capsys.readouterr().err.splitlines() == [
        "preparing data: training the tokenizer",
        "preparing data: training the tokenizer: 2.00 KiB of about 4.00 KiB",
        "preparing data: a, train",
    ]


def test_inspect_marks_what_chat_fine_tuning_learns(
    spec: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = "data.sources={primer: {kind: dialogues}}"
    run("inspect", spec, "--set", chat, "--tokens", "32")
    out = capsys.readouterr().out
    assert "[[what chat fine-tuning learns]], what it only reads\n" in out
    assert "|o|!|↵\n|a|s|s|i|s|t|a|n|t|:|·[[H|e|l|l|o|!|·|I]]\n" in out
    run("inspect", spec, "--set", chat, "--tokens", "26", "--json")
    tokens = read(capsys)["samples"]["primer"]
    assert [token["trained"] for token in tokens] == [False] * 24 + [True] * 2
    monkeypatch.setattr(data, "_colour", lambda: True)
    run("inspect", spec, "--set", chat, "--tokens", "26")
    out = capsys.readouterr().out
    assert "\x1b[30;43mwhat chat fine-tuning learns\x1b[0m, \x1b[90mwhat it only reads" in out
    assert "\x1b[90mu\x1b[0m\x1b[2ms\x1b[0m" in out
    assert "\x1b[30;43mH\x1b[0m\x1b[30;46me\x1b[0m\n" in out


def test_what_was_skipped_is_told(
    spec: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notes = tmp_path / "notes"
    (notes / ".obsidian").mkdir(parents=True)
    for name in ("a.md", "b.md", "c.png"):
        (notes / name).write_text(f"text of {name}")
    chosen = "data.sources={mine: {kind: notes, path: " + str(notes) + "}}"
    for command in ("prepare", "inspect"):
        run(command, spec, "--set", chosen)
        assert "mine: skipped: 1 hidden, 1 not Markdown\n" in capsys.readouterr().out
    run("prepare", spec, "--set", chosen, "--json")
    assert read(capsys)["remarks"] == {"mine": ["skipped: 1 hidden, 1 not Markdown"]}


def test_brackets_close_before_a_line_ends() -> None:
    tokens = [b"a", b"b", b"\n", b"c"]
    marked = paint_tokens(tokens, colour=False, trained=[False, True, True, False])
    assert marked == "a[[b|↵]]\nc"
