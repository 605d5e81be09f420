from pathlib import Path

import pytest

from maquette.data.given import given_text
from maquette.data.text.stories import Stories
from maquette.errors import DataError

TEXT = "".join(f"line {i}\n" for i in range(50))


def test_stories_are_a_word() -> None:
    assert isinstance(given_text("stories", seed=0), Stories)


def test_a_file_is_split_and_a_folder_is_all_of_its_texts(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.txt").write_text(TEXT)
    (tmp_path / "deep" / "b.txt").write_text("b")
    (tmp_path / "c.md").write_text("c")

    def read(word: Path, split: str) -> str:
        return "".join(piece.text for piece in given_text(str(word), seed=0).pieces(split))

    file = tmp_path / "a.txt"
    assert read(file, "train") + read(file, "validation") == TEXT
    assert sorted(read(tmp_path, "train") + read(tmp_path, "validation")) == sorted(TEXT + "b")


def test_a_folder_of_splits_is_taken_as_it_is(tmp_path: Path) -> None:
    for name, text in (("train", "one"), ("valid", "two"), ("test", "three"), ("else", "four")):
        (tmp_path / f"{name}.txt").write_text(text)
    source = given_text(str(tmp_path), seed=0)
    assert source.splits() == ("train", "validation", "test")
    found = {split: "".join(p.text for p in source.pieces(split)) for split in source.splits()}
    assert found == {"train": "one", "validation": "two", "test": "three"}
    (tmp_path / "test.txt").unlink()
    assert given_text(str(tmp_path), seed=0).splits() == ("train", "validation")


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        given_text(str(tmp_path / "nowhere.txt"), seed=0)
