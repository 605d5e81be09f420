"""Compare: several runs in one plot, how they do, and where their specs differ."""

import time
from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll

from maquette.comparison import AXES, MOST, Axis, Comparison, Measured, compare
from maquette.errors import MaquetteError
from maquette.runs.store import Run
from maquette.tui.compared import Differences, Table, style_of
from maquette.tui.course import SMOOTHING, smooth
from maquette.tui.page import KEYS, Page
from maquette.tui.plot import Curve, Plot

_LEAST_SECONDS = 2.0  # between two looks at the runs
_PATIENCE = 10  # times as long as the last look took, if that is longer
_WORDS = {"step": "step", "seconds": "time", "amount": "amount seen"}


class CompareScreen(Page):
    """Runs side by side. Tab chooses one of them, which the keys of runs act on."""

    TITLE_WORD: ClassVar[str] = "Compare"
    ABOUT: ClassVar[str] = "some runs side by side: their curves, their values, their specs."
    CSS_PATH: ClassVar[str] = "compare.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "choose(1)", "Choose", key_display="tab", tooltip="Choose the next run"),
        Binding("shift+tab", "choose(-1)", "Choose", show=False, tooltip="The run before"),
        Binding("enter", "open", "Open", tooltip="Look at the chosen run"),
        Binding("v", "quantity", "View", tooltip="Compare by another quantity"),
        Binding("l", "log", "Log", tooltip="Values evenly, or by their logarithm"),
        Binding("m", "smoothing", "Smooth", show=False, tooltip="Smooth the training loss more"),
        Binding("b", "axis", "By time", tooltip="By steps, by time, by what was seen"),
        Binding("plus,equals_sign", "zoom(1.6)", "Closer", key_display="+", show=False),
        Binding("minus", "zoom(0.625)", "Further away", key_display="-", show=False),
        Binding("0", "zoom(0)", "All of it", show=False, tooltip="Show the whole curves again"),
        Binding("left", "pan(-0.25)", "To the left", show=False),
        Binding("right", "pan(0.25)", "To the right", show=False),
        Binding("escape", "unchoose", "All runs", show=False, tooltip="Choose none"),
        *KEYS,
    ]

    def __init__(self, runs: Sequence[Run]) -> None:
        """Raises MaquetteError for too few runs, or too many."""
        super().__init__()
        self.runs = list(runs)
        self.comparison: Comparison | None = None
        self._chosen: int | None = None
        self._shown = 0
        self._log: bool | None = None
        self._smoothing = 2
        self._axis = 0
        self._trouble = "reading the runs"
        self._seen: object = None
        self._next_look = 0.0

    def body(self) -> ComposeResult:
        """The runs, their curves, what differs: one below the other, and scrolled together."""
        with VerticalScroll(id="compare"):
            yield Table(id="values")
            yield Plot(id="overlay")
            yield Differences(id="differences")

    def on_mount(self) -> None:
        """Look at the runs."""
        super().on_mount()
        self.query_one("#compare").focus()
        self.app.theme_changed_signal.subscribe(self, lambda _: self._show())
        self._look()

    def on_resize(self) -> None:
        """Give the plot what room there is beside the tables, but enough in any case."""
        super().on_resize()
        self.call_after_refresh(self._show)

    # Looking

    def looked(self) -> None:
        """Look again where something was written."""
        super().looked()
        seen = [(_changed(run), self.maquette.row(run.id) is not None) for run in self.runs]
        if seen != self._seen and time.monotonic() >= self._next_look:
            self._seen = seen
            self._look()

    @work(thread=True, exclusive=True, group="compare")
    def _look(self) -> None:
        begin = time.monotonic()
        there = [run for run in self.runs if run.path.is_dir()]
        found, trouble = None, ""
        try:
            found = compare(there)
        except MaquetteError as error:
            trouble = str(error) if len(there) > 1 else "the other runs were deleted meanwhile"
        took = time.monotonic() - begin
        if self.app.is_running:
            self.app.call_from_thread(self._found, found, trouble, took)

    def _found(self, found: Comparison | None, trouble: str, took: float) -> None:
        self._next_look = time.monotonic() + max(_LEAST_SECONDS, _PATIENCE * took)
        if not self.is_attached:
            return
        if found is None and self.comparison is not None:
            self.notify(trouble, severity="warning", markup=False)
        self.comparison, self._trouble = found or self.comparison, trouble
        self._show()
        self.show_top()
        self.refresh_bindings()

    # What it shows

    def top(self) -> tuple[Text, Text]:
        """How many runs, and by what."""
        count = len(self.comparison.courses) if self.comparison else len(self.runs)
        return Text(f"{count} runs"), Text(f"by {_WORDS[self.axis]} ", "dim")

    @property
    def axis(self) -> Axis:
        """What the curves run along."""
        return AXES[self._axis]

    @property
    def _measured(self) -> Measured | None:
        """What is compared; None for the training loss, which is nobody's result."""
        assert self.comparison is not None
        shown = self._shown % (len(self.comparison.measured) + 1)
        return self.comparison.measured[shown] if shown < len(self.comparison.measured) else None

    def _show(self) -> None:
        differences = self.query_one(Differences)
        plot = self.query_one(Plot)
        plot.display = self.comparison is not None
        if self.comparison is None:
            differences.update(Text(self._trouble, "italic"))
            return
        width = self.query_one("#compare").content_size.width
        self.query_one(Table).show(self.comparison, self._measured, self._chosen, width)
        lines = differences.show(self.comparison, width) + len(self.comparison.courses) + 4
        self._draw(plot, self.comparison)
        plot.styles.height = max(10, self.query_one("#compare").size.height - lines)

    def _draw(self, plot: Plot, comparison: Comparison) -> None:
        measured = self._measured
        log = self._is_log(measured)
        weight = SMOOTHING[self._smoothing] if measured is None else 0.0
        curves = []
        order = sorted(range(len(comparison.courses)), key=lambda i: i == self._chosen)
        for i in order:
            course = comparison.courses[i]
            line = course.training if measured is None else course.validation[measured.measure.key]
            places = [(x, p.value) for p in line if (x := p.at(self.axis)) is not None]
            faint = self._chosen is not None and i != self._chosen
            curves.append(Curve(course.letter, smooth(places, weight), style_of(course), faint))
        note = [f"smoothing {weight:g}"] if weight else []
        plot.show(
            "training loss" if measured is None else measured.measure.name,
            curves,
            log=log,
            time=self.axis == "seconds",
            note=" · ".join([*note, "log" if log else "linear"]),
            empty="none of them has any of this yet",
        )

    def _is_log(self, measured: Measured | None) -> bool:
        usual = measured is None or not measured.measure.higher_is_better
        return usual if self._log is None else self._log

    # What the keys do

    def targets(self) -> list[Run]:
        """The chosen run; all of them where none is."""
        there = [c.run for c in self.comparison.courses] if self.comparison else self.runs
        return there if self._chosen is None else there[self._chosen : self._chosen + 1]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Open needs a chosen run."""
        if action == "open":
            return True if self._chosen is not None else None
        return super().check_action(action, parameters)

    def choose(self, place: int | None) -> None:
        """Choose a run, or none; its curve stands out."""
        self._chosen = place
        self._show()
        self.refresh_bindings()

    def action_choose(self, by: int) -> None:
        """Choose the next run; after the last, none."""
        if self.comparison is not None:
            count = len(self.comparison.courses) + 1
            place = ((-1 if self._chosen is None else self._chosen) + 1 + by) % count - 1
            self.choose(place if place >= 0 else None)

    def on_table_chosen(self, event: Table.Chosen) -> None:
        """Choose the run that was clicked."""
        self.choose(None if event.place == self._chosen else event.place)

    def action_unchoose(self) -> None:
        """Choose none."""
        self.choose(None)

    def action_open(self) -> None:
        """Look at the chosen run."""
        if self._chosen is not None:
            self.maquette.open_run(self.targets()[0].id)

    def action_quantity(self) -> None:
        """Compare by another quantity."""
        self._shown, self._log = self._shown + 1, None
        self._show()

    def action_log(self) -> None:
        """Values evenly, or by their logarithm."""
        if self.comparison is not None:
            self._log = not self._is_log(self._measured)
            self._show()

    def action_smoothing(self) -> None:
        """Smooth more; after the most, not at all."""
        self._smoothing = (self._smoothing + 1) % len(SMOOTHING)
        self._show()

    def action_axis(self) -> None:
        """By steps, by time, or by tokens or images."""
        self._axis = (self._axis + 1) % len(AXES)
        self.query_one(Plot).window = None
        self._show()
        self.show_top()

    def action_zoom(self, factor: float) -> None:
        """Look closer at the end of what is seen, or from further away."""
        plot = self.query_one(Plot)
        if factor:
            plot.zoom(factor, 1.0 if plot.window is None else 0.5)
        else:
            plot.reset_zoom()

    def action_pan(self, by: float) -> None:
        """Look further to the right, or to the left."""
        self.query_one(Plot).pan(by)


def _changed(run: Run) -> object:
    """Something that differs once a run has gone on."""
    try:
        stat = run.metrics_path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns


def refused(runs: Sequence[Run]) -> str | None:
    """Why these can't be compared, as far as their number says it."""
    if len(runs) < 2:
        return "mark two runs or more with the space bar, and compare them then"
    if len(runs) > MOST:
        return f"{len(runs)} runs are too many to tell apart: {MOST} at most"
    return None
