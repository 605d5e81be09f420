"""What the tabs of a run show. Each takes a `Look` when it is in sight and something is new."""

import json
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Input, Log, Static

from maquette.cli.common import ago
from maquette.cli.status import status_pairs
from maquette.errors import RunError
from maquette.quantities import format_bytes
from maquette.runs.store import Run
from maquette.runs.tail import TextTail
from maquette.serving.runs_board import samples
from maquette.tui.curves import CurvesPane, Look, Pane
from maquette.tui.pictures import half_blocks

_LOG_LINES = 5000
_TEXT_BYTES = 1 << 20
_COLOURS = {"red": "error", "green": "success", "yellow": "warning", "cyan": "accent"}


class SamplesPane(Pane):
    """What the model wrote while it was trained; of image runs, the pictures that eval drew."""

    NAME = "Samples"

    def compose(self) -> ComposeResult:
        """A text as long as it gets."""
        with VerticalScroll():
            yield Static(id="samples")

    def on_mount(self) -> None:
        """Nothing is shown yet."""
        self._shown: object = None

    def take(self, look: Look) -> None:
        """Show the newest, the newest first."""
        if look.run.meta.unit == "images":
            self._take_pictures(look.run)
            return
        found = samples(look.run.samples_path)
        if found == self._shown:
            return
        self._shown = found
        prompt = look.course.sampled.prompt if look.course.sampled is not None else ""
        text = Text()
        for sample in found:
            text.append(f"step {sample['step']:,}\n", "bold")
            body = printable_lines(sample["text"])
            if prompt and body.startswith(prompt):
                text.append(prompt, "underline")
                body = body[len(prompt) :]
            text.append(body.rstrip() + (" …" if sample["cut"] else "") + "\n\n")
        if not found:
            text.append("The model has written nothing yet.", "dim")
        self.query_one("#samples", Static).update(text)

    def _take_pictures(self, run: Run) -> None:
        files = picture_files(run)
        look = [(path, path.stat().st_mtime_ns) for path in files], self.size
        if look == self._shown:
            return
        self._shown = look
        text = Text()
        for path in files:
            text.append(f"{path.name}\n", "bold")
            text.append_text(half_blocks(path, max(8, self.size.width - 6), 200))
            text.append("\n")
        if not files:
            text.append("No pictures yet: ", "dim")
            text.append("v", "bold")
            text.append(f" draws what it gets wrong, as `maquette eval {run.name}` does.", "dim")
        self.query_one("#samples", Static).update(text)


class LogPane(Pane):
    """What the worker said: the end of it, and what comes."""

    NAME = "Log"

    def compose(self) -> ComposeResult:
        """The search, hidden at first, and the lines."""
        yield Input(placeholder="text in a line", id="search")
        yield Log(id="log", max_lines=_LOG_LINES)
        yield Static(id="log-note")

    def on_mount(self) -> None:
        """Nothing has been read yet."""
        self.query_one("#search").display = False
        self._tail: TextTail | None = None
        self._rest = b""
        self._lines: deque[str] = deque(maxlen=_LOG_LINES)
        self._follows, self._at = True, 0

    def take(self, look: Look) -> None:
        """Add what is new at the end, and keep to it unless somebody scrolled up."""
        log = self.query_one(Log)
        at = log.scroll_offset.y
        self._follows = at >= log.max_scroll_y or (self._follows and at >= self._at)
        self._read(look)
        if self._follows:
            log.scroll_end(animate=False, immediate=True, x_axis=False)
        self._at = log.scroll_offset.y

    def _read(self, look: Look) -> None:
        if self._tail is None:
            self._tail = TextTail(look.run.log_path, lines=_LOG_LINES)
        try:
            added = self._tail.read()
        except RunError as error:
            self.query_one("#log-note", Static).update(Text(error.message))
            return
        if added is None:
            self.query_one("#log-note", Static).update(Text("It has no worker.log yet.", "dim"))
            return
        whole, _, self._rest = (self._rest + added).rpartition(b"\n")
        if whole:
            lines = whole.decode("utf-8", "replace").replace("\r", "\n").split("\n")
            self._add([printable_lines(line) for line in lines])

    def _add(self, lines: Iterable[str]) -> None:
        lines = list(lines)
        self._lines.extend(lines)
        self.query_one(Log).write_lines(
            [line for line in lines if self._wanted in line.lower()], scroll_end=False
        )
        self._tell()

    @property
    def _wanted(self) -> str:
        return self.query_one("#search", Input).value.strip().lower()

    def _tell(self) -> None:
        found = sum(self._wanted in line.lower() for line in self._lines)
        text = f"{found} of {len(self._lines)} lines · Esc shows all" if self._wanted else ""
        self.query_one("#log-note", Static).update(Text(text, "dim"))

    def action_search(self) -> None:
        """Type what the lines shown have in common."""
        search = self.query_one("#search", Input)
        search.display = True
        search.focus()

    @on(Input.Changed, "#search")
    def _search(self) -> None:
        log = self.query_one(Log)
        log.clear()
        log.write_lines([line for line in self._lines if self._wanted in line.lower()], True)
        self._tell()

    @on(Input.Submitted, "#search")
    def _searched(self) -> None:
        self.query_one("#search").display = bool(self._wanted)
        self.query_one(Log).focus()

    def clear_search(self) -> bool:
        """Show all lines again; returns whether there was a search."""
        search = self.query_one("#search", Input)
        was = bool(search.display)
        search.value = ""
        search.display = False
        if was:
            self.query_one(Log).focus()
        return was


