"""Curves: where the dots are, and that memory stays bounded."""

import math

import pytest

from maquette.cli.curve import Means, draw


def text(curves: list[list[tuple[float, float]]], columns: int, rows: int) -> list[str]:
    grid, _, _ = draw(curves, columns=columns, rows=rows)
    return ["".join(cell.character for cell in row) for row in grid]


def test_a_falling_line() -> None:
    # Four dots from the upper left to the lower right of 2 x 4: the Unicode chart has this cell.
    assert text([[(0, math.e**3), (1, 1.0)]], columns=1, rows=1) == ["⢣"]


def test_edges_and_extent() -> None:
    grid, top, low = draw([[(10, 8.0), (20, 2.0)], [(10, 4.0)]], columns=12, rows=3)
    assert top == pytest.approx(8.0)
    assert low == pytest.approx(2.0)
    assert grid[0][0].curve == 0
    assert grid[2][11].curve == 0
    assert grid[1][0].curve == 1
    assert {len(row) for row in grid} == {12}


def test_ascii() -> None:
    grid, _, _ = draw([[(0, 1.0), (3, 1.0)], [(3, 1.0)]], columns=4, rows=1, braille=False)
    assert "".join(cell.character for cell in grid[0]) == "...o"


@pytest.mark.parametrize("curves", [[], [[]], [[(1, -1.0)]], [[(1, 0.0)], []]])
def test_nothing_to_draw(curves: list[list[tuple[float, float]]]) -> None:
    assert text(curves, columns=3, rows=2) == ["   ", "   "]


def test_one_point() -> None:
    assert text([[(5, 2.0)]], columns=2, rows=1) == ["⠁ "]


def test_means_stay_few_and_right() -> None:
    means = Means(capacity=8)
    for step in range(1, 1001):
        means.add(step, float(step))
    means.add(1001, math.nan)
    points = means.points()
    assert len(points) <= 9
    assert all(step == pytest.approx(value) for step, value in points)
    assert points[0][0] < 130
    assert points[-1][0] > 900


def test_marks_and_even_heights() -> None:
    curves = [[(0, -1.0), (1, -1.0)], [(2, 0.0)], [(3, 1.0)]]
    grid, top, low = draw(curves, columns=4, rows=3, braille=False, marks="ABC", log=False)
    assert (top, low) == (1.0, -1.0)
    assert ["".join(cell.character for cell in row) for row in grid] == ["   C", "  B ", "AA  "]
