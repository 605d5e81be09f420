"""A run as it happens: a live panel on a terminal, a line now and then anywhere else.

Imported only by commands that show one: rich is needed at once here.
"""

import contextlib
import math
import sys
import time
from collections.abc import Iterator
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from maquette.cli.curve import draw
from maquette.cli.view import Watch, format_loss, printable
from maquette.events import Evaluated, Event, Finished, Note, Sampled, Started, StepDone
from maquette.runs.state import ACTIVE, State

REFRESH_SECONDS = 0.25
COST_SHARE = 0.01  # of the time: a slow terminal is drawn to less often
LINE_SECONDS = 10.0
_STYLES = ("cyan", "bright_yellow")  # training, validation
_NARROWEST, _LOWEST = 40, 8  # columns and lines below which there is no panel


class Shown(Protocol):
    """Whatever takes the events of a run to show them."""

    def show(self, event: Event, at: float | None = None) -> None:
        """Take in the next event; `at`: when it happened, in seconds, if that isn't now."""
        ...

    def begin(self, watch: Watch) -> None:
        """Show this from now on: a run of which something happened before."""
        ...

    def look(self, state: State, standing: str) -> None:
        """Take in the run's state, and in words what it waits for; show what is new."""
        ...


@contextlib.contextmanager
def progress(
    console: Console, *, title: str, steps: int, tokens_per_step: int, unit: str = "tokens"
) -> Iterator[Shown]:
    """Show a run's events on the console while the context lasts, from its first one on."""
    with showing(console, Watch(title, steps, tokens_per_step, unit=unit)) as shown:
        yield shown


@contextlib.contextmanager
def showing(console: Console, watch: Watch) -> Iterator[Shown]:
    """Show a run on the console while the context lasts.

    A terminal gets a panel that redraws at most four times a second and at most for a hundredth of
    the time; a file, a pipe, a dumb or a tiny terminal gets plain lines.
    """
    small = console.width < _NARROWEST or console.height < _LOWEST
    if not console.is_terminal or console.is_dumb_terminal or small:
        yield PlainLines(console, watch)
        return
    live = Live(
        console=console,
        auto_refresh=False,
        redirect_stdout=sys.stdout.isatty(),  # what goes into a pipe is data
        vertical_overflow="crop",
    )
    panel = LivePanel(live, watch)
    with contextlib.suppress(OSError):  # a terminal that goes away must not end a training
        live.start()
    try:
        yield panel
    finally:
        with contextlib.suppress(OSError):
            panel.draw()
            live.stop()


class LivePanel:
    """The panel of a terminal. It is drawn between events; no thread, nothing to wait for."""

    def __init__(self, live: Live, watch: Watch) -> None:
        self._live = live
        self._watch = watch
        self._next_at = 0.0
        self._drawn: tuple[int, int] | None = None  # width and height; None: something is new

    def show(self, event: Event, at: float | None = None) -> None:
        """Take in an event, and draw if it is time."""
        self._watch.add(event, at)
        if isinstance(event, Note):
            with contextlib.suppress(OSError):
                self._live.console.print(Text(f"note: {printable(event.text)}", style="dim"))
        self._changed()

    def begin(self, watch: Watch) -> None:
        """Show another run, or the same one anew."""
        self._watch = watch
        self._drawn = None

    def look(self, state: State, standing: str) -> None:
        """Take in the run's state, and draw if anything differs and it is time."""
        console = self._live.console
        same = self._drawn == (console.width, console.height)
        if self._watch.look(state, standing) or not same:
            self._changed()

    def _changed(self) -> None:
        self._drawn = None
        if time.monotonic() >= self._next_at:
            self.draw()

    def draw(self) -> None:
        """Draw now."""
        begin = time.monotonic()
        console = self._live.console
        self._drawn = (console.width, console.height)
        with contextlib.suppress(OSError):
            self._live.update(
                render(self._watch, console, width=console.width, height=console.height),
                refresh=True,
            )
        end = time.monotonic()
        self._next_at = end + max(REFRESH_SECONDS, (end - begin) / COST_SHARE)


class PlainLines:
    """A line every ten seconds, and one for whatever happens seldom."""

    def __init__(self, console: Console, watch: Watch) -> None:
        self._console = console
        self._watch = watch
        self._next_at = 0.0
        self._last = ""

    def show(self, event: Event, at: float | None = None) -> None:
        """Take in an event, and say it if it is worth a line now."""
        watch = self._watch
        watch.add(event, at)
        match event:
            case Started():
                self._say(f"{watch.title}: {watch.machine()}, {watch.steps} steps")
            case StepDone() if time.monotonic() >= self._next_at or event.step == watch.steps:
                self._say_step()
            case Evaluated():
                best = " (best)" if event.best else ""
                self._say(
                    f"step {event.step}: {event.split} loss {format_loss(event.loss)}{best},"
                    f" {_beside(event)}"
                    + "".join(f", {k} {format_loss(v)}" for k, v in event.sources.items())
                )
            case Sampled():
                self._say(f"step {event.step} wrote: {_beginning(event, 300)}")
            case Note():
                self._say(f"note: {printable(event.text)}")
            case Finished():
                self._say(f"{watch.left()} at step {event.step}")

    def begin(self, watch: Watch) -> None:
        """Say where a run stands of which something happened before."""
        self._watch = watch
        if watch.machine():
            self._say(f"{watch.title}: {watch.machine()}, {watch.steps} steps")
        if watch.loss is not None:
            self._say_step()

    def look(self, state: State, standing: str) -> None:
        """Take in the run's state, and say what it waits for and how it ended."""
        watch = self._watch
        watch.look(state, standing)
        line = f"{watch.title}: {standing}" if standing else ""
        if state.status not in ACTIVE:
            line = f"{watch.left()} at step {watch.step}"
        if line not in ("", self._last):
            self._say(line)

    def _say_step(self) -> None:
        watch = self._watch
        self._next_at = time.monotonic() + LINE_SECONDS
        facts = "  ".join(f"{name} {value}" for name, value in watch.facts())
        self._say(f"step {watch.step}/{watch.steps}  {facts}  {watch.left()}".rstrip())

    def _say(self, line: str) -> None:
        self._last = line
        with contextlib.suppress(OSError):
            self._console.print(Text(line), soft_wrap=True)


