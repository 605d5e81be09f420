import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from maquette.data.text import notes as module
from maquette.data.text.cleaning import clean
from maquette.data.text.notes import Notes
from maquette.errors import DataError

SHARED = Path(__file__).parents[3] / "../shared/data/notes"


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")


def texts(source: Notes, split: str) -> list[str]:
    pieces = list(source.pieces(split))
    assert all(piece.last for piece in pieces)
    return [piece.text for piece in pieces]


def everything(source: Notes) -> list[str]:
    return sorted(text for split in source.splits() for text in texts(source, split))


def many(folder: Path, count: int = 60) -> dict[str, str]:
    """Notes in folders; returns the text of each by the path inside."""
    found = {}
    for i in range(count):
        name = f"part {i % 3}/note {i:02}.md"
        found[name] = f"Note number {i} says {i * i}.\n"
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text(found[name])
    return found


def test_every_note_is_a_document_of_one_split(tmp_path: Path) -> None:
    written = many(tmp_path)
    source = Notes(str(tmp_path), validation_fraction=0.2)
    train, validation = texts(source, "train"), texts(source, "validation")
    assert sorted(train + validation) == sorted(written.values())
    assert 5 <= len(validation) <= 20
    assert source.remarks() == []
    assert texts(Notes(str(tmp_path), validation_fraction=0.2, seed=1), "validation") != validation
    in_order = [text for _, text in sorted(written.items())]
    assert train == [text for text in in_order if text in train]


def test_adding_and_editing_moves_no_other_note(tmp_path: Path) -> None:
    many(tmp_path)
    before = texts(Notes(str(tmp_path)), "validation")
    (tmp_path / "part 1/note 00x.md").write_text("new\n")
    kept = {t for t in texts(Notes(str(tmp_path)), "validation") if t != "new\n"}
    assert kept == set(before)
    for path in tmp_path.rglob("*.md"):
        path.write_text("edited: " + path.read_text())
    edited = texts(Notes(str(tmp_path)), "validation")
    assert {t.removeprefix("edited: ") for t in edited} - {"new\n"} == set(before)


def test_the_place_of_the_folder_does_not_matter(tmp_path: Path) -> None:
    for name in ("a", "b"):
        many(tmp_path / name)
    assert texts(Notes(str(tmp_path / "a")), "train") == texts(Notes(str(tmp_path / "b")), "train")


@pytest.mark.parametrize("seed", range(6))
def test_few_notes_still_fill_both_splits(tmp_path: Path, seed: int) -> None:
    write(tmp_path, a="a\n", b="b\n", empty="")
    source = Notes(str(tmp_path), seed=seed)
    assert sorted(texts(source, "train") + texts(source, "validation")) == ["a\n", "b\n"]
    assert len(texts(source, "train")) == 1
    large = Notes(str(tmp_path), seed=seed, validation_fraction=0.89)
    assert len(texts(large, "validation")) == 1


def test_clean_or_raw(tmp_path: Path) -> None:
    write(tmp_path, a="- [[x]]\r\n", b="y [[z]]")
    assert everything(Notes(str(tmp_path))) == ["x\n", "y z\n"]
    assert everything(Notes(str(tmp_path), clean=False)) == ["- [[x]]\r\n", "y [[z]]"]


def test_what_is_not_a_note_is_skipped_and_counted(tmp_path: Path) -> None:
    write(tmp_path, a="a\n", b="b\n", empty="", blank=" \n", gone="![[x.png]]")
    (tmp_path / "C.MD").write_text("c\n")
    (tmp_path / "d.markdown").write_text("d\n")
    for name in (".obsidian/x.md", ".git/x.md", "logseq/bak/x.md", "logseq/n.md", "bak/m.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / ".hidden.md").write_text("hidden")
    (tmp_path / "x.canvas").write_text("{}")
    (tmp_path / "y.excalidraw.md").write_text("drawing")
    (tmp_path / "folder.md").mkdir()
    os.mkfifo(tmp_path / "pipe.md")
    source = Notes(str(tmp_path))
    assert everything(source) == ["a\n", "b\n", "bak/m.md\n", "c\n", "d\n", "logseq/n.md\n"]
    assert source.remarks() == [
        "skipped: 4 hidden, 2 not Markdown, 3 empty, 1 not regular files (pipe.md)"
    ]


def test_links_are_followed_once_and_never_in_a_circle(tmp_path: Path) -> None:
    root, other = tmp_path / "notes", tmp_path / "other"
    (root / "deep").mkdir(parents=True)
    (other / "inner").mkdir(parents=True)
    write(root, a="a\n")
    write(root / "deep", b="b\n")
    write(other, c="c\n")
    write(other / "inner", d="d\n")
    for place, target in (
        (root / "deep/up", root),
        (root / "above", tmp_path),
        (root / "deep/self", root / "deep"),
        (root / "again.md", root / "a.md"),
        (root / "elsewhere", other),
        (root / "elsewhere2", other),
        (root / "z inner", other / "inner"),
        (other / "inner/back", other),
        (other / "home", root),
        (root / "nothing.md", root / "no such file"),
        (root / "circle.md", root / "circle.md"),
        (root / "there", root / "back"),
        (root / "back", root / "there"),
    ):
        place.symlink_to(target)
    source = Notes(str(root))
    assert everything(source) == ["a\n", "b\n", "c\n", "d\n"]
    assert source.remarks() == [
        "skipped: 2 not Markdown, 8 linked to what is read anyway,"
        " 2 linked to nothing (circle.md, nothing.md)"
    ]
    (tmp_path / "entry").symlink_to(root)
    assert everything(Notes(str(tmp_path / "entry"))) == ["a\n", "b\n", "c\n", "d\n"]


def test_wrong_bytes_are_replaced_and_named(tmp_path: Path) -> None:
    write(tmp_path, a="a\n", b="b\n")
    (tmp_path / "latin.md").write_bytes("Größe\n".encode("latin-1"))
    (tmp_path / "utf16.md").write_bytes("Größe 16\n".encode("utf-16"))
    (tmp_path / "bom.md").write_bytes("\ufeffbom\n".encode())
    (tmp_path / "zip.md").write_bytes(b"PK\x00\x01")
    source = Notes(str(tmp_path), clean=False)
    assert everything(source) == ["Größe 16\n", "Gr\ufffd\ufffde\n", "a\n", "b\n", "bom\n"]
    assert source.remarks() == [
        "skipped: 1 with byte 0, so not text (zip.md)",
        "mended: 1 not UTF-8, wrong bytes as U+FFFD (latin.md)",
    ]


def test_names_that_are_not_utf8_are_read(tmp_path: Path) -> None:
    write(tmp_path, a="a\n")
    try:
        Path(os.fsdecode(bytes(tmp_path) + b"/\xff.md")).write_text("odd\n")
    except OSError:
        pytest.skip("this file system wants UTF-8 names")
    assert everything(Notes(str(tmp_path))) == ["a\n", "odd\n"]
    assert Notes(str(tmp_path)).fingerprint()["notes"] == 2


def test_large_and_unreadable_notes_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, a="a\n", b="b\n", large="x" * 200, secret="s")
    monkeypatch.setattr(module, "LARGEST_BYTES", 100)
    real = open

    def guarded(path: str, mode: str) -> object:
        if path.endswith("secret.md"):
            raise PermissionError(13, "Permission denied")
        return real(path, mode)

    monkeypatch.setattr(module, "open", guarded, raising=False)
    source = Notes(str(tmp_path))
    assert everything(source) == ["a\n", "b\n"]
    assert source.remarks() == [
        "skipped: 1 unreadable (secret.md), 1 over 64 MiB (large.md)",
    ]


