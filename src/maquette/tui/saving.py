"""The end of a draft: it is saved, started, or left."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType

from maquette.errors import MaquetteError
from maquette.runs.durable import write_text
from maquette.tui import acting
from maquette.tui.dialogs import Ask, Confirm
from maquette.tui.draft import Draft, Line, Problem
from maquette.tui.page import Page


class DraftPage(Page):
    """A screen of a draft."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("w", "save", "Save", tooltip="Write the spec to a file"),
        Binding("g", "start", "Start", tooltip="Train it, in the background"),
        Binding("q", "close", "Back", tooltip="Go back; what isn't saved is asked about"),
    ]

    def __init__(self, draft: Draft) -> None:
        super().__init__()
        self.draft = draft
        self.file: Path | None = None
        """Where it was saved."""
        self.saved = draft
        """As it was saved, or came."""
        self.lines: list[Line] = []
        self.problems: list[Problem] = []
        self.sound = False

    def take(self, draft: Draft) -> None:
        """Show another draft from now on, and check it."""
        raise NotImplementedError

    def action_save(self) -> None:
        """Write the spec to a file that is asked for, the first time."""
        self._save_then(lambda: self.tell(str(self.file), title="saved"))

    def _save_then(self, go_on: Callable[[], None]) -> None:
        opened = Path(self.draft.origin).expanduser()
        known = self.file or (opened if opened.suffix in (".yaml", ".yml") else None)
        if known is not None:
            if self._write(known):
                go_on()
            return
        name = next((line.written for line in self.lines if line.path == "name"), None)

        def save(answer: str | None) -> None:
            if answer is not None and self._write(Path(answer.strip()).expanduser()):
                go_on()

        self.app.push_screen(
            Ask(
                "Which file shall the spec be written to?",
                value=f"{name or 'my-model'}.yaml",
                hint=f"a new file; from {Path.cwd()}",
                check=_no_place,
            ),
            save,
        )

    def _write(self, file: Path) -> bool:
        try:
            write_text(file, self.draft.text)
        except (MaquetteError, OSError) as error:
            self.tell(str(error), title=f"{file} can't be written", wrong=True)
            return False
        self.file = file
        self.saved = replace(self.draft, origin=str(file), folder=file.absolute().parent)
        self.take(self.saved)
        return True

    def action_start(self) -> None:
        """Save it, and train it in the background."""
        if self.sound:
            self._save_then(self._start)

    def _start(self) -> None:
        self.tell(f"starting {self.file}")
        self._train(str(self.file))

    @work(thread=True, group="acting")
    def _train(self, file: str) -> None:
        root = str(self.maquette.store.root)
        outcome = acting.run_command(["train", file, "-d", "--runs-dir", root])
        self.app.call_from_thread(self._started, outcome)

    def _started(self, outcome: acting.Outcome) -> None:
        if not outcome.done:
            self.tell(outcome.said, title="it can't be started", wrong=True)
            return
        self.maquette.look()
        if self.is_current:
            self.maquette.pop_screen()
            self.maquette.open_run(outcome.printed)

    def action_close(self) -> None:
        """Go back; ask before changes are lost."""

        def leave(sure: bool | None) -> None:
            if sure:
                self.maquette.pop_screen()

        if self.draft.text == self.saved.text:
            self.maquette.pop_screen()
        else:
            self.app.push_screen(
                Confirm("Leave without saving?", "What was changed is lost.", "Leave"), leave
            )


def _no_place(text: str) -> str | None:
    """Why a new file can't be written there; None if it can."""
    try:
        file = Path(text.strip()).expanduser()
        if not text.strip() or file.is_dir():
            return "a file needs a name"
        if not file.absolute().parent.is_dir():
            return f"there is no folder {file.parent}"
        return "there is such a file already" if file.exists() else None
    except (OSError, ValueError, RuntimeError) as error:
        return str(error)
