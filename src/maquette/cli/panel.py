"""A run as it happens: a live panel on a terminal, a line now and then anywhere else.

Imported only by commands that show one: rich is needed at once here.
"""

import contextlib
import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from maquette.cli.curve import Means, draw
from maquette.events import Evaluated, Event, Finished, Note, Sampled, Started, StepDone
from maquette.quantities import format_count, format_duration
from maquette.runs.recorder import Pace

REFRESH_SECONDS = 0.25
COST_SHARE = 0.01  # of the time: a slow terminal is drawn to less often
LINE_SECONDS = 10.0
_STYLES = ("cyan", "bright_yellow")  # training, validation
_NARROWEST, _LOWEST = 40, 8  # columns and lines below which there is no panel


class Shown(Protocol):
    """Whatever takes the events of a run to show them."""

    def show(self, event: Event) -> None:
        """Take in the next event."""
        ...


@contextlib.contextmanager
def progress(console: Console, *, title: str, steps: int, tokens_per_step: int) -> Iterator[Shown]:
    """Show a run's events on the console while the context lasts.

    A terminal gets a panel that redraws at most four times a second and at most for a hundredth of
    the time; a file, a pipe, a dumb or a tiny terminal gets plain lines.
    """
    watch = Watch(title, steps, tokens_per_step)
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


class Watch:
    """What is to be shown of a run, gathered from its events."""

    def __init__(self, title: str, steps: int, tokens_per_step: int) -> None:
        self.title = title
        self.steps = steps
        self.pace = Pace(steps, tokens_per_step)
        self.training = Means()
        self.validation: list[tuple[float, float]] = []
        self.step = 0
        self.started: Started | None = None
        self.evaluated: Evaluated | None = None
        self.best: Evaluated | None = None
        self.sampled: Sampled | None = None
        self.finished: Finished | None = None
        self.learning_rate: float | None = None
        self._losses: deque[float] = deque(maxlen=20)

    def add(self, event: Event) -> None:
        """Take in the next event."""
        match event:
            case Started():
                self.started = event
                self.steps = self.pace.steps = event.steps
                self.step = event.step
            case StepDone():
                self.step = event.step
                self.learning_rate = event.learning_rate
                self._losses.append(event.loss)
                self.training.add(event.step, event.loss)
                self.pace.add(event, time.monotonic())
            case Evaluated(split="validation"):
                self.evaluated = event
                self.best = event if event.best else self.best
                self.validation.append((event.step, event.loss))
            case Sampled():
                self.sampled = event
            case Finished():
                self.finished = event

    @property
    def loss(self) -> float | None:
        """Mean training loss of the last steps: a single batch says little."""
        return sum(self._losses) / len(self._losses) if self._losses else None

    def facts(self) -> list[tuple[str, str]]:
        """Name and value of everything worth a number, the most important first."""
        found = []
        if self.loss is not None:
            found.append(("loss", f"{self.loss:.3f}"))
        if self.evaluated is not None:
            text = f"{self.evaluated.loss:.3f}"
            if self.best is not None and self.best is not self.evaluated:
                text += f" (best {self.best.loss:.3f} at {self.best.step})"
            found.append(("validation", text))
        if self.pace.tokens_per_second is not None:
            found.append(("tokens/s", format_count(self.pace.tokens_per_second)))
        if self.learning_rate is not None:
            found.append(("learning rate", f"{self.learning_rate:.2e}"))
        return found

    def machine(self) -> str:
        """Size, device and precision, once they are known."""
        if self.started is None:
            return "starting"
        parts = [f"{format_count(self.started.parameters)} parameters", self.started.device]
        parts += [self.started.precision] + (["compiled"] if self.started.compiled else [])
        return ", ".join(parts)

    def left(self) -> str:
        """The time that is left, or how it ended."""
        if self.finished is not None:
            return {"early_stop": "early stop"}.get(self.finished.reason, self.finished.reason)
        seconds = self.pace.eta_seconds
        return f"{format_duration(seconds)} left" if seconds is not None else ""


