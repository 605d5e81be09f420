"""The table of runs: only the lines in sight are drawn, however many runs there are."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from maquette.tui import figures
from maquette.tui.figures import Row

_GAP = 2
Pieces = list[tuple[str, str]]  # text, and the component class of its colour


class Column(NamedTuple):
    """One column; those of least importance are left out where there is no room."""

    key: str
    title: str
    width: int
    importance: int
    right: bool
    value: Callable[[Row], Any]  # to sort by
    pieces: Callable[[Row, float, int], Pieces]  # of a row, now, in so many characters
    grows: int = 0  # by so many characters, where there is room


def _plain(text: Callable[[Row], str], style: str = "") -> Callable[[Row, float, int], Pieces]:
    return lambda row, _now, _width: [(text(row), style)]


def _name(row: Row, _now: float, _width: int) -> Pieces:
    put_away = [(" put away", "muted")] if row["archived"] else []
    if row["name"]:
        return [(row["name"], "name"), (f"  {row['id']}", "muted"), *put_away]
    return [(row["id"], "name"), *put_away]


def _progress(row: Row, _now: float, width: int) -> Pieces:
    share = figures.share_of(row)
    if share is None:
        return []
    full, empty = figures.bar(share, width - 5)
    return [(full, f"bar-{row['status']}"), (empty, "trough"), (f" {share:4.0%}", "")]


def _step(row: Row) -> str:
    return f"{row['step']:,}/{row['steps']:,}" if row["steps"] else ""


def _spark(row: Row, _now: float, width: int) -> Pieces:
    return [(figures.sparkline(row.get("curve") or (), width), "spark")]


def _known(value: float | None) -> tuple[bool, float]:
    return value is None, value or 0.0  # what isn't known comes last


_ORDER = ("failed", "lost", "running", "queued", "stopped", "completed")

COLUMNS = (
    Column("run", "run", 18, 10, False, lambda r: (r["name"] or r["id"]).lower(), _name, 24),
    Column(
        "status",
        "state",
        11,
        9,
        False,
        lambda r: _ORDER.index(r["status"]),
        lambda r, _n, _w: [(figures.status_of(r), r["status"])],
        5,
    ),
    Column("progress", "done", 10, 6, False, lambda r: -(figures.share_of(r) or 0), _progress, 10),
    Column("step", "step", 13, 3, True, lambda r: -r["step"], _plain(_step)),
    Column(
        "loss",
        "loss",
        6,
        8,
        True,
        lambda r: _known(r["train_loss"]),
        _plain(lambda r: figures.loss(r["train_loss"])),
    ),
    Column(
        "judged",
        "valid.",
        6,
        7,
        True,
        lambda r: _known(r["validation_loss"]),
        _plain(figures.judged, "strong"),
    ),
    Column("curve", "course", 8, 5, False, lambda r: _known(r["train_loss"]), _spark, 22),
    Column(
        "speed",
        "speed",
        11,
        2,
        True,
        lambda r: -(r["tokens_per_second"] or 0),
        _plain(figures.speed),
    ),
    Column(
        "left",
        "left",
        8,
        4,
        True,
        lambda r: _known(r["ends_at"] if r["status"] == "running" else None),
        lambda r, now, _w: [(figures.left(r, now), "")],
    ),
    Column("device", "device", 7, 0, False, lambda r: r["device"], _plain(lambda r: r["device"])),
    Column(
        "age",
        "age",
        5,
        1,
        True,
        lambda r: -(r["created_at"] or 0),
        lambda r, now, _w: [(figures.age(r, now), "muted")],
    ),
)
BY_KEY = {column.key: column for column in COLUMNS}


def fit(width: int) -> list[tuple[Column, int]]:
    """The columns that there is room for, and how wide each is."""
    room = width - 3  # a mark before the first, a space behind the last
    chosen = sorted(COLUMNS, key=lambda column: -column.importance)
    while len(chosen) > 1 and sum(c.width + _GAP for c in chosen) - _GAP > room:
        chosen.pop()
    spare = room - sum(c.width + _GAP for c in chosen) + _GAP
    widths = {column.key: column.width for column in chosen}
    for column in sorted(chosen, key=lambda c: ("run", "status", "progress").count(c.key) == 0):
        more = min(column.grows, max(0, spare))
        widths[column.key] += more
        spare -= more
    return [(column, widths[column.key]) for column in COLUMNS if column.key in widths]


class Heading(NamedTuple):
    """A line between groups of runs."""

    text: str


class RunsTable(ScrollView, can_focus=True):
    """Runs, one a line, with a heading that sorts by the column that is clicked."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "muted",
        "name",
        "strong",
        "trough",
        "spark",
        "heading",
        "group",
        "cursor",
        "mark",
        *(f"bar-{status}" for status in figures.SYMBOLS),
        *figures.SYMBOLS,
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Up", show=False),
        Binding("down", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home", "move(-1000000)", "First", show=False),
        Binding("end", "move(1000000)", "Last", show=False),
        Binding("enter", "open", "Open"),
    ]
    cursor = reactive(0)

    class Opened(Message):
        """A run is to be looked at: Enter, or a click on the chosen line."""

        def __init__(self, run_id: str) -> None:
            super().__init__()
            self.run_id = run_id

    class Moved(Message):
        """The cursor is on another run now."""

    class SortAsked(Message):
        """The heading of a column was clicked."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - as all widgets have it
        super().__init__(id=id)
        self.lines: list[Row | Heading] = []
        self.marked: frozenset[str] = frozenset()
        self.sorted_by, self.reverse = "age", False
        self.now = 0.0
        self._columns: list[tuple[Column, int]] = []

    @property
    def row(self) -> Row | None:
        """The run under the cursor."""
        line = self.lines[self.cursor] if 0 <= self.cursor < len(self.lines) else None
        return None if isinstance(line, Heading) else line

    def fill(self, lines: Sequence[Row | Heading], *, now: float) -> None:
        """Show these from now on; the cursor stays on its run."""
        before = self.row
        self.lines, self.now = list(lines), now
        self.virtual_size = Size(self.size.width, len(self.lines) + 1)
        places = {line["id"]: i for i, line in enumerate(self.lines) if isinstance(line, dict)}
        at = places.get(before["id"]) if before is not None else None
        self.cursor = self._run_near(at if at is not None else self.cursor, 1)
        self.refresh()

    def choose(self, run_id: str) -> None:
        """Put the cursor on a run, if it is there."""
        for i, line in enumerate(self.lines):
            if isinstance(line, dict) and line["id"] == run_id:
                self.cursor = i

    def _run_near(self, place: int, way: int) -> int:
        """The nearest line of a run, searched in this direction first."""
        last = len(self.lines) - 1
        place = min(max(0, place), max(0, last))
        for step in (way, -way):
            found = place
            while 0 <= found <= last:
                if not isinstance(self.lines[found], Heading):
                    return found
                found += step
        return place

    def watch_cursor(self) -> None:
        """Keep the cursor in sight."""
        # The heading lies over the first line in sight.
        region = Region(0, max(0, self.cursor - (self.cursor <= 1)), 1, 2 + (self.cursor <= 1))
        self.scroll_to_region(region, animate=False, force=True)
        self.refresh()
        self.post_message(self.Moved())

    def action_move(self, by: int) -> None:
        """Move the cursor by so many lines."""
        self.cursor = self._run_near(self.cursor + by, 1 if by > 0 else -1)

    def action_page(self, by: int) -> None:
        """Move the cursor by a page."""
        self.action_move(by * max(1, self.size.height - 2))

    def action_open(self) -> None:
        """Look at the run under the cursor."""
        if self.row is not None:
            self.post_message(self.Opened(self.row["id"]))

    def on_resize(self) -> None:
        """Fit the columns to the width."""
        self._columns = fit(self.size.width)
        self.virtual_size = Size(self.size.width, len(self.lines) + 1)

    def on_click(self, event: events.Click) -> None:
        """Sort by a heading, choose a line, or open the chosen one."""
        if event.y == 0:
            x = 2
            for column, width in self._columns:
                if x <= event.x < x + width + _GAP:
                    self.post_message(self.SortAsked(column.key))
                x += width + _GAP
            return
        place = event.y - 1 + self.scroll_offset.y
        if place < len(self.lines) and not isinstance(self.lines[place], Heading):
            if place == self.cursor or event.chain == 2:
                self.cursor = place
                self.action_open()
            else:
                self.cursor = place

    def render_line(self, y: int) -> Strip:
        """One line: the heading, and under it those that are scrolled to."""
        width = self.size.width
        base = self.rich_style
        if y == 0:
            return self._heading_line(width, base)
        place = y - 1 + self.scroll_offset.y
        if place >= len(self.lines):
            return Strip.blank(width, base)
        line = self.lines[place]
        if isinstance(line, Heading):
            style = base + self._style("group")
            return _strip([Segment(f"  {line.text}", style)], width, base)
        at_cursor = place == self.cursor
        if at_cursor:
            base += self._style("cursor")
        mark = "✓ " if line["id"] in self.marked else "▌ " if at_cursor else "  "
        segments = [Segment(mark, base + self._style("mark"))]
        for column, size in self._columns:
            segments += self._cell(column.pieces(line, self.now, size), size, column.right, base)
            segments.append(Segment(" " * _GAP, base))
        return _strip(segments, width, base)

    def _heading_line(self, width: int, base: Style) -> Strip:
        style = base + self._style("heading")
        segments = [Segment("  ", style)]
        for column, size in self._columns:
            title = column.title
            if column.key == self.sorted_by:
                title = f"{title[: size - 1]}{'▲' if self.reverse else '▼'}"
            segments.append(
                Segment(title.rjust(size) if column.right else title.ljust(size), style)
            )
            segments.append(Segment(" " * _GAP, style))
        return _strip(segments, width, style)

    def _cell(self, pieces: Pieces, width: int, right: bool, base: Style) -> list[Segment]:
        segments, used = [], 0
        for piece, name in pieces:
            room = width - used
            if room <= 0:
                break
            text = shown = figures.one_line(piece)
            if cell_len(text) > room:
                shown = set_cell_size(text, room - 1) + "…" if room > 1 else "…"
            style = base + self._style(name) if name else base
            segments.append(Segment(shown, style))
            used += cell_len(shown)
        space = Segment(" " * (width - used), base)
        return [space, *segments] if right else [*segments, space]

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(name, partial=True)


def _strip(segments: list[Segment], width: int, base: Style) -> Strip:
    return Strip(segments).adjust_cell_length(width, base)