class FilePane(Pane):
    """A text file of the run, coloured."""

    def compose(self) -> ComposeResult:
        """The text."""
        with VerticalScroll():
            yield Static(classes="file")

    def on_mount(self) -> None:
        """Nothing is shown yet."""
        self._shown: str | None = None

    def text(self, look: Look) -> str:
        """What is to be shown."""
        raise NotImplementedError

    def take(self, look: Look) -> None:
        """Show the file as it is now."""
        try:
            text = self.text(look)
        except OSError as error:
            text = f"# it can't be read: {(error.strerror or str(error)).lower()}"
        if text != self._shown:
            self._shown = text
            accent = self.app.theme_variables["accent"]
            self.query_one(".file", Static).update(_coloured(printable_lines(text), accent))


class SpecPane(FilePane):
    """spec.yaml, as it was written."""

    NAME = "Spec"

    def text(self, look: Look) -> str:
        """The file."""
        return _read(look.run.spec_path)


class BlueprintPane(FilePane):
    """blueprint.json: every number resolved, written as YAML for people."""

    NAME = "Blueprint"

    def text(self, look: Look) -> str:
        """The file as an outline; as it is, if it is no JSON."""
        text = _read(look.run.blueprint_path)
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            return f"# blueprint.json is no JSON; here it is as it is\n{text}"
        return "\n".join(outline(content))


class CheckpointsPane(Pane):
    """What was saved."""

    NAME = "Checkpoints"

    def compose(self) -> ComposeResult:
        """A table as text."""
        with VerticalScroll():
            yield Static(id="checkpoints")

    def take(self, look: Look) -> None:
        """Show those that are there, the newest first."""
        found = look.run.checkpoints()
        text = Text()
        if not found:
            text.append("No checkpoint yet.", "dim")
        else:
            text.append(f"{'step':>12}  {'size':>10}  {'saved':>10}  \n", "bold")
        best = max((c.step for c in found if c.best), default=None)
        for saved in reversed(found):
            try:
                age = f"{ago(time.time() - saved.path.stat().st_mtime)} ago"
            except OSError:
                age = ""
            text.append(f"{saved.step:>12,}  {format_bytes(saved.bytes):>10}  {age:>10}  ")
            text.append("best so far\n" if saved.step == best else "\n", "bold")
        text.append(f"\n{look.run.checkpoints_path}\n", "dim")
        self.query_one("#checkpoints", Static).update(text)


class FactsPane(Pane):
    """What `maquette status` says."""

    NAME = "Facts"

    def compose(self) -> ComposeResult:
        """Names and values."""
        with VerticalScroll():
            yield Static(id="facts")

    def take(self, look: Look) -> None:
        """Show them as they are now."""
        pairs = status_pairs(look.run, look.state)
        margin = max(len(name) for name, _ in pairs) + 2
        text = Text()
        for name, cell in pairs:
            text.append(f"{name:<{margin}}", "bold")
            colour = self.app.theme_variables.get(_COLOURS.get(cell.colour, ""), "")
            value = Text(printable_lines(cell.text), colour)
            lines = value.wrap(self.app.console, max(20, self.size.width - margin - 4))
            text.append_text(Text(f"\n{' ' * margin}").join(lines))
            text.append("\n")
        self.query_one("#facts", Static).update(text)


def picture_files(run: Run) -> list[Path]:
    """The pictures in a run's folder."""
    try:
        return sorted((run.path / "pictures").glob("*.png"))
    except OSError:
        return []


def printable_lines(text: str) -> str:
    """The text without what a terminal would obey; lines stay lines."""
    return "".join(c if c == "\n" or c.isprintable() else " " for c in text.expandtabs(4))


def outline(value: Any, indent: str = "") -> list[str]:
    """A JSON value as lines of `key: value`, deeper ones indented."""
    if isinstance(value, list) and not any(isinstance(v, dict | list) for v in value):
        return [f"{indent}{json.dumps(value, ensure_ascii=False)}"]
    items: Iterable[tuple[str, Any]]
    if isinstance(value, dict):
        items = ((str(key), content) for key, content in value.items())
    elif isinstance(value, list):
        items = ((f"- {i}", content) for i, content in enumerate(value))
    else:
        return [f"{indent}{json.dumps(value, ensure_ascii=False)}"]
    lines = []
    for key, content in items:
        inner = outline(content, indent + "  ")
        deeper = isinstance(content, dict) or (isinstance(content, list) and len(inner) > 1)
        if deeper and inner:
            lines += [f"{indent}{key}:", *inner]
        else:
            lines.append(f"{indent}{key}: {inner[0].strip() if inner else '{}'}")
    return lines


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_TEXT_BYTES).decode("utf-8", "replace")


def _coloured(text: str, accent: str) -> Text:
    """YAML with its keys and comments told apart."""
    shown = Text(text)
    shown.highlight_regex(r"(?m)(^|[{,])\s*-?\s*[\w.-]+(?=:(\s|$))", accent)
    shown.highlight_regex(r"(?m)(^|\s)#.*$", "dim")
    return shown


PANES: tuple[type[Pane], ...] = (
    CurvesPane,
    SamplesPane,
    LogPane,
    SpecPane,
    BlueprintPane,
    CheckpointsPane,
    FactsPane,
)
