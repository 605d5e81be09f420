"""New: a spec as a form, checked while it is changed, with its plan; saved and started."""

import re
from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.timer import Timer
from textual.widgets import Input, Static

from maquette.errors import SpecError
from maquette.tui import figures
from maquette.tui.dialogs import Ask
from maquette.tui.draft import Draft, Line, Problem, problems_of
from maquette.tui.form import Form
from maquette.tui.results import PlanPane, TextPane
from maquette.tui.saving import DraftPage

_TYPING_SECONDS = 0.25
_WIDE = 100
_PANES = ("form-side", "plan-side", "yaml-side")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,63}")


class NewScreen(DraftPage):
    """A draft of a spec."""

    TITLE_WORD: ClassVar[str] = "New"
    ABOUT: ClassVar[str] = "a spec to change, with what it comes to; and the start of its training."
    CSS_PATH: ClassVar[str] = "new.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "find", "Find", key_display="/", tooltip="Show keys with this text"),
        Binding("u", "undo", "Undo", show=False, tooltip="Take the last change back"),
        Binding("plus", "add", "Add source", key_display="+", show=False),
        Binding("l", "prepare", "Prepare data", tooltip="Prepare the data, to know the whole plan"),
        Binding("v", "view", "View", tooltip="Show plan or YAML alone, or all there is room for"),
        Binding("escape", "escape", "Leave", tooltip="Leave the input, the search, the preparing"),
    ]

    def __init__(self, draft: Draft) -> None:
        super().__init__(draft)
        self._before: list[Draft] = []
        self._wanted = ""
        self._editing: Line | None = None
        self._typing: Timer | None = None
        self._view = 0

    def body(self) -> ComposeResult:
        """The form on the left; what it comes to on the right; what is wrong below."""
        with Horizontal(id="new"):
            with Vertical(id="form-side"):
                yield Input(placeholder="text in a key, a value, or what it is about", id="find")
                yield Form(id="form")
                with Vertical(id="detail"):
                    yield Static(id="about")
                    yield Input(id="edit", compact=True)
                    yield Static(id="expected")
            with Vertical(id="result"):
                yield PlanPane(self.maquette.store.root, id="plan-side")
                yield TextPane(id="yaml-side")
        yield Static(id="problems")

    def on_mount(self) -> None:
        """Show the draft."""
        super().on_mount()
        self.query_one("#find").display = False
        self.query_one("#edit").display = False
        self.query_one(Form).focus()
        self.app.theme_changed_signal.subscribe(self, self._recolour)
        self.take(self.draft)

    def _recolour(self, _theme: object) -> None:
        self.query_one(PlanPane).draw()
        self.query_one(TextPane).show(self.draft, self.problems)
        self.show_top()

    def on_resize(self) -> None:
        """Show as much as there is room for."""
        super().on_resize()
        self._arrange()

    def _arrange(self) -> None:
        wide = self.size.width >= _WIDE
        chosen = _PANES[self._view]
        shown = {"form-side", *(_PANES[1:] if self._view == 0 else [chosen])} if wide else {chosen}
        for name in _PANES:
            self.query_one(f"#{name}").display = name in shown
        self.query_one("#result").display = bool(shown - {"form-side"})
        self.query_one("#new").set_class(not wide, "narrow")

    def top(self) -> tuple[Text, Text]:
        """What it is, and whether it could be trained."""
        name = Text(figures.one_line(self.draft.origin), "bold")
        if self.draft.text != self.saved.text:
            name.append("  changed", self.app.theme_variables["warning"])
        count = len(self.problems)
        if count:
            word = "problem" if count == 1 else "problems"
            return name, Text(f"{count} {word} ", self.app.theme_variables["error"])
        if not self.sound:
            return name, Text()
        right = Text(f"{self.query_one(PlanPane).short}  ", "dim")
        return name, right.append("sound ", f"not dim {self.app.theme_variables['success']}")

    # The draft

    def take(self, draft: Draft) -> None:
        """Show another draft from now on, and check it."""
        self.draft = draft
        self._check(draft)

    @work(thread=True, exclusive=True, group="check")
    def _check(self, draft: Draft, trial: bool = False) -> None:
        """What is wrong with a draft, found beside the screen; of a trial, that alone."""
        lines, problems = None, []
        try:
            lines = draft.lines()
            draft.check(self.maquette.store)
        except SpecError as error:
            problems = problems_of(error)
        if self.app.is_running:
            self.app.call_from_thread(self._checked, draft, lines, problems, trial)

    def _checked(
        self, draft: Draft, lines: list[Line] | None, problems: list[Problem], trial: bool
    ) -> None:
        if not self.is_attached:
            return
        if trial:
            if self._editing is not None:
                self._show_trial(problems)
            return
        if draft != self.draft:
            return
        self.lines = self.lines if lines is None else lines
        self.problems, self.sound = problems, not problems
        self._show_form()
        self.query_one(TextPane).show(draft, problems)
        plan = self.query_one(PlanPane)
        if self.sound:
            plan.plan(draft)
        else:
            plan.wait()
        self.show_top()
        self.refresh_bindings()

    def _show_form(self) -> None:
        wanted = self._wanted.lower()
        lines = [
            line
            for line in self.lines
            if not wanted or wanted in f"{line.path} {line.written} {line.about}".lower()
        ]
        wrong = {problem.path: problem.text for problem in self.problems}
        self.query_one(Form).fill(lines, wrong)
        self._show_about()
        text = Text()
        for problem in self.problems[:4]:
            where = f"line {problem.line}: " if problem.line is not None else ""
            text.append(f"{chr(10) * bool(text.plain)}✗ {where}", "bold")
            text.append(figures.one_line(problem.text))
        self.query_one("#problems", Static).update(text)
        self.query_one("#problems").display = bool(self.problems)

    def _show_about(self) -> None:
        line = self.query_one(Form).line
        about, expected = self.query_one("#about", Static), self.query_one("#expected", Static)
        expected.remove_class("wrong")
        if line is None:
            about.update(Text("no key has this text in it" if self._wanted else ""))
            expected.update("")
            return
        about.update(Text.assemble((line.path, "bold"), "  ", line.about.replace("\n", " ")))
        default = f"; {line.default} if nothing is given" if line.default else ""
        expected.update(Text(f"{line.expected}{default}" if line.expected else ""))

    # Changing it

    @on(Form.Moved)
    def _moved(self) -> None:
        self._show_about()

    @on(Form.Chosen)
    def _chosen(self, event: Form.Chosen) -> None:
        self._set(event.line, event.value)

    @on(Form.Edit)
    def _edit(self) -> None:
        self._editing = line = self.query_one(Form).line
        if line is None:
            return
        edit = self.query_one("#edit", Input)
        edit.display = True
        edit.value = line.written or ""
        edit.placeholder = line.default
        edit.focus()
        self.refresh_bindings()

    @on(Input.Changed, "#edit")
    def _typed(self, event: Input.Changed) -> None:
        if self._typing is not None:
            self._typing.stop()
        if self._editing is not None and event.input.has_focus:
            self._typing = self.set_timer(_TYPING_SECONDS, self._try)

    def _changed(self, line: Line, value: str) -> Draft:
        """The draft with what was typed; nothing at all is the default. Raises SpecError."""
        if not value.strip() and not (line.is_text and value):
            return self.draft.unset(line.target)
        return self.draft.set(line.target, value, is_text=line.is_text)

    def _try(self) -> None:
        """Check what is being typed."""
        if self._editing is None:
            return
        try:
            trial = self._changed(self._editing, self.query_one("#edit", Input).value)
        except SpecError as error:
            self._show_trial(problems_of(error))
            return
        self._check(trial, trial=True)

    def _show_trial(self, problems: Sequence[Problem]) -> None:
        """What is wrong with what is being typed: with its key first, else with others."""
        assert self._editing is not None
        about = sorted(problems, key=lambda problem: problem.path != self._editing_path)
        expected = self.query_one("#expected", Static)
        expected.set_class(bool(about), "wrong")
        line = self._editing
        expected.update(Text(about[0].text if about else f"right: {line.expected}"))

    @property
    def _editing_path(self) -> str:
        return self._editing.target if self._editing is not None else ""

    @on(Input.Submitted, "#edit")
    def _submitted(self, event: Input.Submitted) -> None:
        if self._editing is not None and self._set(self._editing, event.value):
            self._leave_edit()

    def _change(self, draft: Draft) -> None:
        """Take a draft that can be taken back."""
        if draft.text != self.draft.text:
            self._before.append(self.draft)
        self.take(draft)

    def _set(self, line: Line, value: str) -> bool:
        try:
            self._change(self._changed(line, value))
        except SpecError as error:
            expected = self.query_one("#expected", Static)
            expected.add_class("wrong")
            expected.update(Text(problems_of(error)[0].text))
            return False
        return True

    @on(Form.Reset)
    def _reset(self) -> None:
        line = self.query_one(Form).line
        if line is None or (line.written is None and not line.source):
            return
        try:
            self._change(self.draft.unset(line.path if line.source else line.target))
        except SpecError as error:
            self.tell(str(error), wrong=True)

    def action_undo(self) -> None:
        """Take the last change back."""
        if self._before:
            self.take(self._before.pop())

    def action_add(self) -> None:
        """Name another source of data."""
        kinds = next((line.choices for line in self.lines if line.source), ())
        names = [line.key for line in self.lines if line.source]

        def wrong(text: str) -> str | None:
            name, _, kind = text.strip().partition(" ")
            if not _NAME.fullmatch(name):
                return "a name of lower case letters, digits and hyphens, then a kind"
            if name in names:
                return f"there is a source called {name} already"
            return None if kind.strip() in kinds else f"its kind: {', '.join(kinds)}"

        def add(answer: str | None) -> None:
            if answer is None:
                return
            name, kind = answer.split()
            path = f"data.sources.{name}"
            try:
                draft = self.draft
                for line in self.lines:  # those that were there by default stay
                    if line.source and line.written is None:
                        draft = draft.set(f"{line.path}.kind", line.default)
                self._change(draft.set(f"{path}.kind", kind))
            except SpecError as error:
                self.tell(str(error), wrong=True)

        hint = f"a name and a kind, such as `mine {kinds[0]}`" if kinds else ""
        self.app.push_screen(Ask("What is the new source of data?", hint=hint, check=wrong), add)

    # Moving about

    def action_escape(self) -> None:
        """Leave what is being typed, then the search."""
        if self._editing is not None:
            self._leave_edit()
        elif self._wanted or self._finding:
            self._wanted = ""
            self.query_one("#find", Input).value = ""
            self.query_one("#find").display = False
            self._show_form()
        elif self.query_one(PlanPane).preparing:
            self.query_one(PlanPane).cancel()
        self.query_one(Form).focus()
        self.refresh_bindings()

    @property
    def _finding(self) -> bool:
        return self.query_one("#find").has_focus

    def _leave_edit(self) -> None:
        self._editing = None
        if self._typing is not None:
            self._typing.stop()
        self.query_one("#edit").display = False
        self._show_about()
        self.query_one(Form).focus()
        self.refresh_bindings()

    def action_find(self) -> None:
        """Type what the keys shown have in common."""
        if not self.query_one("#form-side").display:
            self._view = 0
            self._arrange()
        self.query_one("#find").display = True
        self.query_one("#find").focus()
        self.refresh_bindings()

    @on(Input.Changed, "#find")
    def _find(self, event: Input.Changed) -> None:
        self._wanted = event.value.strip()
        self._show_form()

    @on(Input.Submitted, "#find")
    def _found(self) -> None:
        self.query_one("#find").display = bool(self._wanted)
        self.query_one(Form).focus()

    def action_view(self) -> None:
        """Show the plan alone, then the YAML, then all again, or the form."""
        self._view = (self._view + 1) % 3
        self._arrange()
        if self._view == 0:
            self.query_one(Form).focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what does something now."""
        if action == "start":
            return True if self.sound else None
        if action == "prepare":
            return self.query_one(PlanPane).unprepared
        if action == "escape":
            plan = self.query_one(PlanPane)
            return bool(self._editing or self._wanted or self._finding or plan.preparing)
        if action == "find":
            return self._editing is None and not self._finding
        return super().check_action(action, parameters)

    def action_prepare(self) -> None:
        """Prepare the data, for the plan needs to know it."""
        self.query_one(PlanPane).plan(self.draft, prepare=True)
        self.refresh_bindings()

    @on(PlanPane.Changed)
    def _planned(self) -> None:
        self.show_top()
        self.refresh_bindings()
