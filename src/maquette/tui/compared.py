"""What runs side by side are told by: how each does, and where their specs differ."""

import json
from collections.abc import Sequence
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.text import Text
from textual import events
from textual.message import Message
from textual.widgets import Static

from maquette.comparison import (
    ABSENT,
    LETTERS,
    Comparison,
    Course,
    Equal,
    Measure,
    Measured,
    Point,
    winners,
)
from maquette.quantities import format_count, format_duration
from maquette.tui import figures
from maquette.tui.plot import SERIES

_BEFORE, _NAME = 4, 24  # characters before a name, and of one that gets room first
Rows = dict[str, list[str]]  # dotted key -> the value of each run
Column = tuple[str, list[str]]  # its title, and a cell for each run


class Table(Static):
    """A line for each run: its letter, its name, how it does."""

    class Chosen(Message):
        """A run was clicked."""

        def __init__(self, place: int) -> None:
            super().__init__()
            self.place = place

    def show(
        self, comparison: Comparison, measured: Measured | None, chosen: int | None, width: int
    ) -> None:
        """Show the runs by a measure; by the first one where there is none to go by."""
        measured = measured or comparison.measured[0]
        names = [figures.one_line(course.run.id) for course in comparison.courses]
        longest = max(map(cell_len, names))
        columns = _columns(measured, comparison.courses)
        while len(columns) > 1 and _BEFORE + min(longest, _NAME) + _width(columns) > width:
            columns.pop()
        room = max(8, min(longest, width - _BEFORE - _width(columns)))
        colours = self.app.theme_variables
        text = Text(no_wrap=True)
        text.append(set_cell_size(f"  {measured.measure.name}", _BEFORE + room), "bold")
        for column in columns:
            text.append(f"{column[0] + ' ':>{_width([column])}}", colours["muted"])
        for i, (course, name) in enumerate(zip(comparison.courses, names, strict=True)):
            text.append(f"\n{'▌' if i == chosen else ' '}", colours["accent"])
            text.append(f" {course.letter} ", f"bold {colours[style_of(course)]}")
            text.append(set_cell_size(_cut(name, room), room), "bold" if i == chosen else "")
            for column in columns:
                cell = column[1][i]
                text.append(f"{cell:>{_width([column])}}", "bold" if cell[-1] == "*" else "")
        self.update(text)

    def on_click(self, event: events.Click) -> None:
        """Choose the run under the mouse."""
        if event.y > 0:
            self.post_message(self.Chosen(event.y - 1))


class Differences(Static):
    """What to know when reading the values, and the keys whose values differ."""

    def show(self, comparison: Comparison, width: int) -> int:
        """Show them; returns how many lines they take."""
        text = self._notes(comparison, width)
        text.append_text(self._keys(comparison, width))
        self.update(text)
        return len(text.plain.splitlines())

    def _notes(self, comparison: Comparison, width: int) -> Text:
        colours = self.app.theme_variables
        text = Text(no_wrap=True)
        for note in comparison.notes:
            wrapped = Text(f"! {figures.one_line(note)}", colours["warning"])
            for line in wrapped.wrap(self.app.console, max(20, width)):
                text.append_text(line).append("\n")
        return text.append("\n" * bool(comparison.notes))

    def _keys(self, comparison: Comparison, width: int) -> Text:
        rows = {
            key: [text_of(value) for value in values]
            for key, values in comparison.differences.items()
        }
        if not rows:
            return Text("the specs don't differ", self.app.theme_variables["muted"])
        left = max(len("what differs"), *map(len, rows)) + 2
        columns = list(zip(*rows.values(), strict=True))
        sizes = [max(map(cell_len, column)) + 2 for column in columns]
        if left + sum(sizes) <= width:
            return self._table(comparison, rows, left, sizes)
        return self._stacked(comparison, rows, width)

    def _table(self, comparison: Comparison, rows: Rows, left: int, sizes: Sequence[int]) -> Text:
        """A line for each key; what is as in the first run is faint."""
        colours = self.app.theme_variables
        text = Text(f"{'what differs':{left}}", "bold", no_wrap=True)
        for course, size in zip(comparison.courses, sizes, strict=True):
            text.append(f"{course.letter:{size}}", colours[style_of(course)])
        for key, values in rows.items():
            text.append(f"\n{key:{left}}", f"not bold {colours['muted']}")
            for i, (value, size) in enumerate(zip(values, sizes, strict=True)):
                same = i > 0 and value == values[0]
                colour = colours["muted" if same else "foreground"]
                text.append(set_cell_size(value, size), f"not bold {colour}")
        return text

    def _stacked(self, comparison: Comparison, rows: Rows, width: int) -> Text:
        """Each key with its values below it, and whose they are."""
        colours = self.app.theme_variables
        text = Text("what differs", "bold", no_wrap=True)
        for key, values in rows.items():
            text.append(f"\n{_cut(key, width)}", f"not bold {colours['muted']}")
            for value in dict.fromkeys(values):
                text.append("\n  ")
                who = [c for c, v in zip(comparison.courses, values, strict=True) if v == value]
                for course in who:
                    text.append(f"{course.letter} ", colours[style_of(course)])
                text.append(_cut(value, max(8, width - 2 - 2 * len(who))), "not bold")
        return text


def _width(columns: Sequence[Column]) -> int:
    """Characters of a line, with two before each column."""
    return sum(max(len(title) + 1, *map(len, cells)) + 2 for title, cells in columns)


def _columns(measured: Measured, courses: Sequence[Course]) -> list[Column]:
    """Titles and a cell for each run; the most important first. A star marks the best."""
    measure = measured.measure
    columns = [("best", _cells(measured.best, measure)), ("last", _cells(measured.final, measure))]
    columns += [(_place(equal), _cells(equal.values, measure)) for equal in measured.equal]
    columns.append(
        ("best at", ["" if p is None else f"{p.step:,} " for p in measured.best]),
    )
    columns.append(("state", [course.state.status + " " for course in courses]))
    return columns


def _cells(values: Sequence[Point | None], measure: Measure) -> list[str]:
    best = winners(values, measure)
    cells = []
    for i, point in enumerate(values):
        if point is None:
            cells.append("- ")
            continue
        value = f"{point.value:.2%}" if measure.key == "accuracy" else f"{point.value:.4f}"
        cells.append(f"{'~' * point.between}{value}{'*' if i in best else ' '}")
    return cells


def _place(equal: Equal) -> str:
    if equal.axis == "step":
        return f"at {equal.at:,.0f}"
    if equal.axis == "seconds":
        return f"in {format_duration(equal.at)}"
    return f"of {format_count(equal.at)}"


def text_of(value: Any) -> str:
    """A value of a spec in one line, as it is written there."""
    if value is ABSENT:
        return "-"
    return figures.one_line(
        value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    )


def _cut(text: str, width: int) -> str:
    return text if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"


def style_of(course: Course) -> str:
    """The theme's colour that a run has everywhere."""
    return SERIES[LETTERS.index(course.letter)]
