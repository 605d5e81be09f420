"""What a new run begins with: a preset, or a file."""

from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from maquette.errors import SpecError
from maquette.reading import run_spec
from maquette.runs.store import Run
from maquette.spec.dump import to_yaml
from maquette.spec.load import preset_about, preset_names, read_spec_text
from maquette.tui.draft import Draft

_LARGEST = 1 << 16
"""Characters of a spec that is changed here; a longer one is a matter for an editor."""


def draft_of(name: str) -> Draft:
    """The preset or file of this name. Raises SpecError."""
    file = Path(name).expanduser() if name.startswith("~/") else Path(name)
    text = read_spec_text(name)
    if len(text) > _LARGEST:
        raise SpecError(f"{name}: too long to be changed here; use an editor")
    if name in preset_names() and not file.is_file():
        return Draft(text, name, Path.cwd())
    draft = Draft(text, str(file), file.absolute().parent)
    draft.lines()
    return draft


def draft_of_run(run: Run) -> Draft:
    """The spec of a run, its paths made absolute. Raises RunError."""
    return Draft(to_yaml(run_spec(run)), run.id, Path.cwd())


class Begin(ModalScreen[Draft | None]):
    """A list of presets, and a line for their names or for a file's."""

    CSS_PATH: ClassVar[str] = "new.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel"),
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
    ]

    def compose(self) -> ComposeResult:
        """The question in a box."""
        with Vertical(classes="box", id="begin"):
            yield Static(Text("What shall the new run begin with?"), classes="question")
            yield Input(placeholder="part of a preset's name, or a spec file", id="which")
            yield OptionList(id="presets")
            yield Static(
                Text("Enter takes the one that is marked, or the file that is named"),
                classes="hint",
            )

    def on_mount(self) -> None:
        """Offer all of them."""
        self._offer("")
        self.query_one("#presets").can_focus = False

    @on(Input.Changed, "#which")
    def _typed(self, event: Input.Changed) -> None:
        self._offer(event.value.strip())

    def _offer(self, wanted: str) -> None:
        presets = self.query_one(OptionList)
        presets.clear_options()
        for name in preset_names():
            if wanted.lower() in name:
                line = Text(f"{name:18}", "bold", no_wrap=True, overflow="ellipsis")
                line.append(preset_about(name), f"not bold {self.app.theme_variables['muted']}")
                presets.add_option(Option(line, id=name))
        presets.highlighted = 0 if presets.option_count else None
        presets.display = bool(presets.option_count)
        self._hint("", wrong=False)

    def _hint(self, text: str, *, wrong: bool) -> None:
        usual = "Enter takes the one that is marked, or the file that is named"
        hint = self.query_one(".hint", Static)
        hint.update(Text(text or usual))
        hint.set_class(wrong, "wrong")

    def action_move(self, by: int) -> None:
        """Mark the next one, or the one before."""
        presets = self.query_one(OptionList)
        presets.action_cursor_down() if by > 0 else presets.action_cursor_up()

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self._take(str(event.option_id))

    @on(Input.Submitted, "#which")
    def _submitted(self, event: Input.Submitted) -> None:
        presets, typed = self.query_one(OptionList), event.value.strip()
        if presets.highlighted is not None:
            self._take(str(presets.get_option_at_index(presets.highlighted).id))
        elif typed:
            self._take(typed)

    def _take(self, name: str) -> None:
        try:
            self.dismiss(draft_of(name))
        except SpecError as error:
            self._hint(str(error), wrong=True)

    def action_cancel(self) -> None:
        """Nothing."""
        self.dismiss(None)
