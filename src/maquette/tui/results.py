"""What a draft comes to: its plan, from a process of its own, and its text."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.message import Message
from textual.widgets import Static

from maquette.tui import figures
from maquette.tui.beside import Beside, Ended, Heard
from maquette.tui.draft import Draft, Problem

_UNPREPARED = (
    "The data isn't prepared yet: `l` does it now, training does it else."
    " What the spec comes to is known afterwards."
)
_COMMENT = re.compile(r"(^|\s)#.*$")
_KEY = re.compile(r"^\s*(?:- )?[\w-]+(?=:)")


class PlanPane(VerticalScroll, can_focus=False):
    """The plan of the newest draft, as `maquette plan` has it."""

    MODULE: ClassVar[str] = "maquette.tui.planning"
    """What plans, in a process of its own."""

    class Changed(Message):
        """Something became known."""

    def __init__(self, folder: Path, *, id: str) -> None:  # noqa: A002 - as all widgets have it
        """`folder`: the runs', which a spec may begin from."""
        super().__init__(id=id)
        self._folder = folder
        self._planner: Beside | None = None
        self._asked: int | None = None
        self.preparing = False
        self.unprepared = False
        self._sections: list[list[list[str]]] = []
        self._note, self._old = "", False

    def compose(self) -> ComposeResult:
        """What there is to say about it, and the plan."""
        yield Static(id="plan-note")
        yield Static(id="plan")

    def on_unmount(self) -> None:
        """No more plans."""
        self._end()

    def plan(self, draft: Draft, *, prepare: bool = False) -> None:
        """Plan a draft; with `prepare` its data is prepared, however long that takes."""
        if self._planner is None:
            try:
                self._planner = Beside(self, self.MODULE, str(self._folder))
            except OSError as error:
                self._show(f"no plan: {error}")
                return
        self._asked = self._planner.ask(
            "plan",
            text=draft.text,
            origin=draft.origin,
            folder=str(draft.folder),
            prepare=prepare,
        )
        self.preparing, self.unprepared = prepare, False
        self._show("preparing the data; Esc cancels" if prepare else "planning")

    @property
    def short(self) -> str:
        """The plan of what the draft says now, in a few words; nothing while there is none."""
        if self._asked is not None or self._old:
            return ""
        values = {row[0]: row[1] for section in self._sections for row in section}
        if not values:
            return ""
        return f"{values['parameters']} parameters, {values['memory']}, {values['time']}"

    def wait(self) -> None:
        """There is nothing to plan while something is wrong."""
        if self.preparing:
            self._end()
        self._asked, self.unprepared = None, False
        self._show("a plan comes when nothing is wrong", old=True)

    def cancel(self) -> None:
        """Stop preparing the data."""
        self._end()
        self.unprepared = True
        self._show(f"cancelled. {_UNPREPARED}")

    def _end(self) -> None:
        if self._planner is not None:
            self._planner.close()
        self._planner = self._asked = None
        self.preparing = False

    @on(Heard)
    def _heard(self, event: Heard) -> None:
        event.stop()
        row = event.row
        if event.source is not self._planner or row["of"] != self._asked:
            return
        if row["kind"] == "progress":
            self._show(f"{row['text']}; Esc cancels")
            return
        self._asked, self.preparing = None, False
        self._sections = row["sections"] if row["kind"] == "plan" else []
        self.unprepared = row["kind"] == "unprepared"
        self._show(self._note_of(row))
        self.post_message(self.Changed())

    def _note_of(self, row: dict[str, Any]) -> str:
        if row["kind"] == "plan":
            return "it needs more memory than is free" if row["short_of_memory"] else ""
        if row["kind"] == "unprepared":
            return _UNPREPARED
        hint = f"; {row['hint']}" if row["hint"] else ""
        return f"no plan: {row['message']}{hint}"

    @on(Ended)
    def _ended(self, event: Ended) -> None:
        event.stop()
        if event.source is self._planner:
            self._end()
            self._sections = []
            self._show(f"no plan: its process {event.why}")
            self.post_message(self.Changed())

    def _show(self, note: str, *, old: bool = False) -> None:
        """Show the plan, and a note on it; faint while it isn't of what the draft says now."""
        self._note, self._old = note, old
        self.draw()

    def draw(self) -> None:
        """Draw it anew, in the colours of now."""
        colours = self.app.theme_variables
        title = Text("plan  ", "bold")
        title.append(figures.one_line(self._note), f"not bold {colours['warning']}")
        self.query_one("#plan-note", Static).update(title)
        text = Text(no_wrap=True, overflow="ellipsis")
        known = [row for section in self._sections for row in section]
        left = max((len(row[0]) for row in known), default=0)
        middle = max((len(row[1]) for row in known), default=0)
        old = self._old or self._asked is not None
        colour = colours["muted" if old else "foreground"]
        for section in self._sections:
            text.append("\n" * bool(section))
            for label, value, about in section:
                text.append(f"{label:{left}}  ", colours["muted"])
                text.append(f"{value:>{middle}}", colour)
                text.append(f"  {about}\n", colours["muted"])
        self.query_one("#plan", Static).update(text)


class TextPane(VerticalScroll, can_focus=False):
    """The text of a draft, with the numbers of its lines."""

    def compose(self) -> ComposeResult:
        """A text."""
        yield Static(id="yaml")

    def show(self, draft: Draft, problems: Sequence[Problem]) -> None:
        """Show a draft; lines with a problem stand out."""
        colours = self.app.theme_variables
        wrong = {problem.line for problem in problems}
        text = Text(no_wrap=True)
        lines = draft.text.splitlines()
        for number, content in enumerate(lines, 1):
            line = Text(figures.one_line(content))
            line.highlight_regex(_KEY, colours["accent"])
            line.highlight_regex(_COMMENT, colours["muted"])
            if number in wrong:
                line.stylize(f"bold {colours['error']}")
            text.append(f"{number:>{len(str(len(lines)))}}  ", colours["muted"])
            text.append_text(line).append("\n")
        self.query_one("#yaml", Static).update(text)
