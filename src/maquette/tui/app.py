"""The application: the runs, looked at once a second, and the screens that show them."""

import contextlib
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from textual import work
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen

from maquette.errors import RunError
from maquette.runs.store import Run, Store
from maquette.serving.runs_board import Board
from maquette.tui.figures import Row
from maquette.tui.page import Page
from maquette.tui.themes import DARK, LIGHT, THEMES

_LOOK_SECONDS = 1.0


class MaquetteApp(App[None]):
    """All runs of a store; or with `only`, one of them alone."""

    TITLE = "maquette"
    CSS_PATH = "style.tcss"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "leave", "Back", tooltip="Go back, and from the list of runs, quit"),
        Binding("ctrl+p", "command_palette", "Palette", tooltip="Find anything by its name"),
        Binding("t", "light_or_dark", "Light or dark", show=False),
        Binding("P", "picture", "Picture", show=False, tooltip="Save this screen as an SVG file"),
        Binding("ctrl+c", "quit", "Quit", show=False),
    ]
    INLINE_PADDING: ClassVar[int] = 0

    def __init__(
        self,
        store: Store,
        *,
        only: Run | None = None,
        until_end: bool = False,
        dark: bool = True,
    ) -> None:
        """`only`: show this run and nothing else; `until_end`: quit when it ends.

        Whoever has pressed a key is looking around, and isn't thrown out.
        """
        super().__init__()
        self.store = store
        self.only = only
        self.until_end = until_end
        self.rows: list[Row] = []
        self.trouble: str | None = None
        """Why the runs can't be listed, if they can't."""
        self._board = Board(store)
        self._looking = False
        self._by_id: dict[str, Row] = {}
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = DARK if dark else LIGHT

    def get_default_screen(self) -> Screen[None]:
        """The list of runs, or the one run."""
        if self.only is not None:
            from maquette.tui.run import RunScreen

            return RunScreen(self.only)
        from maquette.tui.runs import RunsScreen

        return RunsScreen()

    def on_mount(self) -> None:
        """Look at the runs, now and from now on."""
        self.look()
        self.set_interval(_LOOK_SECONDS, self.look)

    def look(self) -> None:
        """Look at all runs, beside the screen."""
        if self.only is None and not self._looking:
            self._looking = True
            self._look()

    @work(thread=True, group="look")
    def _look(self) -> None:
        rows, trouble = self.rows, None
        try:
            rows = self._board.rows()
        except RunError as error:
            trouble = error.message
        if self.is_running:
            self.call_from_thread(self._looked, rows, trouble)

    def _looked(self, rows: list[Row], trouble: str | None) -> None:
        self._looking = False
        self.rows, self.trouble = rows, trouble
        self._by_id = {row["id"]: row for row in rows}
        for screen in self.screen_stack:
            if isinstance(screen, Page):
                screen.looked()

    def on_key(self) -> None:
        """Somebody is looking around."""
        self.until_end = False

    def row(self, run_id: str) -> Row | None:
        """What is known of a run; None if it is gone."""
        return self._by_id.get(run_id)

    def open_run(self, run_id: str) -> None:
        """Show one run."""
        from maquette.tui.run import RunScreen

        self.push_screen(RunScreen(Run(self.store.root / run_id)))

    def action_leave(self) -> None:
        """Go back to the screen before; from the first one, quit."""
        if len(self.screen_stack) > 1:
            self.pop_screen()
        else:
            self.exit()

    def action_light_or_dark(self) -> None:
        """Change the theme."""
        self.theme = LIGHT if self.theme == DARK else DARK

    def action_picture(self) -> None:
        """Save this screen as an SVG file in the current folder, and say where."""
        name = time.strftime("maquette-%Y%m%d-%H%M%S.svg")
        for folder in (Path.cwd(), Path.home()):
            with contextlib.suppress(OSError):
                (folder / name).write_text(self.export_screenshot(title="maquette"), "utf-8")
                self.notify(str(folder / name), title="a picture of this screen", markup=False)
                return
        self.notify(
            "neither the current folder nor your home can be written to",
            title="no picture",
            severity="error",
            markup=False,
        )

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """What the command palette offers: every key that does anything here, by its name."""
        seen: set[str] = set()
        for node, binding, enabled, _ in screen.active_bindings.values():
            does = binding.tooltip or binding.description
            if enabled and does and binding.action not in seen and "palette" not in binding.action:
                seen.add(binding.action)
                title = binding.description or does

                async def run(node: Any = node, action: str = binding.action) -> None:
                    await self.run_action(action, node)

                yield SystemCommand(title, does, run)
        yield SystemCommand("Theme", "Choose among all themes", self.action_change_theme)


def watch_inline(store: Store, run: Run) -> None:
    """The screen of one run below the command that was typed, until it ends or is left."""
    app = MaquetteApp(store, only=run, until_end=True)
    app.run(inline=True, inline_no_clear=True)
