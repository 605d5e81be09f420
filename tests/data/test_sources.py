from pathlib import Path

import pytest
from pydantic import TypeAdapter

from maquette.data.source import SizedSource
from maquette.data.sources import SOURCES, open_source
from maquette.errors import DataError
from maquette.spec.schema import Source, StoriesSource

PARTS: dict[str, dict[str, object]] = {
    "stories": {"kind": "stories", "stories": 100},
    "files": {"kind": "files", "path": "text.txt"},
    "wikitext": {"kind": "wikitext"},
    "hub": {"kind": "hub", "dataset": "owner/rows"},
    "notes": {"kind": "notes", "path": "."},
    "dialogues": {"kind": "dialogues"},
}


def part(value: dict[str, object]) -> Source:
    adapter: TypeAdapter[Source] = TypeAdapter(Source)
    return adapter.validate_python(value)


@pytest.mark.parametrize("kind", SOURCES)
def test_every_kind_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text("some text\n" * 20)
    source = open_source("mine", part(PARTS[kind]), seed=1)
    assert source.splits()[:2] == ("train", "validation")
    assert source.fingerprint()["kind"] == kind
    assert source.count_words == (kind == "wikitext")


def test_only_sources_that_split_here_follow_the_seed(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("some text")
    values: list[dict[str, object]] = [
        {"kind": "files", "path": str(tmp_path / "text.txt")},
        {"kind": "notes", "path": str(tmp_path)},
        {"kind": "dialogues"},
    ]
    for value in values:
        prints = [open_source("a", part(value), seed).fingerprint() for seed in (0, 1)]
        assert prints[0] != prints[1]
    stories = StoriesSource(kind="stories")
    assert len({str(open_source("a", stories, seed).fingerprint()) for seed in (0, 1)}) == 1


def test_files_know_their_size(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("some text")
    files = open_source("a", part({"kind": "files", "path": str(tmp_path / "*.txt")}), 0)
    assert isinstance(files, SizedSource)


def test_errors_begin_with_the_source(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^data\.sources\.mine: .*gone\.txt: no such file"):
        open_source("mine", part({"kind": "files", "path": str(tmp_path / "gone.txt")}), 0)
