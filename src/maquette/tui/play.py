"""Play: a run's model at work. The model is in a process of its own (`tui.playing`)."""

from typing import Any, ClassVar

from rich.text import Text
from textual import on, work
from textual.binding import Binding, BindingType
from textual.widgets import Static

from maquette.runs.store import Run
from maquette.tui import figures
from maquette.tui.beside import Beside, Ended, Heard
from maquette.tui.page import KEYS, Page
from maquette.tui.parts import Choice, visible

BEST, LATEST = "best", "latest"


class PlayPage(Page):
    """What all models have in common: they are loaded, asked, stopped, and may crash."""

    TITLE_WORD: ClassVar[str] = "Play"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "escape", "Stop, leave", tooltip="Stop the model, or leave the input"),
        *KEYS,
    ]
    CSS_PATH: ClassVar[str] = "play.tcss"
    MODULE: ClassVar[str] = "maquette.tui.playing"
    """What holds the model, in a process of its own."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run
        self.checkpoint = Choice([BEST, LATEST], id="checkpoint")
        self.device = Choice(["auto", "cpu"], id="device")
        self.model: Beside | None = None
        self.loaded: dict[str, Any] | None = None
        """What the process said of its model; None while it has none."""
        self._loading: int | None = None
        self._asked: int | None = None
        self._stopping = False
        self._deleted = False

    def on_mount(self) -> None:
        """Load the model."""
        super().on_mount()
        self._find_checkpoints()
        self.app.theme_changed_signal.subscribe(self, self._recolour)
        self.load()

    def _recolour(self, _theme: object) -> None:
        self.draw()
        self.show_top()

    def on_unmount(self) -> None:
        """The model is no longer needed."""
        self._close()

    def looked(self) -> None:
        """See whether the run is still there."""
        self._deleted = bool(self.maquette.rows) and self.maquette.row(self.run.id) is None
        super().looked()

    def targets(self) -> list[Run]:
        """This run."""
        return [self.run]

    def top(self) -> tuple[Text, Text]:
        """Which run, which of its checkpoints."""
        row = self.maquette.row(self.run.id)
        name = row["name"] if row is not None and row["name"] else self.run.id
        text = Text(figures.one_line(name), "bold")
        if self._deleted:
            text.append("  deleted meanwhile", self.app.theme_variables["error"])
        if self.loaded is None:
            return text, Text("no model loaded " if self._loading is None else "loading ", "dim")
        return text, Text(f"step {self.loaded['step']:,} on {self.loaded['device']} ", "dim")

    @work(thread=True, exclusive=True, group="checkpoints")
    def _find_checkpoints(self) -> None:
        steps = [str(checkpoint.step) for checkpoint in reversed(self.run.checkpoints())]
        self.app.call_from_thread(self.checkpoint.offer, [BEST, LATEST, *steps])

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """This is where that key leads to."""
        return False if action == "play" else super().check_action(action, parameters)

    # The model's process

    @property
    def busy(self) -> bool:
        """Whether an answer is awaited."""
        return self._asked is not None

    def load(self) -> None:
        """Load the chosen checkpoint, in the process that there is, or else in a new one."""
        self.loaded = None
        if self.model is None:
            try:
                self.model = Beside(self, self.MODULE, str(self.run.path))
            except OSError as error:
                self.say(f"the model's process can't be started: {error}", wrong=True)
                return
        if self._loading is not None:
            self.model.stop()  # what was to be loaded before needn't be, unless it is under way
        which, device = self.checkpoint.value, self.device.value
        self._loading = self.model.ask("load", checkpoint=which, device=device)
        step = which if which in (BEST, LATEST) else f"step {which}"
        self.say(f"loading the model, {step}; what you send now waits for it")
        self.show_top()

    def ask(self, do: str, **facts: Any) -> bool:
        """Ask the model; what comes of it is heard later. False if there is no process."""
        if self.model is None or (self.loaded is None and self._loading is None):
            self.load()
        if self.model is None:
            return False
        self._asked = self.model.ask(do, **facts)
        self._stopping = False
        self.refresh_bindings()
        return True

    def _close(self) -> None:
        if self.model is not None:
            self.model.close()
        self.model = self.loaded = self._loading = self._asked = None

    def action_escape(self) -> None:
        """Stop what goes on, or else leave the input."""
        if self.busy or self._loading is not None:
            self.stop_answer()
        else:
            self.leave_input()

    def stop_answer(self) -> None:
        """Stop the answer; what doesn't listen, or is still being loaded, ends with its process."""
        if self.busy and self._loading is None and not self._stopping and self.model is not None:
            self.model.stop()
            self._stopping = True
            self.say("stopping; Esc again ends the model's process")
        else:
            self._close()
            self.say("cancelled; what you send next loads the model again")
            self.answered(None)
            self.show_top()
        self.refresh_bindings()

    @on(Heard)
    def _heard(self, event: Heard) -> None:
        event.stop()
        row = event.row
        if event.source is not self.model:
            return
        of, kind = row["of"], row["kind"]
        if of == self._loading:
            self._load_ended(row)
        elif of == self._asked and kind == "failed":
            self._asked = None
            self._tell_failure(row)
            self.answered(row)
        elif of == self._asked:
            if kind != "piece":
                self._asked = None
            self.hear(row)
        self.refresh_bindings()

    def _load_ended(self, row: dict[str, Any]) -> None:
        self._loading = None
        if row["kind"] == "loaded":
            self.loaded = row
            passed = "; ".join(row["passed_over"])
            self.say(f"{passed}; this is step {row['step']}" if passed else "", wrong=bool(passed))
            self.model_is_there()
        else:
            self._asked = None
            self._tell_failure(row)
            self.answered(row)
        self.show_top()

    def _tell_failure(self, row: dict[str, Any]) -> None:
        hint = f"; {row['hint']}" if row["hint"] else ""
        self.say(f"{row['message']}{hint}", wrong=True)

    @on(Ended)
    def _ended(self, event: Ended) -> None:
        event.stop()
        if event.source is self.model:
            self._close()
            self.say(f"the model's process {event.why}. What you send next loads it again.", True)
            self.answered({"kind": "failed"})
            self.show_top()
            self.refresh_bindings()

    @on(Choice.Changed, "#checkpoint, #device")
    def _choose(self) -> None:
        if self.busy:
            self.stop_answer()
        self.load()

    # For the screens

    def leave_input(self) -> None:
        """Go to where letters are keys."""

    def draw(self) -> None:
        """Draw what was answered anew, in the colours of now."""

    def model_is_there(self) -> None:
        """The model is loaded."""

    def hear(self, row: dict[str, Any]) -> None:
        """A part of the answer, or its end."""

    def answered(self, row: dict[str, Any] | None) -> None:
        """No more comes of the answer: it failed, or was cancelled (None)."""

    def say(self, text: str, wrong: bool = False) -> None:
        """A line about what goes on."""
        status = self.query_one("#status", Static)
        status.update(Text(visible(text)))
        status.set_class(wrong, "wrong")


def play_screen(run: Run) -> PlayPage:
    """The screen for the model of a run."""
    if run.meta.unit == "images":
        from maquette.tui.play_images import ImageScreen

        return ImageScreen(run)
    from maquette.tui.play_text import TextScreen

    return TextScreen(run)
