from collections.abc import Iterator
from pathlib import Path

import pytest

from maquette.data.text import wikitext
from maquette.data.text.wikitext import Published, WikiText
from maquette.errors import DataError

SHARED = Path(__file__).parents[3] / "../shared/data/wikitext-2"
CONFIG = "wikitext-2-v1"
LINES = [
    " ",
    " = First <unk> = ",
    " ",
    " Some text , with a formula = ",
    " = 7 / 2 ( J = ",
    " = = A section = = ",
    " more text",
    " ",
    " = Second = ",
    " ",
    " the end",
    " ",
]
WORDS = sum(len(line.split()) + 1 for line in LINES)
TEXT = "".join(line + "\n" for line in LINES)
ARTICLES = ["".join(line + "\n" for line in LINES[:8]), "".join(line + "\n" for line in LINES[8:])]


@pytest.fixture(autouse=True)
def small_edition(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = Published(len(LINES), WORDS)
    monkeypatch.setitem(
        wikitext.PUBLISHED, "wikitext-2", dict.fromkeys(("train", "validation", "test"), counts)
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("train", "valid", "test"):
        (tmp_path / f"{name}.txt").write_text(TEXT)
    return tmp_path


def articles(source: WikiText, split: str = "train") -> list[str]:
    found = [""]
    for piece in source.pieces(split):
        found[-1] += piece.text
        if piece.last:
            found.append("")
    assert found.pop() == ""
    return found


@pytest.mark.parametrize("size", [1, 65_536])
def test_documents_are_articles(folder: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(wikitext, "ARTICLE_CHARACTERS", size)
    source = WikiText(CONFIG, path=str(folder))
    assert source.splits() == ("train", "validation", "test")
    assert [articles(source, split) for split in source.splits()] == [ARTICLES] * 3
    assert source.expected_bytes("train") == len(TEXT)


@pytest.mark.parametrize("names", ["wiki.{}.tokens", "{}.raw", "wikitext-2-v1/{}.txt"])
def test_other_names_of_the_files_are_known(tmp_path: Path, names: str) -> None:
    for name in ("train", "valid", "test"):
        path = tmp_path / names.format(name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(TEXT)
    assert articles(WikiText(CONFIG, path=str(tmp_path))) == ARTICLES


def test_parquet_gives_the_same_text(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [line + "\n" if line.strip() else "" for line in LINES]  # as on the hub
    for name in ("train", "validation", "test"):
        for part, some in enumerate((rows[:5], rows[5:])):
            path = tmp_path / CONFIG / f"{name}-0000{part}-of-00002.parquet"
            path.parent.mkdir(exist_ok=True)
            parquet.write_table(pyarrow.table({"text": some}), path)
    assert articles(WikiText(CONFIG, path=str(tmp_path)), "validation") == ARTICLES


def test_broken_parquet_is_named(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    for name in ("train", "validation", "test"):
        (tmp_path / f"{name}.parquet").write_text("not parquet")
    with pytest.raises(DataError, match=r"train\.parquet: is not parquet"):
        articles(WikiText(CONFIG, path=str(tmp_path)))


def test_hub_rows_become_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    def rows(dataset: str, *, config: str, split: str, field: str) -> Iterator[str]:
        assert (dataset, config, split, field) == ("Salesforce/wikitext", CONFIG, "test", "text")
        return (line + "\n" if line.strip() else "" for line in LINES)

    monkeypatch.setattr(wikitext, "read_texts", rows)
    assert articles(WikiText(CONFIG), "test") == ARTICLES


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TEXT + " \n", r"train\.txt: has 13 lines instead of the 12 of wikitext-2-v1"),
        (TEXT.replace("the end", "the"), rf"has {WORDS - 1} words instead of the {WORDS} of"),
        (TEXT.replace("<unk>", "word"), r"has 0 <unk> in \d+ words, so it is not wikitext-2-v1"),
    ],
)
def test_a_split_that_is_not_whole_is_refused(folder: Path, text: str, message: str) -> None:
    (folder / "train.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        articles(WikiText(CONFIG, path=str(folder)))


def test_raw_needs_raw_files(folder: Path) -> None:
    source = WikiText("wikitext-2-raw-v1", path=str(folder))
    with pytest.raises(DataError, match="so it is not wikitext-2-raw-v1") as caught:
        articles(source)
    assert caught.value.hint == "set config to wikitext-2-v1"
    (folder / "train.txt").write_text(TEXT.replace("<unk>", "word and more"))
    assert len(articles(source)) == 2  # the raw words are not the published ones


def test_missing_files_are_named(folder: Path) -> None:
    (folder / "valid.txt").unlink()
    with pytest.raises(DataError, match="has no file for validation"):
        WikiText(CONFIG, path=str(folder))
    with pytest.raises(DataError, match="no such folder"):
        WikiText(CONFIG, path=str(folder / "gone"))
    with pytest.raises(DataError, match=r"train\.txt: is a file"):
        WikiText(CONFIG, path=str(folder / "train.txt"))


def test_fingerprint_follows_the_files(folder: Path) -> None:
    first = WikiText(CONFIG, path=str(folder)).fingerprint()
    (folder / "test.txt").write_text(TEXT + " ")
    assert WikiText(CONFIG, path=str(folder)).fingerprint() != first


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data")
def test_the_published_counts_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    source = WikiText(CONFIG, path=str(SHARED))
    assert [len(articles(source, split)) for split in source.splits()] == [600, 60, 60]
    assert "".join(articles(source, "test")) == (SHARED / "test.txt").read_text(encoding="utf-8")
