from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maquette.data.text import reading
from maquette.data.text.piece import Piece
from maquette.data.text.reading import find_files, read_blocks, read_documents
from maquette.errors import DataError


def documents(path: Path, separator: str | None) -> list[str]:
    texts = [""]
    for piece in read_documents(path, separator):
        texts[-1] += piece.text
        if piece.last:
            texts.append("")
    assert texts.pop() == ""
    return texts


def test_globs_are_sorted_and_files_come_once(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "deep/er/c.txt", "d.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    found = find_files([f"{tmp_path}/d.md", f"{tmp_path}/**/*.txt", f"{tmp_path}/a.txt"])
    assert [f.path.name for f in found] == ["d.md", "a.txt", "b.txt", "c.txt"]
    assert [f.named for f in found] == [True, False, False, False]


def test_a_file_whose_name_looks_like_a_glob_is_read(tmp_path: Path) -> None:
    (tmp_path / "what[1].txt").write_text("x")
    assert [f.named for f in find_files(str(tmp_path / "what[1].txt"))] == [True]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone.txt", r"gone\.txt: no such file"),
        ("*.rst", r"\*\.rst: no file matches"),
        ("folder", r"folder: is a folder"),
        ("empty.txt", r"empty\.txt: is empty"),
    ],
)
def test_what_is_no_file_is_named(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.txt").touch()
    with pytest.raises(DataError, match=message):
        find_files(str(tmp_path / name))


def test_unreadable_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "secret.txt").write_text("x")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match=r"secret\.txt: can't be read: Permission denied"):
        list(read_blocks(tmp_path / "secret.txt"))


@pytest.mark.parametrize("block", [1, 2, 3, 7, 1 << 20])
def test_bad_utf8_is_found_at_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(reading, "BLOCK_BYTES", block)
    good = "first\nzwölf ☃\nthird ".encode()
    (tmp_path / "bad.txt").write_bytes(good + b"\xe9t\xe9 ...\n" + b"x" * 20)
    with pytest.raises(DataError) as caught:
        list(read_blocks(tmp_path / "bad.txt"))
    message = caught.value.message
    assert message.endswith(f"bad.txt: is not UTF-8: byte 0xe9 at offset {len(good)}, line 3")
    assert "iconv -f LATIN1" in str(caught.value.hint)


def test_a_character_cut_off_at_the_end_is_found(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_bytes("ab☃".encode()[:-1])
    with pytest.raises(DataError, match="0xe2 at offset 2, line 1"):
        list(read_blocks(tmp_path / "bad.txt"))


def test_utf16_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "wide.txt").write_bytes("hello".encode("utf-16"))
    with pytest.raises(DataError) as caught:
        list(read_blocks(tmp_path / "wide.txt"))
    assert "iconv -f UTF-16" in str(caught.value.hint)


def test_the_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "bom.txt").write_bytes("\ufeffa\ufeffb".encode())
    assert "".join(read_blocks(tmp_path / "bom.txt")) == "a\ufeffb"


@given(st.text(alphabet="aé☃😀\n\r ", max_size=40), st.integers(1, 9))
def test_without_separator_a_file_is_one_document_as_it_is(
    tmp_path_factory: pytest.TempPathFactory, text: str, block: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "whole.txt"
    path.write_bytes(text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "BLOCK_BYTES", block)
        assert documents(path, None) == ([text] if text.strip() else [])


@given(st.text(alphabet="ax#\n ", max_size=60), st.integers(1, 9), st.sampled_from(["#", "##x#"]))
def test_separated_documents_are_those_of_str_split(
    tmp_path_factory: pytest.TempPathFactory, text: str, block: int, separator: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "parted.txt"
    path.write_bytes(text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "BLOCK_BYTES", block)
        found = documents(path, separator)
    assert found == [part.strip("\r\n") for part in text.split(separator) if part.strip()]


def test_long_documents_come_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BLOCK_BYTES", 4)
    (tmp_path / "a.txt").write_text("abcdefgh|ij")
    pieces = list(read_documents(tmp_path / "a.txt", "|"))
    assert pieces == [
        Piece("abcd", False),
        Piece("efgh", False),
        Piece("", True),
        Piece("ij", False),
        Piece("", True),
    ]
