"""One run."""

from typing import ClassVar

from textual.binding import BindingType

from maquette.runs.store import Run
from maquette.tui.page import KEYS, Page


class RunScreen(Page):
    """Everything about one run."""

    TITLE_WORD: ClassVar[str] = "Run"
    ABOUT: ClassVar[str] = "one run, as it is now."
    BINDINGS: ClassVar[list[BindingType]] = [*KEYS]

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run

    def targets(self) -> list[Run]:
        """This run."""
        return [self.run]
