"""A comparison of runs as text. Imported only by commands that show one."""

import itertools
import json
import sys
from collections.abc import Sequence
from typing import Any

from maquette.cli.curve import draw
from maquette.cli.table import coloured, paint, wrap
from maquette.cli.view import printable
from maquette.comparison import (
    ABSENT,
    LETTERS,
    Axis,
    Comparison,
    Course,
    Equal,
    Measure,
    Measured,
    Point,
    winners,
)
from maquette.quantities import format_count, format_duration

COLOURS = ("cyan", "yellow", "green", "magenta", "blue", "red", "pink", "lime")
_ROWS = 9  # of a plot
_MARGIN = 8  # before a plot, for the values
_NONE = "-"
_CELL = 24  # characters of a value, before it is shown below its key


def report(comparison: Comparison, axis: Axis, width: int) -> list[str]:
    """The comparison as lines of text, coloured where stdout is a terminal."""
    courses = comparison.courses
    lines = _legend(courses, width)
    for note in comparison.notes:
        lines += [*([""] if note is comparison.notes[0] else []), *_note(note, width)]
    rows = [
        (printable(key), list(map(text_of, values)))
        for key, values in comparison.differences.items()
    ]
    title = "differences" if rows else "the specs don't differ"
    lines += ["", *_table(title, rows, courses, width)]
    for measured in comparison.measured:
        lines += ["", *_table(measured.measure.name, _values(measured, courses), courses, width)]
        known = [c for c in courses if c.validation[measured.measure.key]]
        if known:
            lines += _plot(
                known,
                [c.validation[measured.measure.key] for c in known],
                axis,
                width,
                log=not measured.measure.higher_is_better,
            )
    trained = [course for course in courses if course.training]
    if trained and comparison.measured[0].measure.key != "bits_per_byte":
        lines += ["", paint("training loss", "bold")]
        lines += _plot(trained, [c.training for c in trained], axis, width, log=True)
    if any(one.equal for one in comparison.measured):
        told = "* best of its row, ~ between two evaluations"
        lines += ["", *(paint(line, "dim") for line in wrap(told, width))]
    return lines


def _legend(courses: Sequence[Course], width: int) -> list[str]:
    rows = []
    for course in courses:
        state = course.state
        steps = f"step {state.step} of {state.steps}" if state.steps else ""
        rows.append((printable(course.run.id), f"{state.status}  {steps}".rstrip()))
    longest = max(len(name) for name, _ in rows)
    lines = []
    for course, (name, facts) in zip(courses, rows, strict=True):
        head = paint(f"{course.letter}  {name}", colour_of(course))
        if 3 + longest + 2 + len(facts) <= width:
            lines.append(f"{head}{' ' * (longest - len(name) + 2)}{paint(facts, 'dim')}".rstrip())
        else:
            lines += [head, paint(f"   {facts}", "dim")]
    return lines


def _note(text: str, width: int) -> list[str]:
    first, *rest = wrap(printable(text), width - 6) or [""]
    return [paint("note: ", "yellow") + first, *(" " * 6 + line for line in rest)]


def _values(measured: Measured, courses: Sequence[Course]) -> list[tuple[str, list[str]]]:
    """The rows of a measure: at the end, at best, and at equal places."""
    measure = measured.measure
    rows = [("final", _row(measured.final, measure)), ("best", _row(measured.best, measure))]
    best = [f"step {point.step}" if point is not None else "" for point in measured.best]
    rows.append(("", best))
    rows += [
        (_place(equal, courses[0].unit), _row(equal.values, measure)) for equal in measured.equal
    ]
    return rows


def _row(values: Sequence[Point | None], measure: Measure) -> list[str]:
    best = winners(values, measure)
    return [
        _NONE
        if point is None
        else ("~" if point.between else "")
        + format_value(point.value, measure)
        + ("*" if i in best else " ")
        for i, point in enumerate(values)
    ]


def format_value(value: float, measure: Measure) -> str:
    """Four digits of a loss, an accuracy in percent."""
    return f"{value:.2%}" if measure.key == "accuracy" else f"{value:.4f}"


def _place(equal: Equal, unit: str) -> str:
    if equal.axis == "step":
        return f"at step {equal.at:.0f}"
    if equal.axis == "seconds":
        return f"after {format_duration(equal.at)}"
    return f"after {format_count(equal.at)} {unit}"


