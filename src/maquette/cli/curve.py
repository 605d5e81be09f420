"""Curves out of characters: a braille cell holds 2 x 4 dots. Pure functions, no terminal needed."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

Point = tuple[float, float]

# The bit of each dot in a braille cell, by its row and column (Unicode, U+2800 and up).
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
MARKS = ".o"
"""What curves are drawn with where there is no braille: one after the other."""


class Cell(NamedTuple):
    """A character, and which curve it belongs to (the last one that passes here); None: empty."""

    character: str
    curve: int | None


class Means:
    """The course of a long series in bounded memory: means over ever wider stretches of steps."""

    def __init__(self, capacity: int = 512) -> None:
        assert capacity % 2 == 0, "stretches are joined in pairs"
        self._capacity = capacity
        self._stretch = 1  # values to a mean
        self._means: list[Point] = []
        self._open: list[Point] = []

    def add(self, step: float, value: float) -> None:
        """Take in the next value; those that aren't finite are left out."""
        if not math.isfinite(value):
            return
        self._open.append((step, value))
        if len(self._open) < self._stretch:
            return
        self._means.append(_mean(self._open))
        self._open = []
        if len(self._means) == self._capacity:
            pairs = zip(self._means[::2], self._means[1::2], strict=True)
            self._means = [_mean(pair) for pair in pairs]
            self._stretch *= 2

    def points(self) -> list[Point]:
        """The means so far, the unfinished stretch as the last of them."""
        return self._means + ([_mean(self._open)] if self._open else [])


def draw(
    curves: Sequence[Sequence[Point]],
    *,
    columns: int,
    rows: int,
    braille: bool = True,
    marks: str = MARKS,
    log: bool = True,
) -> tuple[list[list[Cell]], float, float]:
    """Curves in a grid of cells, with the values at its upper and lower edge.

    With `log` the height is the value's logarithm: a loss falls fast first, and slowly for long;
    only values that are positive and finite are drawn then. Curves later in the sequence lie on
    top. Without braille each is drawn in its own of the `marks`.
    """
    wide, high = (2, 4) if braille else (1, 1)
    height, value = (math.log, math.exp) if log else (float, float)
    least = 0.0 if log else -math.inf
    curves = [[(x, y) for x, y in curve if least < y < math.inf] for curve in curves]
    places = [place for curve in curves for place in curve]
    bits = [[0] * columns for _ in range(rows)]
    owner: list[list[int | None]] = [[None] * columns for _ in range(rows)]
    if not places:
        return [[Cell(" ", None)] * columns for _ in range(rows)], 0.0, 0.0
    left, right = min(x for x, _ in places), max(x for x, _ in places)
    low, top = height(min(y for _, y in places)), height(max(y for _, y in places))
    for index, curve in enumerate(curves):
        dots = [
            (
                round((x - left) / ((right - left) or 1) * (columns * wide - 1)),
                round((top - height(y)) / ((top - low) or 1) * (rows * high - 1)),
            )
            for x, y in curve
        ]
        for column, row in _line(dots):
            bits[row // high][column // wide] |= _DOTS[row % high][column % wide]
            owner[row // high][column // wide] = index
    grid = [
        [
            Cell(" ", None)
            if curve is None
            else Cell(chr(0x2800 + bit) if braille else marks[min(curve, len(marks) - 1)], curve)
            for bit, curve in zip(bit_row, owner_row, strict=True)
        ]
        for bit_row, owner_row in zip(bits, owner, strict=True)
    ]
    return grid, value(top), value(low)


def _line(dots: Sequence[tuple[int, int]]) -> set[tuple[int, int]]:
    """All dots on the way from each dot to the next."""
    found = set(dots[:1])
    for (x0, y0), (x1, y1) in itertools.pairwise(dots):
        length = max(abs(x1 - x0), abs(y1 - y0), 1)
        found |= {
            (x0 + round((x1 - x0) * i / length), y0 + round((y1 - y0) * i / length))
            for i in range(length + 1)
        }
    return found


def _mean(points: Sequence[Point]) -> Point:
    return (
        sum(x for x, _ in points) / len(points),
        sum(y for _, y in points) / len(points),
    )