def test_beyond_a_thousand_notes_nothing_is_read_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many(tmp_path, 40)
    monkeypatch.setattr(module, "FEW_DOCUMENTS", 30)
    read: list[str] = []

    def count(text: str) -> str:
        read.append(text)
        return text

    monkeypatch.setattr(module, "clean", count)
    assert len(everything(Notes(str(tmp_path)))) == 40
    assert len(read) == 40 + 30  # all of them, and those that the survey saw before it knew


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Callable[[int], None]]:
    """Makes so many folders inside of each other, the last with a note; removes them again."""

    def make(depth: int) -> None:
        here = os.open(tmp_path, os.O_RDONLY)
        for _ in range(depth):  # step by step: the whole path may be longer than one may be
            os.mkdir("d", dir_fd=here)
            below = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        with open(os.open("b.md", os.O_WRONLY | os.O_CREAT, dir_fd=here), "w") as file:  # noqa: PTH123
            file.write("b\n")
        os.close(here)

    yield make
    subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)


def test_deep_folders_need_no_recursion(tmp_path: Path, deep: Callable[[int], None]) -> None:
    write(tmp_path, a="a\n")
    deep(1200)
    assert everything(Notes(str(tmp_path))) == ["a\n", "b\n"]


def test_a_path_too_long_is_told(tmp_path: Path, deep: Callable[[int], None]) -> None:
    write(tmp_path, a="a\n", c="c\n")
    deep(2100)
    source = Notes(str(tmp_path))
    assert everything(source) == ["a\n", "c\n"]
    assert "1 unreadable" in source.remarks()[0]


def test_the_fingerprint_follows_names_sizes_times_and_settings(tmp_path: Path) -> None:
    many(tmp_path, 5)
    path = str(tmp_path)
    prints = [Notes(path).fingerprint()]
    assert prints[0] == Notes(path).fingerprint()
    prints += [
        Notes(path, seed=1).fingerprint(),
        Notes(path, clean=False).fingerprint(),
        Notes(path, validation_fraction=0.2).fingerprint(),
    ]
    (tmp_path / "part 0/note 00.md").rename(tmp_path / "part 0/note 0.md")
    prints.append(Notes(path).fingerprint())
    (tmp_path / "part 0/note 0.md").write_text("another text")
    prints.append(Notes(path).fingerprint())
    assert len({str(each) for each in prints}) == 6
    (tmp_path / "part 0/other.txt").write_text("not a note")
    assert Notes(path).fingerprint() == prints[-1]


def test_sizes_are_near(tmp_path: Path) -> None:
    many(tmp_path)
    source = Notes(str(tmp_path), validation_fraction=0.25)
    whole = sum(path.stat().st_size for path in tmp_path.rglob("*.md"))
    assert source.expected_bytes("train") + source.expected_bytes("validation") == whole
    assert source.expected_bytes("validation") == round(whole / 4)


def test_errors_say_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such folder"):
        Notes(str(tmp_path / "nowhere"))
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(DataError, match=r"x\.txt: is a file"):
        Notes(str(tmp_path / "x.txt"))
    with pytest.raises(DataError, match=r"holds no Markdown note with text .*1 not Markdown"):
        texts(Notes(str(tmp_path)), "train")
    write(tmp_path, a="a")
    with pytest.raises(DataError, match="holds one note with text"):
        texts(Notes(str(tmp_path)), "train")


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data")
@pytest.mark.parametrize(("folder", "notes"), [("logseq-docs", 312), ("simonw-til", 350)])
def test_real_notes_are_all_read(folder: str, notes: int) -> None:
    path = SHARED / folder
    source = Notes(str(path))
    empty = sum(not clean(p.read_text(encoding="utf-8")) for p in path.rglob("*.md"))
    assert len(everything(source)) == notes - empty
    assert empty < 120  # many journals there hold a title only
