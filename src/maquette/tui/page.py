"""What all screens have: the line on top, the keys below, and acting on the chosen runs."""

import contextlib
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.dom import DOMNode
from textual.screen import Screen
from textual.widgets import Static

from maquette.runs.label import read_label
from maquette.runs.store import Run
from maquette.tui import acting
from maquette.tui.dialogs import Ask, Confirm, Help
from maquette.tui.figures import Row
from maquette.tui.keys import Keys

if TYPE_CHECKING:
    from maquette.tui.app import MaquetteApp

LIVE = ("queued", "running")

KEYS: list[BindingType] = [
    Binding("s", "stop", "Stop", tooltip="End it after its step, with a checkpoint"),
    Binding("r", "resume", "Resume", tooltip="Go on with it, also beyond its end"),
    Binding("p", "play", "Play", tooltip="Let its model write, answer, or look at pictures"),
    Binding("e", "rename", "Rename", show=False, tooltip="Give it a name; its id stays"),
    Binding("a", "archive", "Archive", show=False, tooltip="Put it away, or bring it back"),
    Binding("d,delete", "delete", "Delete", show=False, tooltip="Delete it with all it holds"),
    Binding("E", "eject", "Eject", show=False, tooltip="Write it as a project of its own"),
    Binding("x", "export", "Export", show=False, tooltip="Write its model in another format"),
    Binding("f", "folder", "Folder", show=False, tooltip="Show its folder, and copy the path"),
    Binding("y", "copy_id", "Copy id", show=False, tooltip="Copy its id"),
]
"""What can be done to a run, on every screen that has one: see `Page.targets`."""


