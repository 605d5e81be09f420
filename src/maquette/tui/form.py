"""A form: one line for each key of a spec, with its value, under the headings of its parts."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

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
from maquette.tui.draft import Line

_LABEL = 24


class Form(ScrollView, can_focus=True):
    """Lines of a draft; what is wrong with one is told by its colour and a mark."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "form--heading",
        "form--default",
        "form--written",
        "form--cursor",
        "form--wrong",
        "form--arrows",
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Up", show=False),
        Binding("down", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home", "move(-1000000)", "First", show=False),
        Binding("end", "move(1000000)", "Last", show=False),
        Binding("tab", "part(1)", "Next part", show=False, tooltip="The next part"),
        Binding("shift+tab", "part(-1)", "Part before", show=False),
        Binding("enter", "edit", "Change", tooltip="Change the value; of a choice, the next one"),
        Binding("left", "choose(-1)", "Value before", show=False),
        Binding("right,space", "choose(1)", "Next value", show=False),
        Binding("backspace,delete", "reset", "Default", show=False, tooltip="Back to its default"),
    ]
    cursor = reactive(0)

    class Edit(Message):
        """A value is to be typed."""

    class Chosen(Message):
        """A choice was made."""

        def __init__(self, line: Line, value: str) -> None:
            super().__init__()
            self.line, self.value = line, value

    class Reset(Message):
        """A value is to be its default again, or a source to go."""

    class Moved(Message):
        """The cursor is on another line."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - as all widgets have it
        super().__init__(id=id)
        self.lines: list[Line] = []
        self.wrong: Mapping[str, str] = {}

    @property
    def line(self) -> Line | None:
        """The line under the cursor."""
        return self.lines[self.cursor] if self.cursor < len(self.lines) else None

    def fill(self, lines: Sequence[Line], wrong: Mapping[str, str]) -> None:
        """Show these; the cursor stays on its key."""
        before = self.line
        self.lines, self.wrong = list(lines), wrong
        self.virtual_size = Size(self.size.width, len(self.lines))
        places = {line.path: i for i, line in enumerate(self.lines)}
        at = places.get(before.path, self.cursor) if before is not None else 0
        self.cursor = min(at, max(0, len(self.lines) - 1))
        self.refresh()

    def choose(self, path: str) -> None:
        """Put the cursor on a key, if it is there."""
        for i, line in enumerate(self.lines):
            if line.path == path:
                self.cursor = i

    def watch_cursor(self) -> None:
        """Keep the cursor in sight."""
        self.scroll_to_region(Region(0, self.cursor, 1, 1), animate=False, force=True)
        self.refresh()
        self.post_message(self.Moved())

    def action_move(self, by: int) -> None:
        """Move the cursor by so many lines."""
        self.cursor = min(max(0, self.cursor + by), max(0, len(self.lines) - 1))

    def action_page(self, by: int) -> None:
        """Move the cursor by a page."""
        self.action_move(by * max(1, self.size.height - 1))

    def action_part(self, by: int) -> None:
        """Move the cursor to the next heading, or the one before."""
        places = [i for i, line in enumerate(self.lines) if line.heading or i == 0]
        later = [i for i in places if (i > self.cursor if by > 0 else i < self.cursor)]
        if places:
            self.cursor = (later or places)[0 if by > 0 else -1]

    def action_edit(self) -> None:
        """Change the value under the cursor."""
        if self.line is not None and self.line.choices:
            self.action_choose(1)
        elif self.line is not None and self.line.editable:
            self.post_message(self.Edit())

    def action_choose(self, by: int) -> None:
        """Take the next of the values that there are to choose among."""
        line = self.line
        if line is None or not line.choices:
            return
        now = line.written if line.written is not None else line.default
        words = line.choices
        place = words.index(now) + by if now in words else min(0, by)
        self.post_message(self.Chosen(line, words[place % len(words)]))

    def action_reset(self) -> None:
        """Go back to the default."""
        if self.line is not None:
            self.post_message(self.Reset())

    def on_resize(self) -> None:
        """Fit the lines to the width."""
        self.virtual_size = Size(self.size.width, len(self.lines))

    def on_click(self, event: events.Click) -> None:
        """Choose a line; change the chosen one."""
        place = event.y + self.scroll_offset.y
        if place < len(self.lines):
            if place == self.cursor:
                self.action_edit()
            self.cursor = place

    def render_line(self, y: int) -> Strip:
        """One line of the form."""
        width, base = self.size.width, self.rich_style
        place = y + self.scroll_offset.y
        if place >= len(self.lines):
            return Strip.blank(width, base)
        line, at_cursor = self.lines[place], place == self.cursor
        if at_cursor:
            base += self._style("form--cursor")
        wrong = line.path in self.wrong or line.target in self.wrong
        mark = "✗ " if wrong else "▌ " if at_cursor else "  "
        arrows = base + self._style("form--arrows")
        segments = [Segment(mark, base + self._style("form--wrong") if wrong else arrows)]
        label = "  " * line.depth + line.key
        style = base + self._style("form--heading") if line.heading else base
        room = max(_LABEL, cell_len(label) + 2)
        segments.append(Segment(set_cell_size(figures.one_line(label), room), style))
        segments += self._value(line, base, arrows, at_cursor=at_cursor, wrong=wrong)
        return Strip(segments).adjust_cell_length(width, base)

    def _value(
        self, line: Line, base: Style, arrows: Style, *, at_cursor: bool, wrong: bool
    ) -> list[Segment]:
        written = line.written is not None
        style = self._style("form--written" if written else "form--default")
        if wrong:
            style = self._style("form--wrong")
        text = figures.one_line(line.written or '""') if line.written is not None else line.default
        text = "" if line.heading and not line.choices else text
        turns = at_cursor and bool(line.choices)
        return [
            Segment("‹ " if turns else "  ", arrows),
            Segment(text, base + style),
            Segment(" ›" if turns else "", arrows),
        ]

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(name, partial=True)