def render(watch: Watch, console: Console, *, width: int, height: int) -> RenderableType:
    """The panel, made to fit: what a low terminal has no room for is left out."""
    unicode = console.encoding.lower().startswith("utf")
    inner = width - 4
    facts = _facts(watch, inner)[: max(1, height - 5)]
    lines: list[RenderableType] = [_bar(watch), *facts]
    free = height - 5 - len(facts)
    if watch.sampled is not None and free >= 2:
        lines.append(_sample(watch.sampled, unicode=unicode))
        free -= 2
    if free >= 4:
        lines.insert(1 + len(facts), _curves(watch, inner, min(8, free - 2), braille=unicode))
    machine = watch.machine()
    return Panel(
        Group(*lines),
        title=Text(watch.title, style="bold"),
        title_align="left",
        subtitle=Text(machine, style="dim") if machine else None,
        subtitle_align="right",
        border_style="blue",
        width=width,
    )


def _bar(watch: Watch) -> RenderableType:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(ratio=1)
    table.add_column(no_wrap=True, justify="right")
    bar = ProgressBar(
        total=max(1, watch.steps),
        completed=watch.step,
        complete_style="cyan",
        finished_style="green",
    )
    parts = [watch.left()]
    if watch.steps:
        parts = [f"{watch.step}/{watch.steps}", f"{100 * watch.step / watch.steps:.0f}%", *parts]
    table.add_row(bar, Text("  ".join(part for part in parts if part)))
    return table


def _facts(watch: Watch, width: int) -> list[Text]:
    """The facts on as few lines as they need, each in one piece: on the first that has room."""
    lines: list[Text] = []
    for name, value in watch.facts():
        style = {"loss": _STYLES[0], "validation": _STYLES[1]}.get(name, "")
        fact = Text.assemble((f"{name} ", "dim"), (value, f"bold {style}".rstrip()))
        room = (line for line in lines if line.cell_len + 3 + fact.cell_len <= width)
        line = next(room, None)
        if line is None:
            lines.append(fact)
        else:
            line.append("   ").append_text(fact)
    least = 2 if width < 70 else 1  # a panel that doesn't grow with the first evaluation
    return lines + [Text()] * (least - len(lines))


def _curves(watch: Watch, width: int, rows: int, *, braille: bool) -> Text:
    """Training and validation loss over the steps so far, with the losses at both edges."""
    margin = 7
    training = watch.training.points()
    grid, top, low = draw(
        (training, watch.validation), columns=max(1, width - margin), rows=rows, braille=braille
    )
    axis = "│" if braille else "|"
    text = Text(no_wrap=True, overflow="crop")
    for i, row in enumerate(grid):
        edge = top if i == 0 else low if i == rows - 1 else None
        label = _edge(edge) if edge else ""
        text.append(f"{label:>{margin - 2}} {axis}", style="dim")
        for character, curve in row:
            text.append(character, style=None if curve is None else _STYLES[curve])
        text.append("\n")
    first = f"step {training[0][0]:.0f}" if training else ""
    last = f"{watch.step}" if training else ""
    space = max(1, width - margin - len(first) - len(last))
    text.append(f"{' ' * margin}{first}{' ' * space}{last}", style="dim")
    return text


def _sample(event: Sampled, *, unicode: bool) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis" if unicode else "crop")
    text.append(f"\nstep {event.step} wrote ", style="dim")
    words = _beginning(event, 500)
    # What the terminal can't print would be escaped: longer than its place in the panel.
    text.append(words if unicode else words.encode("ascii", "replace").decode(), style="italic")
    return text


def _beside(event: Evaluated) -> str:
    """What people read beside a loss: of images the accuracy, of text the perplexity."""
    if event.accuracy is not None:
        return f"accuracy {event.accuracy:.2%}"
    perplexity = math.nan if event.perplexity is None else event.perplexity
    return f"perplexity {perplexity:.2f}" if perplexity < 1e5 else f"perplexity {perplexity:.3g}"


def _edge(value: float) -> str:
    """In five characters."""
    return f"{value:.2f}" if value < 99.99 else f"{value:.0f}" if value < 99999 else f"{value:.0e}"


def _beginning(event: Sampled, length: int) -> str:
    return printable(f"{event.prompt}{event.text}"[:length]).strip()
