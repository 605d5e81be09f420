"""Find text files and read them in blocks, so that memory stays flat however large they are."""

import codecs
import glob
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from maquette.data.text.piece import Piece
from maquette.errors import DataError

BLOCK_BYTES = 1 << 20
_BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"


class Found(NamedTuple):
    """A file to read; `named` in the spec itself, not matched by a glob."""

    path: Path
    named: bool


def find_files(patterns: str | Sequence[str], *, ending: str = "txt") -> list[Found]:
    """The files that paths and globs stand for: in the order given, each glob sorted, none twice.

    `ending` is what a hint says that such files end in.
    Raises DataError for a path that isn't a file, and for a glob that matches none.
    """
    found: dict[Path, Found] = {}
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        path = Path(pattern).expanduser()
        is_glob = glob.has_magic(str(path)) and not path.exists()
        paths = _matches(path) if is_glob else [_regular(path, ending)]
        for match in paths:
            found.setdefault(match, Found(match, named=not is_glob))
    return list(found.values())


def _matches(pattern: Path) -> list[Path]:
    names = glob.glob(str(pattern), recursive=True)  # noqa: PTH207 - Path.glob wants a root
    paths = sorted(path for path in map(Path, names) if path.is_file())
    if not paths:
        raise DataError(f"{pattern}: no file matches", hint=_WHERE)
    return paths


def _regular(path: Path, ending: str) -> Path:
    try:
        if path.is_dir():
            raise DataError(f"{path}: is a folder", hint=f"its files are {path}/**/*.{ending}")
        if not path.exists():
            raise DataError(f"{path}: no such file", hint=_WHERE)
        if not path.is_file():
            raise DataError(f"{path}: is not a regular file")
        if path.stat().st_size == 0:
            raise DataError(f"{path}: is empty")
    except OSError as error:
        raise unreadable(path, error) from error
    return path


_WHERE = "relative paths in a spec file start at its folder, others where you are"


def unreadable(path: Path, error: OSError) -> DataError:
    """The error to raise for a file that the system won't let us read."""
    return DataError(f"{path}: can't be read: {error.strerror or error}")


def read_blocks(path: Path) -> Iterator[str]:
    """The text of a UTF-8 file in blocks of about a megabyte, without its byte order mark.

    Raises DataError that names the file; for bytes that aren't UTF-8, their offset and line too.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    read_bytes, lines, start = 0, 0, True
    try:
        with path.open("rb") as file:
            block = b" "
            while block:
                block = file.read(BLOCK_BYTES)
                read_bytes += len(block)
                text = decoder.decode(block, final=not block)
                lines += text.count("\n")
                if start and text:
                    text, start = text.removeprefix(_BOM), False
                if text:
                    yield text
    except UnicodeDecodeError as error:
        data = bytes(error.object)
        offset = read_bytes - len(data) + error.start
        line = lines + data.count(b"\n", 0, error.start) + 1
        raise _not_utf8(path, data, error.start, offset, line) from error
    except OSError as error:
        raise unreadable(path, error) from error


def _not_utf8(path: Path, data: bytes, at: int, offset: int, line: int) -> DataError:
    utf16 = offset < 2 and data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    encoding = "UTF-16" if utf16 else "LATIN1"
    return DataError(
        f"{path}: is not UTF-8: byte 0x{data[at]:02x} at offset {offset:,}, line {line:,}",
        hint=f"if it is text, convert it: iconv -f {encoding} -t UTF-8 {path.name} > utf8.txt",
    )


def read_documents(path: Path, separator: str | None) -> Iterator[Piece]:
    """The documents of a file, in pieces; none of them is only whitespace.

    Without a separator the file is one document, exactly as it is. With one, line ends around the
    separators belong to no document.
    """
    blocks = read_blocks(path)
    if separator is None:
        return _without_blank(_whole(blocks), strip="")
    return _without_blank(_parted(blocks, separator), strip="\r\n")


def _whole(blocks: Iterable[str]) -> Iterator[Piece]:
    for block in blocks:
        yield Piece(block, last=False)
    yield Piece("", last=True)


def _parted(blocks: Iterable[str], separator: str) -> Iterator[Piece]:
    held = ""  # may be the beginning of a separator
    for block in blocks:
        *whole, rest = (held + block).split(separator)
        for text in whole:
            yield Piece(text, last=True)
        end = max(0, len(rest) - len(separator) + 1)
        yield Piece(rest[:end], last=False)
        held = rest[end:]
    yield Piece(held, last=True)


def _without_blank(pieces: Iterable[Piece], strip: str) -> Iterator[Piece]:
    """Drop documents of whitespace alone, and the characters of `strip` at documents' edges."""
    held, begun = "", False  # held: whitespace that may turn out to be the end
    for piece in pieces:
        text = held + piece.text
        if not begun:
            text = text.lstrip(strip)
        body = text.rstrip()
        held = text[len(body) :]
        if piece.last:
            if begun or body:
                yield Piece(body + held.rstrip(strip), last=True)
            held, begun = "", False
        elif body:
            begun = True
            yield Piece(body, last=False)
