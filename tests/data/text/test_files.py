from pathlib import Path

import pytest

from maquette.data.text import reading
from maquette.data.text.files import Files
from maquette.errors import DataError

SHARED = Path(__file__).parents[3] / "../shared/data"


def texts(source: Files, split: str) -> list[str]:
    found = [""]
    for piece in source.pieces(split):
        found[-1] += piece.text
        if piece.last:
            found.append("")
    assert found.pop() == ""
    return found


@pytest.mark.parametrize("block", [3, 16, 1 << 20])
def test_last_part_of_a_single_document_is_held_out_at_a_line_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(reading, "BLOCK_BYTES", block)
    text = "".join(f"line {i} é\n" for i in range(50))
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    source = Files(str(tmp_path / "a.txt"), validation_fraction=0.2)
    (train,), (validation,) = texts(source, "train"), texts(source, "validation")
    assert train + validation == text
    assert train.endswith("\n")
    assert len(train) - len("line 40 é\n") < 0.8 * len(text) <= len(train)
    assert source.splits() == ("train", "validation")


@pytest.mark.parametrize("text", ["one long line " * 30, "ab", "x\n" + "y" * 99, "a b\n\n\n"])
def test_lines_too_long_or_text_too_short_are_cut_where_the_share_is(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "a.txt").write_text(text)
    source = Files(str(tmp_path / "a.txt"))
    (train,), (validation,) = texts(source, "train"), texts(source, "validation")
    assert train + validation == text
    assert len(train) == int(len(text.rstrip()) * 0.9)


def test_one_character_cannot_be_split(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x\n")
    with pytest.raises(DataError, match=r"a\.txt: is too small to hold out"):
        texts(Files(str(tmp_path / "a.txt")), "train")


def test_documents_are_split_whole(tmp_path: Path) -> None:
    stories = [f"Story {i}.\n\nIt ends." for i in range(200)]
    (tmp_path / "a.txt").write_text("\n<|end|>\n".join(stories))
    source = Files(str(tmp_path / "a.txt"), separator="<|end|>", seed=3)
    train, validation = texts(source, "train"), texts(source, "validation")
    assert sorted(train + validation) == sorted(stories)
    assert 8 < len(validation) < 40
    other = Files(str(tmp_path / "a.txt"), separator="<|end|>", seed=4)
    assert texts(other, "validation") != validation


def test_files_are_documents_and_copies_stay_together(tmp_path: Path) -> None:
    for i in range(40):
        (tmp_path / f"{i:02}.txt").write_text(f"text number {i % 20}\n")
    source = Files(f"{tmp_path}/*.txt", validation_fraction=0.3)
    train, validation = texts(source, "train"), texts(source, "validation")
    assert len(train) + len(validation) == 40
    assert validation
    assert not set(train) & set(validation)


def test_held_out_files_are_not_trained_on(tmp_path: Path) -> None:
    for name in ("train", "valid", "test"):
        (tmp_path / f"{name}.txt").write_text(name)
    source = Files(
        f"{tmp_path}/*.txt",
        validation_path=f"{tmp_path}/valid.txt",
        test_path=[f"{tmp_path}/test.txt"],
    )
    assert source.splits() == ("train", "validation", "test")
    assert {s: texts(source, s) for s in source.splits()} == {
        "train": ["train"],
        "validation": ["valid"],
        "test": ["test"],
    }
    with pytest.raises(DataError, match="every file is held out"):
        Files(f"{tmp_path}/valid.txt", validation_path=f"{tmp_path}/*.txt")


def test_blank_files_are_passed_over_in_globs_but_not_by_name(tmp_path: Path) -> None:
    for name, text in (("a", "one\n"), ("b", " \n\n"), ("c", ""), ("d", "two\n")):
        (tmp_path / f"{name}.txt").write_text(text)
    source = Files(f"{tmp_path}/*.txt", validation_fraction=0.5)
    assert sorted(texts(source, "train") + texts(source, "validation")) == ["one\n", "two\n"]
    with pytest.raises(DataError, match=r"b\.txt: holds no text, only whitespace"):
        texts(Files([f"{tmp_path}/a.txt", f"{tmp_path}/b.txt"]), "train")
    with pytest.raises(DataError, match="holds no text"):
        texts(Files(f"{tmp_path}/[bc].txt"), "train")


def test_fingerprint_follows_what_matters(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("some text")
    (tmp_path / "b.txt").write_text("held out")
    first = Files(str(path)).fingerprint()
    assert first == Files(str(path)).fingerprint()
    assert first != Files(str(path), seed=1).fingerprint()
    assert first != Files(str(path), separator="x").fingerprint()
    path.write_text("other text!")
    assert first != Files(str(path)).fingerprint()
    with_validation = [
        Files(str(path), validation_path=str(tmp_path / "b.txt"), seed=seed).fingerprint()
        for seed in (0, 1)
    ]
    assert with_validation[0] == with_validation[1]


def test_sizes_are_near(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("0123456789" * 10)
    source = Files(str(tmp_path / "a.txt"), validation_fraction=0.2)
    assert (source.expected_bytes("train"), source.expected_bytes("validation")) == (80, 20)


@pytest.mark.skipif(not (SHARED / "tinyshakespeare").is_dir(), reason="needs ../shared/data")
def test_tiny_shakespeare_keeps_every_character() -> None:
    path = SHARED / "tinyshakespeare/input.txt"
    source = Files(str(path))
    (train,), (validation,) = texts(source, "train"), texts(source, "validation")
    assert (train + validation).encode() == path.read_bytes()
    assert len(train) == pytest.approx(1_003_854, abs=100)


@pytest.mark.skipif(not (SHARED / "tinystories").is_dir(), reason="needs ../shared/data")
def test_tiny_stories_are_counted_as_published() -> None:
    folder = SHARED / "tinystories"
    source = Files(
        str(folder / "train.txt"),
        separator="<|endoftext|>",
        validation_path=str(folder / "valid.txt"),
    )
    assert len(texts(source, "train")) == 2100
    assert len(texts(source, "validation")) == 216
