"""WikiText-2 and -103 with their published splits (Merity et al. 2016, arXiv:1609.07843)."""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from maquette.data.encoding import TextEncoder
from maquette.data.text.hub import NEEDS_HUB, read_texts
from maquette.data.text.piece import Piece
from maquette.data.text.reading import read_blocks, unreadable
from maquette.errors import DataError

DATASET = "Salesforce/wikitext"
SPLITS = ("train", "validation", "test")


class Published(NamedTuple):
    """Lines of a split, and its words with one <eos> a line where <unk> replaces rare ones."""

    lines: int
    words: int


_HELD_OUT = {"validation": Published(3_760, 217_646), "test": Published(4_358, 245_569)}
PUBLISHED = {
    "wikitext-2": {"train": Published(36_718, 2_088_628), **_HELD_OUT},
    "wikitext-103": {"train": Published(1_801_350, 103_227_021), **_HELD_OUT},
}
_NAMES = {"train": ("train",), "validation": ("valid", "validation"), "test": ("test",)}
_PATTERNS = (
    "{0}.txt",
    "wiki.{0}.tokens",
    "wiki.{0}.raw",
    "{0}.tokens",
    "{0}.raw",
    "{0}.parquet",
    "{0}-*.parquet",
)
_TITLE = re.compile(r" = (?!= )\S.* = (?<!= = )\n")
ARTICLE_CHARACTERS = 65_536
RAW_UNKNOWN_SHARE = 0.005  # the <unk> files have over 2 % of it, the raw ones next to none


class WikiText:
    """WikiText's articles. Words are counted as in the papers: by whitespace, one <eos> a line.

    Read from a folder of text or parquet files when `path` is given, else from the local cache of
    the hub's `Salesforce/wikitext`, else from the hub. Raises DataError when a split isn't whole:
    lines, and words where rare ones are <unk>, are compared with the published counts.
    """

    count_words = True
    encoder = TextEncoder

    def __init__(self, config: str, *, path: str | None = None) -> None:
        self._config = config
        self._files = None if path is None else _find(Path(path).expanduser(), config)

    def fingerprint(self) -> dict[str, Any]:
        """The configuration, and the local files' paths, sizes and times."""
        found = self._files or {}
        files = {split: [_identity(path) for path in paths] for split, paths in found.items()}
        return {"kind": "wikitext", "config": self._config, "files": files}

    def splits(self) -> tuple[str, ...]:
        """Train, validation and test, as published."""
        return SPLITS

    def expected_bytes(self, split: str) -> int:
        """Bytes of text to expect in a split, to show progress by; of parquet, of the files."""
        if self._files is not None:
            return sum(path.stat().st_size for path in self._files[split])
        return 5 * PUBLISHED[_edition(self._config)][split].words

    def pieces(self, split: str) -> Iterator[Piece]:
        """The articles of a split; together they are its text exactly."""
        return _articles(self._checked(split))

    def _checked(self, split: str) -> Iterator[str]:
        lines, words, unknown = 0, 0, 0
        for line in self._lines(split):
            lines += 1
            words += len(line.split()) + 1
            unknown += line.count("<unk>")
            yield line
        where = self._where(split)
        expected = PUBLISHED[_edition(self._config)][split]
        raw = "-raw-" in self._config
        if lines != expected.lines:
            raise _not_whole(where, "lines", lines, expected.lines, self._config)
        if raw == (unknown > RAW_UNKNOWN_SHARE * words):
            other = _edition(self._config) + ("-v1" if raw else "-raw-v1")
            raise DataError(
                f"{where}: has {unknown:,} <unk> in {words:,} words, so it is not {self._config}",
                hint=f"set config to {other}",
            )
        if not raw and words != expected.words:
            raise _not_whole(where, "words", words, expected.words, self._config)

    def _where(self, split: str) -> str:
        if self._files is None:
            return f"hub data set {DATASET}, {self._config}, {split}"
        return ", ".join(map(str, self._files[split]))

    def _lines(self, split: str) -> Iterator[str]:
        if self._files is None:
            yield from _read("hub", self._config, split)
            return
        for path in self._files[split]:
            yield from _read("parquet" if path.suffix == ".parquet" else "text", str(path), split)


