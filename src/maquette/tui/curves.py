"""The curves of a run: one quantity large, the others small below it."""

from typing import ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widget import Widget

from maquette.runs.state import State
from maquette.runs.store import Run
from maquette.tui.course import SMOOTHING, Course, smooth
from maquette.tui.plot import SERIES, Curve, Plot


class Look(NamedTuple):
    """What was seen of a run when it was looked at last."""

    run: Run
    state: State
    course: Course


class Pane(Widget):
    """The content of a tab."""

    NAME: ClassVar[str] = ""

    def __init__(self) -> None:
        super().__init__(id=type(self).__name__)

    def take(self, look: Look) -> None:
        """Show what was seen."""


class Quantity(NamedTuple):
    """Something that there are curves of."""

    name: str
    key: str  # field of the steps; or `evaluated:` and a field of the evaluations; or `sources`
    log: bool


LOSS = Quantity("loss", "loss", True)
RATE = Quantity("learning rate", "learning_rate", False)
NORM = Quantity("gradient norm", "gradient_norm", False)
SPEED = Quantity("throughput", "speed", False)
ACCURACY = Quantity("accuracy", "evaluated:accuracy", False)
SOURCES = Quantity("loss by source", "sources", True)


class CurvesPane(Pane):
    """One large plot, and where there is room the others small below it."""

    NAME = "Curves"

    def __init__(self) -> None:
        super().__init__()
        self._look: Look | None = None
        self._shown = 0
        self._log: bool | None = None  # None: as is usual for the quantity
        self._log_across = False
        self._by_time = False
        self._smoothing = 2

    def compose(self) -> ComposeResult:
        """The large plot, and four small ones."""
        yield Plot(id="large")
        with Horizontal(id="small"):
            for i in range(4):
                yield Plot(id=f"small-{i}")

    def on_resize(self) -> None:
        """Show the small plots only where they leave room."""
        small = self.query_one("#small")
        small.display = self.size.height >= 22 and self.size.width >= 72
        for i in range(4):
            self.query_one(f"#small-{i}").display = i < self.size.width // 36
        self.draw()

    def take(self, look: Look) -> None:
        """Draw what is known now."""
        self._look = look
        self.draw()

    @property
    def quantities(self) -> list[Quantity]:
        """What there are curves of in this run."""
        found = [LOSS]
        if self._look is not None:
            course = self._look.course
            if course.evaluations and course.evaluations[-1].event.accuracy is not None:
                found.append(ACCURACY)
            if len(course.sources) > 1:
                found.append(SOURCES)
        return [*found, RATE, NORM, SPEED]

    def draw(self) -> None:
        """Draw the plots anew."""
        if self._look is None:
            return
        quantities = self.quantities
        shown = quantities[self._shown % len(quantities)]
        large = self.query_one("#large", Plot)
        self._draw(large, shown, note=self._note(shown))
        others = [quantity for quantity in quantities if quantity != shown]
        small = [self.query_one(f"#small-{i}", Plot) for i in range(4)]
        for plot, quantity in zip(small, others, strict=False):
            if plot.display and self.query_one("#small").display:
                plot.window = large.window
                self._draw(plot, quantity)

    def _draw(self, plot: Plot, quantity: Quantity, note: str = "") -> None:
        log = quantity.log if self._log is None else self._log
        plot.show(
            quantity.name,
            self._curves(quantity),
            log=log,
            log_across=self._log_across,
            time=self._by_time,
            note=note,
            empty=self._empty(),
        )

    def _empty(self) -> str:
        assert self._look is not None
        state = self._look.state
        if state.status in ("queued", "running"):
            return f"no steps yet: {state.doing or state.status}"
        return "no steps were done"

    def _curves(self, quantity: Quantity) -> list[Curve]:
        assert self._look is not None
        course, by_time = self._look.course, self._by_time
        weight = SMOOTHING[self._smoothing]
        if quantity.key == "sources":
            return [
                Curve(name, course.evaluated(f"source:{name}", by_time=by_time), style)
                for name, style in zip(course.sources, SERIES[1:], strict=False)
            ]
        if quantity.key.startswith("evaluated:"):
            field = quantity.key.partition(":")[2]
            return [Curve("validation", course.evaluated(field, by_time=by_time), SERIES[1])]
        raw = course.curve(quantity.key, by_time=by_time)
        if quantity.key != "loss":
            smoothed = smooth(raw, 0.0 if quantity is RATE else weight)
            return [Curve("", smoothed, SERIES[(RATE, NORM, SPEED).index(quantity) + 2])]
        curves = [Curve("", raw, faint=True)] if weight else []
        curves.append(Curve("training", smooth(raw, weight)))
        validation = course.evaluated("loss", by_time=by_time)
        return [*curves, Curve("validation", validation, SERIES[1])] if validation else curves

    def _note(self, quantity: Quantity) -> str:
        """How it is drawn, and what the drawing can't show."""
        assert self._look is not None
        log = quantity.log if self._log is None else self._log
        parts = [f"{self._look.course.broken} not finite"] if self._look.course.broken else []
        weight = SMOOTHING[self._smoothing]
        parts.append(f"smoothing {weight:g}" if weight else "as it is")
        parts.append("log" if log else "linear")
        if self._log_across:
            parts.append("log across")
        return " · ".join(parts)

    # What the keys do

    def action_quantity(self) -> None:
        """Show the next quantity large."""
        self._shown = (self._shown + 1) % len(self.quantities)
        self._log = None
        self.draw()

    def action_log(self) -> None:
        """Values evenly, or by their logarithm."""
        shown = self.quantities[self._shown % len(self.quantities)]
        self._log = not (shown.log if self._log is None else self._log)
        self.draw()

    def action_log_across(self) -> None:
        """Steps evenly, or by their logarithm."""
        self._log_across = not self._log_across
        self.query_one("#large", Plot).window = None
        self.draw()

    def action_smoothing(self) -> None:
        """Smooth more; after the most, not at all."""
        self._smoothing = (self._smoothing + 1) % len(SMOOTHING)
        self.draw()

    def action_by_time(self) -> None:
        """By steps, or by the time the run was running."""
        self._by_time = not self._by_time
        self.draw()

    def action_zoom(self, factor: float) -> None:
        """Look closer at the end of what is seen, or from further away."""
        plot = self.query_one("#large", Plot)
        if factor:
            plot.zoom(factor, 1.0 if plot.window is None else 0.5)
        else:
            plot.reset_zoom()
        self.draw()

    def action_pan(self, by: float) -> None:
        """Look further to the right, or to the left."""
        self.query_one("#large", Plot).pan(by)
        self.draw()