def text_of(value: Any) -> str:
    """A value of a spec in one line, as it is written there."""
    if isinstance(value, str) and value.isprintable() and value:
        return value
    if value is ABSENT:
        return _NONE
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value)


def colour_of(course: Course) -> str:
    """A run's colour, the same everywhere."""
    return COLOURS[LETTERS.index(course.letter)]


def _table(
    title: str, rows: Sequence[tuple[str, Sequence[str]]], courses: Sequence[Course], width: int
) -> list[str]:
    """Keys and a column for each run; what doesn't fit there is below, each value by its letter."""
    short = [row for row in rows if max(map(len, row[1])) <= _CELL]
    long = [row for row in rows if row not in short]
    margin = max([len(title), *(len(key) + 2 for key, _ in short)]) + 2
    sizes = [
        max([len(course.letter), *(len(values[i]) for _, values in short)])
        for i, course in enumerate(courses)
    ]
    if not short or margin + sum(size + 2 for size in sizes) > width:
        return [paint(title, "bold"), *_stacked(rows, courses, width)]
    heads = "".join(
        paint(f"{course.letter:>{size}}", colour_of(course)) + "  "
        for course, size in zip(courses, sizes, strict=True)
    )
    lines = [(paint(title, "bold") + " " * (margin - len(title)) + heads).rstrip()]
    for key, values in short:
        cells = "".join(f"{v:>{size}}  " for v, size in zip(values, sizes, strict=True))
        lines.append(f"  {key:{margin - 2}}{cells}".rstrip())
    return [*lines, *_stacked(long, courses, width)]


def _stacked(
    rows: Sequence[tuple[str, Sequence[str]]], courses: Sequence[Course], width: int
) -> list[str]:
    lines = []
    for key, values in rows:
        pairs = list(zip(courses, values, strict=True))
        lines += [f"  {key}"] if key else []
        if 2 + sum(len(value) + 5 for value in values) <= width:
            cells = (f"{paint(c.letter, colour_of(c))} {v.strip()}   " for c, v in pairs)
            lines.append(f"    {''.join(cells)}".rstrip())
            continue
        for course, value in pairs:
            first, *rest = wrap(value, width - 7) or [""]
            lines.append(f"    {paint(course.letter, colour_of(course))} {first}".rstrip())
            lines += [f"      {line}" for line in rest]
    return lines


def _plot(
    courses: Sequence[Course],
    curves: Sequence[Sequence[Point]],
    axis: Axis,
    width: int,
    *,
    log: bool,
) -> list[str]:
    """Curves over steps or time, in the colours of their runs; in letters where there are none."""
    columns, unicode = width - _MARGIN, (sys.stdout.encoding or "").lower().startswith("utf")
    places = [
        thinned([(x, p.value) for p in curve if (x := p.at(axis)) is not None], columns)
        for curve in curves
    ]
    marks = "".join(course.letter for course in courses)
    grid, top, low = draw(
        places, columns=columns, rows=_ROWS, braille=unicode and coloured(), marks=marks, log=log
    )
    lines = []
    for i, row in enumerate(grid):
        edge = top if i == 0 else low if i == _ROWS - 1 else None
        label = "" if edge is None else f"{edge:.3g}" if log else f"{edge:.0%}"
        cells = "".join(
            paint("".join(c for c, _ in part), "" if n is None else colour_of(courses[n]))
            for n, part in itertools.groupby(row, key=lambda cell: cell.curve)
        )
        wall = "│" if unicode else "|"
        lines.append(f"{paint(f'{label:>{_MARGIN - 2}} {wall}', 'dim')}{cells}".rstrip())
    ends = [curve[-1][0] for curve in places if curve]
    first = min((curve[0][0] for curve in places if curve), default=0)
    last = max(ends, default=0)
    left, right = (
        (f"step {first:.0f}", f"{last:.0f}")
        if axis == "step"
        else (format_duration(first), format_duration(last))
    )
    space = " " * max(1, columns - len(left) - len(right))
    lines.append(paint(f"{' ' * _MARGIN}{left}{space}{right}", "dim"))
    return lines


def thinned(points: Sequence[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """Means over stretches of equally many points, at most so many."""
    size = -(-len(points) // max(1, most)) or 1
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [
        (sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group))
        for group in groups
    ]
