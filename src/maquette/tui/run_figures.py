"""What is on top of a run's screen: how far it is, how it does, and the line of tabs."""

from rich.text import Text
from textual import events
from textual.message import Message
from textual.widgets import Static

from maquette.quantities import format_bytes, format_count, format_duration
from maquette.runs.control import why_lost
from maquette.runs.state import State
from maquette.tui import figures
from maquette.tui.curves import Look
from maquette.tui.figures import Row
from maquette.tui.plot import number


class Tabs(Static):
    """A line of names, one of them chosen."""

    class Chosen(Message):
        """A name was clicked."""

        def __init__(self, place: int) -> None:
            super().__init__()
            self.place = place

    def __init__(self, names: list[str]) -> None:
        super().__init__(id="tabs")
        self._names = names
        self._ends: list[int] = []

    def choose(self, place: int) -> None:
        """Show which one is chosen; where there is no room, the others get shorter names."""
        room = self.app.size.width - 2
        names = [f"{i} {name}" for i, name in enumerate(self._names, 1)]
        if sum(len(name) + 2 for name in names) > room:
            names = [n if i == place else f"{n[:4]}." for i, n in enumerate(names)]
        if sum(len(name) + 2 for name in names) > room:
            names = [n if i == place else n[:1] for i, n in enumerate(names)]
        text, self._ends = Text(" "), []
        for i, name in enumerate(names):
            text.append(f" {name} ", "bold reverse" if i == place else "")
            self._ends.append(text.cell_len)
        self.update(text, layout=False)

    def on_click(self, event: events.Click) -> None:
        """Choose the name under the mouse."""
        for place, end in enumerate(self._ends):
            if event.x < end:
                self.post_message(self.Chosen(place))
                return


class RunFigures(Static):
    """How far a run is, what it has come to, and what went wrong."""

    def show(
        self, look: Look, row: Row, forecast: str, trouble: str | None, now: float, width: int
    ) -> None:
        """Show what was seen at a look, in lines of this width; `trouble` is of the look itself."""
        state, colours = look.state, self.app.theme_variables
        facts = _flow(_facts(look, row, forecast, now), width, colours["muted"], lines=2)
        lines = [self._progress(state, row, now, width), *facts]
        if state.error is not None:
            trouble = state.error.message + (f" · {state.error.hint}" if state.error.hint else "")
        elif state.status == "lost":
            trouble = f"{why_lost(state)} · r goes on with it"
        if trouble:
            line = Text(f"✗ {figures.one_line(trouble)}", colours["error"])
            lines += line.wrap(self.app.console, width)[:2]
        self.update(Text("\n").join(lines))

    def _progress(self, state: State, row: Row, now: float, width: int) -> Text:
        share = figures.share_of(row)
        words = [f"step {state.step:,} of {state.steps:,}"] if state.steps else []
        words += [f"epoch {state.epoch:.2f}"] if state.epoch else []
        words += [f"{figures.left(row, now)} left"] * bool(figures.left(row, now))
        told = "   ".join(words)
        while len(words) > 1 and len(told) > width - 18:
            words.pop(1)
            told = "   ".join(words)
        if share is None:
            return Text(state.doing or "", "dim")
        done, rest = figures.bar(share, max(6, width - len(told) - 8))
        colour = self.app.theme_variables["success" if state.status == "running" else "muted"]
        line = Text.assemble((done, colour), (rest, self.app.theme_variables["line"]))
        line.append(f" {share:4.0%}", "bold")
        line.append(f"  {told}")
        return line


def _facts(look: Look, row: Row, forecast: str, now: float) -> list[tuple[str, str]]:
    """Names and values, the most important first."""
    state, last = look.state, look.course.last
    pairs = []
    if state.train_loss is not None:
        pairs.append(("loss", number(state.train_loss)))
    if state.validation_loss is not None:
        pairs.append(("validation", number(state.validation_loss)))
    if state.accuracy is not None:
        pairs.append(("accuracy", f"{state.accuracy:.2%}"))
    if forecast:
        pairs.append(("forecast", forecast))
    if state.best_loss is not None:
        pairs.append(("best", f"{number(state.best_loss)} at {state.best_step:,}"))
    if last is not None:
        pairs.append(("learning rate", number(last.learning_rate)))
        pairs.append(("gradient norm", number(last.gradient_norm)))
    pairs += [("speed", figures.speed(row))] * bool(figures.speed(row))
    pairs.append(("took", format_duration(state.elapsed_seconds(now))))
    device = [row["device"], state.precision or "", "compiled" if state.compiled else ""]
    pairs.append(("on", ", ".join(word for word in device if word)))
    if state.parameters:
        pairs.append(("parameters", format_count(state.parameters)))
    return pairs + _telemetry(state)


def _telemetry(state: State) -> list[tuple[str, str]]:
    telemetry = state.telemetry
    if telemetry is None or state.status != "running":
        return []
    pairs = []
    if telemetry.gpu_percent is not None:
        pairs.append(("GPU", f"{telemetry.gpu_percent:.0f}%"))
    if telemetry.gpu_memory_bytes is not None:
        pairs.append(("GPU memory", format_bytes(telemetry.gpu_memory_bytes)))
    if telemetry.cpu_percent is not None:
        pairs.append(("CPU", f"{telemetry.cpu_percent:.0f}%"))
    if telemetry.memory_bytes is not None:
        pairs.append(("memory", format_bytes(telemetry.memory_bytes)))
    return pairs


def _flow(pairs: list[tuple[str, str]], width: int, muted: str, *, lines: int) -> list[Text]:
    """Names and values one after another, in lines of this width; what is left over is left out."""
    found = [Text()]
    for name, value in pairs:
        piece = Text.assemble((f"{name} ", muted), (figures.one_line(value), "bold"))
        space = 3 if found[-1].cell_len else 0
        if found[-1].cell_len + space + piece.cell_len > width:
            if len(found) == lines:
                continue
            found.append(Text())
            space = 0
        found[-1].append(" " * space).append_text(piece)
    return found