def _read(kind: str, where: str, split: str) -> Iterator[str]:
    if kind not in LINES:
        raise DataError(f"{where}: {kind} isn't read here", hint="put the split into a .txt file")
    return LINES[kind](where, split)


def _edition(config: str) -> str:
    return config.removesuffix("-v1").removesuffix("-raw")


def _not_whole(where: str, what: str, found: int, expected: int, config: str) -> DataError:
    return DataError(
        f"{where}: has {found:,} {what} instead of the {expected:,} of {config}",
        hint="fetch it again, or read it as plain text with `kind: files`",
    )


def _articles(lines: Iterable[str]) -> Iterator[Piece]:
    """Group lines into articles: one begins at a title between blank lines.

    Without the blank lines, formulas such as ` = 7 / 2 ) ... ( J = ` would pass for titles.
    """
    held: list[str] = []
    characters, content = 0, False
    before, title = "\n", ""
    for line in chain(lines, [""]):
        if title:
            if not line.strip() and content:
                yield Piece("".join(held), last=True)
                held, characters = [], 0
            held.append(title)
            characters, content = characters + len(title), True
        title = line if not before.strip() and _TITLE.fullmatch(line) else ""
        before = line
        if title:
            continue
        held.append(line)
        characters, content = characters + len(line), content or bool(line.strip())
        if characters > ARTICLE_CHARACTERS:
            yield Piece("".join(held), last=False)
            held, characters = [], 0
    yield Piece("".join(held), last=True)


def _text_lines(path: str, _split: str) -> Iterator[str]:
    held = ""
    for block in read_blocks(Path(path)):
        *whole, held = (held + block).split("\n")
        for line in whole:
            yield line + "\n"
    if held:
        yield held + "\n"


def _line_of_row(row: str) -> str:
    """The hub's rows are the files' lines, but a blank line, ` \\n`, is an empty row there."""
    return row if row.endswith("\n") else (row or " ") + "\n"


def _hub_lines(config: str, split: str) -> Iterator[str]:
    rows = read_texts(DATASET, config=config, split=split, field="text")
    return map(_line_of_row, rows)


def _parquet_lines(path: str, _split: str) -> Iterator[str]:
    return map(_line_of_row, _parquet_rows(Path(path)))


def _parquet_rows(path: Path) -> Iterator[str]:
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise DataError(f"{path}: reading parquet needs pyarrow", hint=NEEDS_HUB) from error
    try:
        with parquet.ParquetFile(path) as file:
            if "text" not in file.schema_arrow.names:
                raise DataError(f"{path}: has no column 'text'")
            for batch in file.iter_batches(batch_size=4096, columns=["text"]):
                yield from (row or "" for row in batch.column(0).to_pylist())
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:  # pyarrow's own errors derive from it
        raise DataError(f"{path}: is not parquet: {error}") from error


LINES: dict[str, Callable[[str, str], Iterator[str]]] = {
    "hub": _hub_lines,
    "parquet": _parquet_lines,
    "text": _text_lines,
}
"""What gives the lines of a split, by a configuration of the hub's, or a file."""


def _find(folder: Path, config: str) -> dict[str, list[Path]]:
    """The files of each split, in `folder` itself or in one named after the configuration."""
    if folder.is_file():
        raise DataError(f"{folder}: is a file", hint="give path the folder that holds train.txt")
    if not folder.is_dir():
        raise DataError(
            f"{folder}: no such folder",
            hint="relative paths in a spec file start at its folder, others where you are",
        )
    for place in (folder, folder / config, folder / config.removesuffix("-v1")):
        found = {split: _files(place, names) for split, names in _NAMES.items()}
        if any(found.values()):
            break
    missing = [split for split in SPLITS if not found[split]]
    if missing:
        raise DataError(
            f"{folder}: has no file for {', '.join(missing)}",
            hint="expected train, valid and test as .txt, wiki.*.tokens or .parquet",
        )
    return found


def _files(folder: Path, names: tuple[str, ...]) -> list[Path]:
    for pattern in _PATTERNS:
        for name in names:
            found = sorted(p for p in folder.glob(pattern.format(name)) if p.is_file())
            if found:
                return found
    return []


def _identity(path: Path) -> list[Any]:
    stat = path.stat()
    return [str(path.resolve()), stat.st_size, stat.st_mtime_ns]