class Page(Screen[None]):
    """A screen of the application. A subclass fills `body`, and says what `targets` are."""

    TITLE_WORD: ClassVar[str] = ""
    ABOUT: ClassVar[str] = ""
    """What `?` says of the screen, in a sentence."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "help", "Help", key_display="?"),
    ]

    @property
    def maquette(self) -> "MaquetteApp":
        """The application."""
        return cast("MaquetteApp", self.app)

    def compose(self) -> ComposeResult:
        """The line on top, the body, the keys."""
        yield Static(id="top")
        yield from self.body()
        yield Keys()

    def body(self) -> ComposeResult:
        """What is between the line on top and the keys."""
        yield from ()

    def on_mount(self) -> None:
        """Write the line on top, and anew when the theme changes."""
        self.show_top()
        self.app.theme_changed_signal.subscribe(self, lambda _: self.recolour())

    def recolour(self) -> None:
        """Write in the colours of the new theme what has its colours in it."""
        self.show_top()

    def on_resize(self) -> None:
        """Write the line on top to the new width."""
        self.show_top()

    def top(self) -> tuple[Text, Text]:
        """What the line on top says beside the screen's name: to the left, and to the right."""
        return Text(), Text()

    def show_top(self) -> None:
        """Write the line on top anew."""
        left, right = self.top()
        word = Text.assemble((" maquette ", "bold reverse"), (f"  {self.TITLE_WORD}  ", "bold"))
        line = word + left
        if line.cell_len + right.cell_len + 2 <= self.size.width:
            line.append(" " * (self.size.width - line.cell_len - right.cell_len))
            line.append_text(right)
        line.truncate(self.size.width, overflow="ellipsis")
        for top in self.query("#top").results(Static):  # none yet, or none any more
            top.update(line, layout=False)

    def looked(self) -> None:
        """The runs were looked at again: show what is new. See `MaquetteApp.rows`."""
        self.show_top()
        self.refresh_bindings()

    # What the keys of KEYS do

    def targets(self) -> list[Run]:
        """The runs that the keys act on here; none if there are none."""
        return []

    def known(self, run: Run) -> Row | None:
        """What is known of a run."""
        return self.maquette.row(run.id)

    def now(self) -> float:
        """Unix seconds."""
        return time.time()

    def one(self) -> Run | None:
        """The one run for what is done to one alone."""
        targets = self.targets()
        return targets[0] if len(targets) == 1 else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Dim the keys that can't do anything now."""
        if action not in {key.action for key in KEYS if isinstance(key, Binding)}:
            return True
        rows = [self.known(run) for run in self.targets()]
        live = [row is not None and row["status"] in LIVE for row in rows]
        if action == "stop":
            return True if any(live) else None
        if action in ("resume", "delete"):
            return True if rows and not all(live) else None
        if action == "archive":
            return True if rows else None
        return True if len(rows) == 1 else None

    def action_stop(self) -> None:
        """Ask the live ones to end after their step."""
        names = [str(run.path) for run in self.targets() if self._live(run)]
        if names:
            self.act("stop", *names)

    def action_resume(self) -> None:
        """Go on with a run: to its end, or for more epochs or steps."""
        waiting = [run for run in self.targets() if not self._live(run)]
        if len(waiting) == 1:
            self._ask_how_far(waiting[0])
        for run in waiting if len(waiting) > 1 else ():
            self.act("resume", str(run.path), "--detach")

    def _ask_how_far(self, run: Run) -> None:
        row = self.known(run)
        if row is None or row["status"] != "completed":
            self.act("resume", str(run.path), "--detach")
            return

        def go_on(answer: str | None) -> None:
            if answer is not None:
                count, unit = _amount(answer) or ("", "")
                self.act("resume", str(run.path), "--detach", f"--more-{unit}", count)

        self.app.push_screen(
            Ask(
                f"{run.id} is completed. How much longer shall it train?",
                value="1 epochs",
                hint="such as 2 epochs, or 500 steps",
                check=lambda text: (
                    None if _amount(text) else "a number, and `epochs` or `steps`: 2 epochs"
                ),
            ),
            go_on,
        )

    def action_play(self) -> None:
        """Let a run's model write, answer, or look at pictures."""
        if (run := self.one()) is not None:
            from maquette.tui.play import play_screen

            self.app.push_screen(play_screen(run))

    def action_rename(self) -> None:
        """Give a run a name."""
        if (run := self.one()) is None:
            return

        def rename(answer: str | None) -> None:
            if answer is not None:
                self.act("rename", str(run.path), answer.strip())

        self.app.push_screen(
            Ask(
                f"What shall {run.id} be called?",
                value=read_label(run.path).name or "",
                hint="its id stays as it is; nothing takes the name away",
            ),
            rename,
        )

    def action_archive(self) -> None:
        """Put runs away; bring them back if all are."""
        runs = self.targets()
        if runs:
            undo = ["--undo"] if all(read_label(run.path).archived for run in runs) else []
            self.act("archive", *undo, *(str(run.path) for run in runs))

    def action_delete(self) -> None:
        """Delete runs, after a question."""
        runs = [run for run in self.targets() if not self._live(run)]
        if not runs:
            return

        def delete(sure: bool | None) -> None:
            if sure:
                self.act("rm", "--yes", *(str(run.path) for run in runs))

        what = runs[0].id if len(runs) == 1 else f"{len(runs)} runs"
        self.app.push_screen(
            Confirm(
                f"Delete {what} with all checkpoints?",
                "\n".join(str(run.path) for run in runs),
                "Delete",
            ),
            delete,
        )

    def action_eject(self) -> None:
        """Write a run as a project of its own, into a folder that is asked for."""
        self._ask_and_act(
            "eject",
            "-o",
            "Where shall the project of {} be written?",
            "{}-project",
            f"a folder that isn't there yet; from {Path.cwd()}",
        )

    def action_export(self) -> None:
        """Write a run's model in another format, that is asked for."""
        self._ask_and_act(
            "export",
            "--to",
            "Who is to load the model of {}?",
            "timm",
            f"what `maquette export --to` takes; the folder is made in {Path.cwd()}",
        )

    def _ask_and_act(self, verb: str, option: str, question: str, value: str, hint: str) -> None:
        if (run := self.one()) is None:
            return

        def write(answer: str | None) -> None:
            if answer is not None:
                self.act(verb, str(run.path), option, answer.strip())

        self.app.push_screen(
            Ask(
                question.format(run.id),
                value=value.format(run.id),
                hint=hint,
                check=lambda text: None if text.strip() else "an answer, or Esc",
            ),
            write,
        )

    def action_folder(self) -> None:
        """Show where a run is, and copy that."""
        if (run := self.one()) is not None:
            self.app.copy_to_clipboard(str(run.path))
            self.tell(str(run.path), title="its folder, copied")

    def action_copy_id(self) -> None:
        """Copy a run's id."""
        if (run := self.one()) is not None:
            self.app.copy_to_clipboard(run.id)
            self.tell(run.id, title="copied")

    def _live(self, run: Run) -> bool:
        row = self.known(run)
        return row is not None and row["status"] in LIVE

    def tell(self, message: str, *, title: str = "", wrong: bool = False) -> None:
        """A note in the corner, that goes away by itself."""
        _tell(self.app, message, title=title, wrong=wrong)

    def act(self, *arguments: str) -> None:
        """Do what `maquette ARGUMENTS` does, beside the screen, and tell what came of it."""
        # A thread that nobody waits for: leaving isn't held up by a command that takes long.
        app = self.maquette
        threading.Thread(target=_act, args=(app, arguments), daemon=True).start()

    def action_help(self) -> None:
        """Say what the keys do here."""
        groups: list[tuple[str, list[tuple[str, str]]]] = []
        seen: set[str] = set()
        for heading, bindings in self._key_groups():
            found = []
            for binding in bindings:
                if binding.action not in seen and (does := binding.tooltip or binding.description):
                    seen.add(binding.action)
                    found.append((self.app.get_key_display(binding), does))
            groups += [(heading, found)] if found else []
        self.app.push_screen(Help(f"{self.TITLE_WORD}: {self.ABOUT}", groups))

    def _key_groups(self) -> list[tuple[str, list[Binding]]]:
        """Our own keys; what else Textual binds needs no telling."""
        acts = [key for key in KEYS if isinstance(key, Binding)]
        names = {key.action for key in acts}
        here = _own(self) + (_own(self.focused) if self.focused is not None else [])
        groups = [("Here", [key for key in here if key.action not in names])]
        if any(key.action in names for key in here):
            groups.append(("The run, or all that are marked", acts))
        groups.append(("Everywhere", [*_own(self.app), *Page.BINDINGS]))  # type: ignore[list-item]
        return groups


