"""Curves as characters: scales, ticks, smoothing and the drawing, against what can be counted."""

import json
import math
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from maquette.events import StepDone, to_row
from maquette.runs.store import Store
from maquette.tui import scales
from maquette.tui.course import Course, smooth
from maquette.tui.figures import bar, sparkline
from maquette.tui.pictures import half_blocks
from maquette.tui.plot import Curve, number, raster
from maquette.tui.scales import Scale
from tests.tui.scenes import make_run


def drawn(curves: list[Curve], across: Scale, up: Scale, columns: int, rows: int) -> list[str]:
    grid = raster(curves, across, up, columns, rows)
    return ["".join(chr(0x2800 + cell[0]) if cell else " " for cell in row) for row in grid]


def test_a_straight_line_is_a_diagonal_of_dots() -> None:
    curve = Curve("", [(0.0, 0.0), (1.0, 1.0)])
    # 4 x 8 dots: two dots up for each to the right.
    assert drawn([curve], Scale(0, 1), Scale(0, 1), 2, 2) == [" ⡜", "⡜ "]
    flat = Curve("", [(0.0, 1.0), (1.0, 1.0)])
    assert drawn([flat], Scale(0, 1), Scale(0, 1), 3, 2) == ["⠉⠉⠉", "   "]


def test_many_values_in_a_column_are_drawn_from_the_lowest_to_the_highest() -> None:
    noisy = Curve("", [(i / 1000, float(i % 2)) for i in range(1001)])
    assert drawn([noisy], Scale(0, 1), Scale(0, 1), 4, 3) == ["⣿⣿⣿⣿"] * 3


def test_what_lies_outside_is_not_drawn_and_leads_in_from_there() -> None:
    curve = Curve("", [(-1.0, 0.5), (0.0, 0.5), (1.0, 0.5), (9.0, 0.5)])
    inside = Curve("", [(0.0, 0.5), (1.0, 0.5)])
    window = Scale(0, 1)
    assert drawn([curve], window, window, 5, 3) == drawn([inside], window, window, 5, 3)
    above = Curve("", [(0.0, 5.0), (1.0, 5.0)])
    assert drawn([above], window, window, 5, 3) == ["     "] * 3


def test_a_faint_curve_is_covered_and_a_strong_one_shares_its_cell() -> None:
    low, high = [(0.0, 0.0), (1.0, 0.0)], [(0.0, 1.0), (1.0, 1.0)]
    faint = [Curve("", low, faint=True), Curve("", high)]
    assert drawn(faint, Scale(0, 1), Scale(0, 1), 1, 1) == ["⠉"]
    strong = [Curve("", low), Curve("", high)]
    assert drawn(strong, Scale(0, 1), Scale(0, 1), 1, 1) == ["⣉"]


def test_logarithms_put_equal_ratios_at_equal_distances() -> None:
    scale = Scale(1, 100, log=True)
    assert scale.share(10) == pytest.approx(0.5)
    assert scale.value(0.5) == pytest.approx(10)
    assert scale.share(0) is None
    assert scale.share(-1) is None


@pytest.mark.parametrize(
    ("scale", "count", "found"),
    [
        (Scale(0, 10), 5, [0, 2, 4, 6, 8, 10]),
        (Scale(0.13, 0.94), 4, [0.5]),
        (Scale(1, 1000, log=True), 4, [1, 10, 100, 1000]),
        (Scale(2.1, 9.5, log=True), 4, [3, 5]),
    ],
)
def test_ticks_are_round_numbers(scale: Scale, count: int, found: list[float]) -> None:
    assert scales.ticks(scale, count) == pytest.approx(found)