class LivePanel:
    """The panel of a terminal. It is drawn between events; no thread, nothing to wait for."""

    def __init__(self, live: Live, watch: Watch) -> None:
        self._live = live
        self._watch = watch
        self._next_at = 0.0

    def show(self, event: Event) -> None:
        """Take in an event, and draw if it is time."""
        self._watch.add(event)
        if isinstance(event, Note):
            with contextlib.suppress(OSError):
                self._live.console.print(Text(f"note: {_printable(event.text)}", style="dim"))
        if time.monotonic() >= self._next_at:
            self.draw()

    def draw(self) -> None:
        """Draw now."""
        begin = time.monotonic()
        console = self._live.console
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

    def show(self, event: Event) -> None:
        """Take in an event, and say it if it is worth a line now."""
        watch = self._watch
        watch.add(event)
        match event:
            case Started():
                self._say(f"{watch.title}: {watch.machine()}, {watch.steps} steps")
            case StepDone() if time.monotonic() >= self._next_at or event.step == watch.steps:
                self._next_at = time.monotonic() + LINE_SECONDS
                facts = "  ".join(f"{name} {value}" for name, value in watch.facts())
                self._say(f"step {event.step}/{watch.steps}  {facts}  {watch.left()}".rstrip())
            case Evaluated():
                best = " (best)" if event.best else ""
                self._say(
                    f"step {event.step}: {event.split} loss {event.loss:.3f}{best},"
                    f" perplexity {event.perplexity:.2f}"
                )
            case Sampled():
                self._say(f"step {event.step} wrote: {_beginning(event, 300)}")
            case Note():
                self._say(f"note: {_printable(event.text)}")
            case Finished():
                self._say(f"{watch.left()} at step {event.step}")

    def _say(self, line: str) -> None:
        with contextlib.suppress(OSError):
            self._console.print(Text(line), soft_wrap=True)


def render(watch: Watch, console: Console, *, width: int, height: int) -> RenderableType:
    """The panel, made to fit: what a low terminal has no room for is left out."""
    unicode = console.encoding.lower().startswith("utf")
    inner = width - 4
    lines: list[RenderableType] = [_bar(watch), _facts(watch, inner)]
    free = height - 6 - (inner < 70)
    if watch.sampled is not None and free >= 2:
        lines.append(_sample(watch.sampled, unicode=unicode))
        free -= 2
    if free >= 4:
        lines.insert(2, _curves(watch, inner, min(8, free - 2), braille=unicode))
    machine = Text(watch.machine(), style="dim")
    return Panel(
        Group(*lines),
        title=Text(watch.title, style="bold"),
        title_align="left",
        subtitle=machine,
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
    share = f"{100 * watch.step / max(1, watch.steps):.0f}%"
    table.add_row(bar, Text(f"{watch.step}/{watch.steps}  {share}  {watch.left()}".rstrip()))
    return table


def _facts(watch: Watch, width: int) -> Text:
    text = Text()
    for i, (name, value) in enumerate(watch.facts()):
        style = {"loss": _STYLES[0], "validation": _STYLES[1]}.get(name, "")
        if i:
            # Two facts a line where four don't fit.
            text.append("\n" if width < 70 and i == 2 else "   ")
        text.append(f"{name} ", style="dim")
        text.append(value, style=f"bold {style}".rstrip())
    if width < 70 and len(watch.facts()) <= 2:
        text.append("\n")
    return text


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
        label = f"{edge:.2f}" if edge else ""
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


def _beginning(event: Sampled, length: int) -> str:
    return _printable(f"{event.prompt}{event.text}"[:length]).strip()


def _printable(text: str) -> str:
    """The text in one line, without what a terminal would obey: a young model writes anything."""
    spaced = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(spaced.split())