def _tell(app: App[None], message: str, *, title: str, wrong: bool) -> None:
    severity = "error" if wrong else "information"
    app.notify(message, title=title, severity=severity, markup=False)  # type: ignore[arg-type]


def _act(app: "MaquetteApp", arguments: tuple[str, ...]) -> None:
    """Run a command; whatever page is shown by then, tell what came of it."""
    outcome = acting.run_command(arguments)
    shown = [Path(word).name if Path(word).is_absolute() else word for word in outcome.command]

    def tell() -> None:
        _tell(app, outcome.said, title=f"maquette {' '.join(shown)}", wrong=not outcome.done)
        app.look()

    if app.is_running:
        with contextlib.suppress(RuntimeError):  # it was left meanwhile
            app.call_from_thread(tell)


def _own(node: DOMNode) -> list[Binding]:
    """The keys that a class of ours binds."""
    if not type(node).__module__.startswith("maquette."):
        return []
    return [key for key in type(node).BINDINGS if isinstance(key, Binding)]


def _amount(text: str) -> tuple[str, str] | None:
    """`2 epochs` as ("2", "epochs"); a number alone counts epochs. None for anything else."""
    words = text.split()
    unit = words[1].rstrip("s") if len(words) == 2 else "epoch"
    if not 1 <= len(words) <= 2 or unit not in ("epoch", "step"):
        return None
    try:
        count = float(words[0])
    except ValueError:
        return None
    if not 0 < count < 1e12 or (unit == "step" and count != int(count)):
        return None
    return (f"{count:g}" if unit == "epoch" else str(int(count))), f"{unit}s"