def test_ticks_of_time_are_round_in_seconds_minutes_and_hours() -> None:
    assert scales.ticks(Scale(0, 200), 4, seconds=True) == [0, 60, 120, 180]
    assert scales.ticks(Scale(0, 7000), 4, seconds=True) == [0, 1800, 3600, 5400]
    assert scales.ticks(Scale(0, 40 * 86400), 4, seconds=True)[1] == 10 * 86400


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([0.0, 0.5, 1.0], ["0.0", "0.5", "1.0"]),
        ([1.0, 2.0, 5.0], ["1", "2", "5"]),
        ([1e-4, 5e-4], ["1e-4", "5e-4"]),
        ([31_400.0, 32_000.0], ["31.4k", "32k"]),
        ([], []),
    ],
)
def test_labels_are_as_short_as_they_can_be(values: list[float], texts: list[str]) -> None:
    assert scales.labels(values) == texts


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.23456, "1.235"), (31598.0, "31.6k"), (2.97e-4, "2.97e-4"), (math.nan, "-"), (0.0, "0.000")],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text


def test_smoothing_is_a_mean_with_weights_that_fall_on_both_sides() -> None:
    values = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0]
    weight = 0.7
    expected = []
    for i in range(len(values)):
        weights = [weight ** abs(i - j) for j in range(len(values))]
        total = sum(w * v for w, v in zip(weights, values, strict=True))
        expected.append(total / sum(weights))
    points = [(float(i), v) for i, v in enumerate(values)]
    assert [y for _, y in smooth(points, weight)] == pytest.approx(expected)
    assert smooth(points, 0.0) == points
    assert smooth([], 0.9) == []
    line = [(float(i), 2.0 * i) for i in range(401)]
    middle = smooth(line, 0.9)[200]
    assert middle == pytest.approx((200.0, 400.0)), "it doesn't lag behind"


def test_long_runs_are_kept_in_bounded_memory(tmp_path: Path) -> None:
    run = make_run(Store(tmp_path), "long-calm-otter", step=0, steps=9)
    course = Course(run)
    course.look(run.state())
    total = 0.0
    with run.metrics_path.open("a") as file:
        for step in range(1, 20_001):
            total += step % 7
            event = StepDone(step, 0.1, step, float(step % 7), 1e-3, 0.5, 0.1)
            file.write(json.dumps({"at": 1.7e9 + step, **to_row(event)}) + "\n")
            if step % 5000 == 0:
                file.flush()
                assert course.look(run.state())
    assert len(course.steps) < 8192
    assert course.steps[0].step < 10
    assert course.steps[-1].step == 20_000
    points = course.curve("loss", by_time=False)
    assert sum(y for _, y in points) / len(points) == pytest.approx(total / 20_000, abs=0.1)
    assert all(a.step < b.step for a, b in zip(course.steps, course.steps[1:], strict=False))


def test_bars_and_sparklines() -> None:
    assert bar(0.0, 4) == ("", "━━━━")
    assert bar(0.5, 4) == ("━━", "━━")
    assert bar(0.6, 4) == ("━━╸", "━")
    assert bar(7.0, 4) == ("━━━━", "")
    assert sparkline([100.0, 10.0, 1.0], 3) == "█▅▁"  # by logarithms: 10 is the middle
    assert sparkline([5.0, None, math.nan, 5.0], 2) == "▁▁"
    assert sparkline([1.0], 9) == ""


def test_pictures_keep_their_colours_two_pixels_to_a_character(tmp_path: Path) -> None:
    image = Image.new("RGB", (2, 3), (10, 20, 30))
    image.putpixel((1, 1), (200, 100, 50))
    image.save(tmp_path / "two.png")
    text = half_blocks(tmp_path / "two.png", 10, 10)
    assert text.plain == "▀▀\n▀▀\n"
    styles = [text.get_style_at_offset(_console(), i) for i in (0, 1, 3)]
    assert [tuple(s.color.get_truecolor()) for s in styles if s.color] == [(10, 20, 30)] * 3
    assert styles[1].bgcolor is not None
    assert tuple(styles[1].bgcolor.get_truecolor()) == (200, 100, 50)
    assert styles[2].bgcolor is None, "nothing is below the last row"


def _console() -> Console:
    return Console()
