"""Tables for a terminal without rich, whose import alone would take a third of `ps`'s time."""

import os
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

_COLOURS = {"red": 31, "green": 32, "yellow": 33, "blue": 34, "magenta": 35, "cyan": 36}
_COLOURS |= {"pink": 95, "lime": 92, "bold": 1, "dim": 2}
_GAP = "  "


class Cell(NamedTuple):
    """Text and its colour; a colour shows only on a terminal."""

    text: str
    colour: str = ""


def paint(text: str, colour: str) -> str:
    """The text in a colour, where stdout shows colours and NO_COLOR isn't set."""
    if not colour or not coloured():
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


def coloured() -> bool:
    """Whether what is printed shows in colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def terminal_width() -> int | None:
    """Columns of the terminal behind stdout; None if there is none to keep to."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def print_columns(
    headers: Sequence[str], rows: Sequence[Sequence[Cell]], *, left: int, width: int | None
) -> None:
    """A table whose first `left` columns are words and the others numbers.

    Where the terminal is too narrow, columns are left out from the last one on: a row that wraps
    is harder to read than a shorter one, and --json has them all.
    """
    widths = [
        max(len(row[i].text) for row in (_cells(headers), *rows)) for i in range(len(headers))
    ]
    while width and len(widths) > left and sum(widths) + len(_GAP) * (len(widths) - 1) > width:
        widths.pop()
    for row in (_cells(headers, "bold"), *rows):
        parts = []
        for i, (cell, size) in enumerate(zip(row, widths, strict=False)):
            space = " " * (size - len(cell.text))
            painted = paint(cell.text, cell.colour)
            parts.append(painted + space if i < left else space + painted)
        print(_GAP.join(parts).rstrip())


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most `width` where they can be; ids and paths stay whole, to be copied."""
    return textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False)


def print_pairs(pairs: Sequence[tuple[str, Cell]], *, width: int | None) -> None:
    """Names and values, one pair a line; values that are too long go on below themselves."""
    margin = max(len(name) for name, _ in pairs) + len(_GAP)
    for name, cell in pairs:
        lines = cell.text.splitlines() or [""]
        if width and width > margin + 20:
            lines = [part for line in lines for part in wrap(line, width - margin) or [""]]
        for i, line in enumerate(lines):
            head = paint(name, "bold") + " " * (margin - len(name)) if i == 0 else " " * margin
            print((head + paint(line, cell.colour)).rstrip())


def _cells(texts: Sequence[str], colour: str = "") -> list[Cell]:
    return [Cell(text, colour) for text in texts]
