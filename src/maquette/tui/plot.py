"""Curves in braille: several at once, with axes, zoom, and what lies under the mouse."""

import bisect
import math
from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.strip import Strip
from textual.widget import Widget

from maquette.quantities import format_count
from maquette.tui import scales
from maquette.tui.scales import Scale

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of a cell, by row and column
_ZOOM = 1.6
_LEAST_SHARE = 1e-3  # of all, that can be zoomed to
SERIES = tuple(f"series-{i}" for i in range(1, 9))

Point = tuple[float, float]
Grid = list[list[tuple[int, int] | None]]  # of cells: dots, and whose they are


class Curve(NamedTuple):
    """A line with a name. A faint one lies below the others and sets no scale."""

    name: str
    points: Sequence[Point]
    style: str = SERIES[0]
    faint: bool = False


def raster(curves: Sequence[Curve], across: Scale, up: Scale, columns: int, rows: int) -> Grid:
    """Curves as braille cells. Those later in the sequence lie on top; faint ones are covered."""
    grid: Grid = [[None] * columns for _ in range(rows)]
    for index, curve in enumerate(curves):
        cells = _cells(curve.points, across, up, columns * 2, rows * 4)
        for (row, column), bits in cells.items():
            below = grid[row][column]
            shared = below[0] if below is not None and not curves[below[1]].faint else 0
            grid[row][column] = (bits | shared, index)
    return grid


