"""Curves of runs as a picture: axes with names, a legend, on light paper."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw

from maquette.comparison import Axis, Comparison, Course, Measure, Point
from maquette.data.image.paper import FAINT, INK, LINE, MARGIN, PAPER, Colour, fitting, font
from maquette.quantities import format_count, format_duration

COLOURS: tuple[Colour, ...] = (
    (23, 108, 161),
    (208, 92, 23),
    (38, 132, 82),
    (160, 58, 130),
    (104, 92, 196),
    (190, 44, 52),
    (120, 112, 40),
    (70, 78, 88),
)
_WIDTH, _HEIGHT = 1000, 330  # of a plot with its axes
_LEFT, _BOTTOM, _HEAD, _ROW = 74, 46, 30, 24
_FINER = 3  # lines are drawn so many times as large and then made smaller: smooth edges
_POINTS = 300
_EDGE = 8  # pixels between the last points and the end of the axis


class _Line(NamedTuple):
    """A curve and whose it is."""

    course: Course
    points: list[tuple[float, float]]


class _Scale(NamedTuple):
    """Values to pixels: `low` at `start`, `high` at `end`; evenly, or by their logarithms."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, value = self._of(self.low), self._of(self.high), self._of(value)
        return self.start + (value - low) / ((high - low) or 1) * (self.end - self.start)

    def _of(self, value: float) -> float:
        return math.log(value) if self.log else value


def draw_comparison(comparison: Comparison, axis: Axis) -> Image.Image:
    """A plot for each measure, and one for the training loss, over steps or seconds."""
    plots: list[tuple[str, Measure | None]] = [
        (f"{m.name} ({'%' if m.unit == 'share' else m.unit})", m)
        for m in (one.measure for one in comparison.measured)
    ]
    measure = comparison.measured[-1].measure
    if measure.key == "loss":  # of different tokenizers it is of different tokens
        plots.append((f"training loss ({measure.unit})", None))
    head = MARGIN + 44 + _ROW * len(comparison.courses)
    page = Image.new(
        "RGB", (_WIDTH + 2 * MARGIN, head + len(plots) * (_HEIGHT + MARGIN) + MARGIN // 2), PAPER
    )
    _legend(page, comparison)
    for place, (title, one) in enumerate(plots):
        lines = [
            _Line(course, points)
            for course in comparison.courses
            if (
                points := _points(
                    course.training if one is None else course.validation[one.key], axis
                )
            )
        ]
        top = head + place * (_HEIGHT + MARGIN)
        _plot(page, (MARGIN, top), title, lines, axis, log=one is None or not one.higher_is_better)
    return page


def _points(line: Sequence[Point], axis: Axis) -> list[tuple[float, float]]:
    """Those that have a place; of very many, means of neighbours."""
    found = [(x, p.value) for p in line if (x := p.at(axis)) is not None]
    size = -(-len(found) // _POINTS) or 1
    groups = [found[i : i + size] for i in range(0, len(found), size)]
    return [(sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g)) for g in groups]


def _legend(page: Image.Image, comparison: Comparison) -> None:
    draw = ImageDraw.Draw(page)
    title = f"{len(comparison.courses)} runs"
    draw.text((MARGIN, MARGIN - 6), title, INK, font(24))
    for row, course in enumerate(comparison.courses):
        y = MARGIN + 36 + row * _ROW
        colour = _colour(course)
        draw.rectangle((MARGIN, y + 3, MARGIN + 22, y + 8), colour)
        name = fitting(f"{course.letter}  {course.run.id}", _WIDTH // 2, 15)
        draw.text((MARGIN + 32, y - 4), name, INK, font(15))
        state = course.state
        facts = f"{state.status}, step {state.step:,} of {state.steps:,}"
        said = fitting(course.problem or facts, _WIDTH // 2 - 50, 13)
        draw.text((MARGIN + _WIDTH, y - 3), said, FAINT, font(13), anchor="ra")


def _plot(
    page: Image.Image,
    corner: tuple[int, int],
    title: str,
    lines: Sequence[_Line],
    axis: Axis,
    *,
    log: bool,
) -> None:
    draw = ImageDraw.Draw(page)
    left, top = corner[0] + _LEFT, corner[1] + _HEAD
    right, bottom = corner[0] + _WIDTH, corner[1] + _HEIGHT - _BOTTOM
    draw.text(corner, title, INK, font(16))
    lines = [_Line(c, [(x, y) for x, y in p if not log or y > 0]) for c, p in lines]
    values = [y for line in lines for _, y in line.points]
    if not values:
        draw.text((left, top + 20), "nothing yet", FAINT, font(14))
        return
    places = [x for line in lines for x, _ in line.points]
    low, high = min(values), max(values)
    room = 0.04 * ((math.log(high / low) if log else high - low) or 1.0)
    low, high = (low / math.exp(room), high * math.exp(room)) if log else (low - room, high + room)
    down = _Scale(low, high, bottom, top, log)
    along = _Scale(min(places), max(places), left, right - _EDGE)
    for value in (log_ticks if log else ticks)(low, high):
        y = down(value)
        draw.line((left, y, right, y), LINE)
        said = f"{value:.0%}" if "accuracy" in title else f"{value:g}"
        draw.text((left - 8, y), said, FAINT, font(13), anchor="rm")
    said_at = _saying(axis)
    for place in ticks(along.low, along.high):
        draw.line((along(place), bottom, along(place), bottom + 5), FAINT)
        draw.text((along(place), bottom + 8), said_at(place), FAINT, font(13), anchor="ma")
    name = {"step": "step", "seconds": "time in training", "amount": "seen"}[axis]
    draw.text((right, bottom + 26), name, FAINT, font(13), anchor="ra")
    draw.line((left, bottom, right, bottom), FAINT)
    _curves(page, (left, top, right, bottom), lines, along, down)


def _curves(
    page: Image.Image,
    box: tuple[int, int, int, int],
    lines: Sequence[_Line],
    along: _Scale,
    down: _Scale,
) -> None:
    """The lines, smooth: drawn larger on a copy of what is there, which is made smaller again."""
    part = page.crop(box)
    large = part.resize((part.width * _FINER, part.height * _FINER), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(large)
    for course, points in lines:
        dots = [((along(x) - box[0]) * _FINER, (down(y) - box[1]) * _FINER) for x, y in points]
        if len(dots) > 1:
            draw.line(dots, _colour(course), width=2 * _FINER, joint="curve")
        if len(dots) <= 30:
            for x, y in dots:
                size = 3 * _FINER
                draw.ellipse((x - size, y - size, x + size, y + size), _colour(course))
    page.paste(large.resize(part.size, Image.Resampling.LANCZOS), box[:2])


def ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Round numbers from low to high, a step of 1, 2 or 5 times a power of ten apart."""
    if high <= low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers from low to high that logarithms place about evenly."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7)):
        found = [f * 10.0**p for p in powers for f in factors if low <= f * 10.0**p <= high]
        if len(found) >= 4:
            return found
    return ticks(low, high, 5)


def _saying(axis: Axis) -> Callable[[float], str]:
    if axis == "step":
        return lambda value: f"{value:,.0f}"
    if axis == "seconds":
        return lambda value: format_duration(value) if value else "0"
    return format_count


def _colour(course: Course) -> Colour:
    return COLOURS[ord(course.letter) - ord("A")]