def _cells(
    points: Sequence[Point], across: Scale, up: Scale, width: int, height: int
) -> dict[tuple[int, int], int]:
    """The cells that a curve passes, and its dots there. Width and height are in dots."""
    cells: dict[tuple[int, int], int] = {}

    def dot(x: int, y: int) -> None:
        if 0 <= x < width and 0 <= y < height:
            place = (y // 4, x // 2)
            cells[place] = cells.get(place, 0) | _DOTS[y % 4][x % 2]

    before: tuple[int, int] | None = None
    spans = _spans(points, across, up, width, height)
    for x, low, high, first, last in spans:
        for y in range(low, high + 1):
            dot(x, y)
        if before is not None:
            x0, y0 = before
            length = max(x - x0, abs(first - y0))
            for i in range(1, length):
                dot(x0 + round((x - x0) * i / length), y0 + round((first - y0) * i / length))
        before = (x, last)
    if len(spans) == 1:  # a single value is to be seen too
        x, y = spans[0][0], spans[0][1]
        for right, down in ((1, 0), (0, 1), (1, 1)):
            dot(x + right, y + down)
    return cells


def _spans(
    points: Sequence[Point], across: Scale, up: Scale, width: int, height: int
) -> list[tuple[int, int, int, int, int]]:
    """For each column of dots: x, lowest and highest, first and last y."""
    found: list[tuple[int, int, int, int, int]] = []
    for value_x, value_y in points:
        share_x, share_y = across.share(value_x), up.share(value_y)
        if share_x is None or share_y is None:
            continue
        x = round(min(2.0, max(-1.0, share_x)) * (width - 1))
        y = round((1 - min(2.0, max(-1.0, share_y))) * (height - 1))
        y = min(height, max(-1, y))
        if found and found[-1][0] == x:
            _, low, high, first, _ = found[-1]
            found[-1] = (x, min(low, y), max(high, y), first, y)
        else:
            found.append((x, y, y, y, y))
    return found


class Plot(Widget):
    """Curves with a title, a legend and axes. Set what it shows with `show`."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *SERIES,
        "plot--title",
        "plot--faint",
        "plot--axis",
        "plot--grid",
        "plot--note",
    }
    BINDINGS: ClassVar[list[BindingType]] = []
    DEFAULT_CSS = """
    Plot { height: 1fr; min-height: 5; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - as all widgets have it
        super().__init__(id=id)
        self._title, self._note = "", ""
        self._curves: list[Curve] = []
        self._log, self._log_across = False, False
        self._time = False
        self._empty = ""
        self.window: tuple[float, float] | None = None
        """The part of the steps or seconds that is seen; None for all."""
        self._under: float | None = None
        self._dragged: tuple[int, tuple[float, float]] | None = None
        self._drawn: list[Strip] = []
        self._drawn_for: object = None

    def show(
        self,
        title: str,
        curves: Sequence[Curve],
        *,
        log: bool = False,
        log_across: bool = False,
        time: bool = False,
        note: str = "",
        empty: str = "nothing yet",
    ) -> None:
        """Show these curves; `time`: they go by seconds. `empty` is said where there is none."""
        self._title, self._curves, self._note = title, list(curves), note
        self._log, self._log_across = log, log_across
        if time != self._time:
            self._time, self.window = time, None
        self._empty = empty
        self.redraw()

    def redraw(self) -> None:
        """Draw anew."""
        self._drawn_for = None
        self.refresh()

    # Where it looks

    def _whole(self) -> Scale | None:
        values = [x for curve in self._curves for x, _ in (*curve.points[:1], *curve.points[-1:])]
        if self._log_across:
            values = [max(1.0, x) for x in values]
        return scales.span(values, log=self._log_across)

    def _across(self) -> Scale | None:
        whole = self._whole()
        if whole is None or self.window is None:
            return whole
        return Scale(*self.window, self._log_across)

    def zoom(self, factor: float, around: float = 0.5) -> None:
        """Look closer (a factor above 1) or from further away, around a place from 0 to 1."""
        whole, seen = self._whole(), self._across()
        if whole is None or seen is None:
            return
        low = seen.value(around - around / factor)
        high = seen.value(around + (1 - around) / factor)
        if high - low < _LEAST_SHARE * (whole.high - whole.low):
            return
        self._look_at(low, high, whole)

    def pan(self, by: float) -> None:
        """Look to the right by a share of what is seen, or to the left."""
        whole, seen = self._whole(), self._across()
        if whole is not None and seen is not None and self.window is not None:
            by = max(by, -(whole.share(seen.low) or 0.0)) if by < 0 else by
            self._look_at(seen.value(by), seen.value(1 + by), whole)

    def _look_at(self, low: float, high: float, whole: Scale) -> None:
        low, high = max(whole.low, low), min(whole.high, high)
        if high <= low:
            return
        everything = low <= whole.low and high >= whole.high
        self.window = None if everything else (low, high)
        self.redraw()

    def reset_zoom(self) -> None:
        """Look at all of it."""
        self.window = None
        self.redraw()

    # The mouse

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Look closer at what is under the mouse."""
        self.zoom(_ZOOM, self._share_at(event.x))
        event.stop()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Look from further away."""
        self.zoom(1 / _ZOOM, self._share_at(event.x))
        event.stop()

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Take hold of the plot."""
        if self.window is not None:
            self._dragged = (event.x, self.window)
            self.capture_mouse()

    def on_mouse_up(self) -> None:
        """Let go."""
        self._dragged = None
        self.release_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Tell the values under the mouse, or move what it holds."""
        whole = self._whole()
        if self._dragged is not None and whole is not None:
            start, window = self._dragged
            seen = Scale(*window, self._log_across)
            by = (start - event.x) / max(1, self._columns)
            low, high = seen.value(by), seen.value(1 + by)
            if low >= whole.low and high <= whole.high:
                self._look_at(low, high, whole)
        seen_now = self._across()
        self._under = None if seen_now is None else seen_now.value(self._share_at(event.x))
        self.redraw()

    def on_leave(self) -> None:
        """Tell the last values again."""
        self._under = None
        self.redraw()

    _gutter = 8
    _columns = 1

    def _share_at(self, x: int) -> float:
        return min(1.0, max(0.0, (x - self._gutter) / max(1, self._columns - 1)))

    # Drawing

    def render_line(self, y: int) -> Strip:
        """One line of the drawing, which is made anew when anything has changed."""
        key = (self.size, self.app.theme, self.styles.background)
        if self._drawn_for != key:
            self._drawn = self._draw(self.size.width, self.size.height)
            self._drawn_for = key
        return (
            self._drawn[y]
            if y < len(self._drawn)
            else Strip.blank(self.size.width, self.rich_style)
        )

    def notify_style_update(self) -> None:
        """Draw in the new colours."""
        self._drawn_for = None
        super().notify_style_update()

    def _draw(self, width: int, height: int) -> list[Strip]:
        base = self.rich_style
        across = self._across()
        rows = height - 2 if height < 7 else height - 3
        if across is None or rows < 1 or width < 16:
            lines = [self._legend(width, None), *([[]] * ((height - 2) // 2))]
            lines.append([(f"{self._empty:^{max(1, width)}}", "plot--axis")])
            return [self._strip(line, width, base) for line in lines][:height]
        up = self._up(across)
        marks = scales.ticks(up, max(3, rows // 3))
        names = scales.labels(marks)
        self._gutter = max((len(name) for name in names), default=1) + 2
        self._columns = columns = max(2, width - self._gutter - 1)
        grid = raster(self._ordered(), across, up, columns, rows)
        at = {
            round((1 - (up.share(v) or 0.0)) * (rows - 1)): n
            for v, n in zip(marks, names, strict=True)
        }
        guide = None
        if self._under is not None and (share := across.share(self._under)) is not None:
            guide = round(share * (columns - 1))
        lines = [self._legend(width, self._under)]
        for row, cells in enumerate(grid):
            lines.append(self._row(cells, at.get(row), guide))
        lines += self._below(across, columns, axis=height >= 7)
        return [self._strip(line, width, base) for line in lines]

    def _ordered(self) -> list[Curve]:
        return sorted(self._curves, key=lambda curve: not curve.faint)

    def _up(self, across: Scale) -> Scale:
        seen = [
            y
            for curve in self._curves
            for x, y in curve.points
            if not curve.faint and across.low <= x <= across.high
        ]
        if not seen:
            seen = [y for curve in self._curves for _, y in curve.points]
        found = scales.span(seen, log=self._log, margin=0.04)
        return found or scales.span(seen, log=False, margin=0.04) or Scale(0.0, 1.0)

    def _row(
        self, cells: list[tuple[int, int] | None], label: str | None, guide: int | None
    ) -> list[tuple[str, str]]:
        curves = self._ordered()
        gutter = f"{label or '':>{self._gutter - 2}} {'┤' if label else '│'}"
        pieces = [(gutter, "plot--axis")]
        for column, cell in enumerate(cells):
            if cell is not None:
                curve = curves[cell[1]]
                pieces.append(
                    (chr(0x2800 + cell[0]), "plot--faint" if curve.faint else curve.style)
                )
            elif column == guide:
                pieces.append(("│", "plot--axis"))
            else:
                pieces.append(("┈" if label else " ", "plot--grid"))
        return pieces

    def _below(self, across: Scale, columns: int, *, axis: bool) -> list[list[tuple[str, str]]]:
        """The axis of steps or seconds, with round numbers as far as there is room."""
        marks = scales.ticks(across, max(2, columns // 10), seconds=self._time)
        names = scales.time_labels(marks) if self._time else scales.step_labels(marks)
        line, text = ["─"] * columns, [" "] * (columns + self._gutter)
        end = -1
        for value, name in zip(marks, names, strict=True):
            place = round((across.share(value) or 0.0) * (columns - 1))
            start = min(place + self._gutter - len(name) // 2, len(text) - len(name))
            if not 0 <= place < columns or start <= end:
                continue
            line[place] = "┬"
            text[start : start + len(name)] = name
            end = start + len(name)
        edge = " " * (self._gutter - 1) + "└"
        below = [[(edge + "".join(line), "plot--axis")]] if axis else []
        return [*below, [("".join(text), "plot--axis")]]

    def _legend(self, width: int, under: float | None) -> list[tuple[str, str]]:
        """The title, then each curve with its last value, or with that under the mouse."""
        pieces = [(self._title, "plot--title"), ("  ", "")]
        if under is not None:
            words = scales.time_labels([under]) if self._time else scales.step_labels([under])
            pieces.append((f"at {words[0]}  ", "plot--axis"))
        used = sum(cell_len(text) for text, _ in pieces)
        for curve in self._curves:
            value = _value(curve.points, under)
            if curve.faint or value is None:
                continue
            text = f"{curve.name} {number(value)}".strip()
            if used + cell_len(text) + 5 > width:
                break
            pieces += [("━━ ", curve.style), (f"{text}  ", "")]
            used += cell_len(text) + 5
        if self._note and used + cell_len(self._note) < width:
            space = width - used - cell_len(self._note) - 1
            pieces += [(" " * space, ""), (self._note, "plot--note")]
        return pieces

    def _strip(self, pieces: Sequence[tuple[str, str]], width: int, base: Style) -> Strip:
        segments = []
        for text, name in pieces:
            style = base + self.get_component_rich_style(name, partial=True) if name else base
            segments.append(Segment(text, style))
        return Strip(segments).simplify().adjust_cell_length(width, base)


def _value(points: Sequence[Point], under: float | None) -> float | None:
    """The last value, or the one nearest to a place."""
    if not points:
        return None
    if under is None:
        return points[-1][1]
    key: Callable[[Point], float] = lambda point: point[0]  # noqa: E731
    place = bisect.bisect_left(points, under, key=key)
    near = points[max(0, place - 1) : place + 1]
    return min(near, key=lambda point: abs(point[0] - under))[1]


def number(value: float) -> str:
    """A value in about five characters."""
    if not math.isfinite(value):
        return "-"
    if value != 0 and abs(value) < 0.01:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    if abs(value) >= 1000:
        return f"{value:,.0f}" if abs(value) < 1e4 else format_count(value)
    return f"{value:.3f}"
