"""One run: its figures on top, and below them tabs with everything about it."""

from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import ContentSwitcher

from maquette.errors import RunError
from maquette.forecast import forecast_run
from maquette.runs.state import State
from maquette.runs.store import Run
from maquette.serving.runs_board import row_of
from maquette.tui import figures
from maquette.tui.course import Course
from maquette.tui.curves import CurvesPane, Look, Pane
from maquette.tui.figures import Row
from maquette.tui.page import KEYS, LIVE, Page
from maquette.tui.panes import PANES, LogPane, SamplesPane
from maquette.tui.plot import number
from maquette.tui.run_figures import RunFigures, Tabs

_LOOK_SECONDS = 0.5
_CURVES_KEYS = ("quantity", "log", "log_across", "smoothing", "by_time", "zoom", "pan")


class RunScreen(Page):
    """Everything about one run."""

    TITLE_WORD: ClassVar[str] = "Run"
    ABOUT: ClassVar[str] = "one run, as it is now."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "turn(1)", "Next tab", key_display="tab", tooltip="The next tab"),
        Binding("shift+tab", "turn(-1)", "Tab before", show=False),
        *(
            Binding(str(i), f"tab({i - 1})", pane.NAME, show=False)
            for i, pane in enumerate(PANES, 1)
        ),
        *KEYS,
        Binding("n", "new", "New", show=False, tooltip="Begin a new run from this one's spec"),
        Binding("v", "quantity", "View", tooltip="Show another quantity large"),
        Binding("l", "log", "Log", tooltip="Values evenly, or by their logarithm"),
        Binding("L", "log_across", "Log across", show=False, tooltip="The same for the steps"),
        Binding("m", "smoothing", "Smooth", tooltip="Smooth the curves more, or not at all"),
        Binding("b", "by_time", "By time", tooltip="Curves by steps, or by the time of running"),
        Binding("plus,equals_sign", "zoom(1.6)", "Closer", key_display="+", show=False),
        Binding("minus", "zoom(0.625)", "Further away", key_display="-", show=False),
        Binding("0", "zoom(0)", "All of it", show=False, tooltip="Show the whole curve again"),
        Binding("left", "pan(-0.25)", "To the left", show=False),
        Binding("right", "pan(0.25)", "To the right", show=False),
        Binding("slash", "search", "Search", key_display="/", tooltip="Show lines with this text"),
        Binding("escape", "back", "Back", show=False),
    ]

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run
        self._course = Course(run)
        self._seen: Look | None = None
        self._row: Row | None = None
        self._gone = False
        self._trouble: str | None = None
        self._forecast = ""
        self._looking = False

    def body(self) -> ComposeResult:
        """Figures, the line of tabs, and what they hold."""
        yield RunFigures(id="figures")
        yield Tabs([self._tab_name(pane) for pane in PANES])
        with ContentSwitcher(initial=PANES[0].__name__):
            for pane in PANES:
                yield pane()

    def _tab_name(self, pane: type[Pane]) -> str:
        images = pane is SamplesPane and self.run.meta.unit == "images"
        return "Pictures" if images else pane.NAME

    def on_mount(self) -> None:
        """Look at the run, now and from now on."""
        super().on_mount()
        self.query_one(Tabs).choose(0)
        self._look_on()
        self.set_interval(_LOOK_SECONDS, self._look_on)

    def on_resize(self) -> None:
        """Fit what is on top to the width."""
        super().on_resize()
        self.query_one(Tabs).choose(self._place)
        self._show_figures()
        if self._seen is not None:
            self._pane.take(self._seen)

    def on_screen_resume(self) -> None:
        """Look again when it is in sight again."""
        if self.is_mounted:
            self._look_on()

    @property
    def _place(self) -> int:
        current = self.query_one(ContentSwitcher).current
        return [pane.__name__ for pane in PANES].index(current or PANES[0].__name__)

    @property
    def _pane(self) -> Pane:
        return self.query_one(f"#{PANES[self._place].__name__}", Pane)

    # Looking

    def _look_on(self) -> None:
        if self.is_current and not self._gone and not self._looking:
            self._looking = True
            self._look()

    @work(thread=True, group="look at the run")
    def _look(self) -> None:
        """Read what is new, beside the screen; one such thread at a time."""
        trouble = None
        try:
            state = self._course.state()  # first: what it knows of is in the metrics then
            new = self._course.look(state)
        except RunError as error:
            state, new, trouble = State("lost"), False, error.message
        gone = not self.run.path.is_dir()
        row = row_of(self.run, state)
        told = forecast_run(self.run, state) if not gone else None
        band = (
            "" if told is None else f"{number(told.loss)} ({number(told.low)}–{number(told.high)})"
        )
        if self.app.is_running:
            self.app.call_from_thread(self._looked, state, row, new, gone, trouble, band)

    def _looked(
        self, state: State, row: Row, new: bool, gone: bool, trouble: str | None, forecast: str
    ) -> None:
        self._looking = False
        if not self.is_attached:
            return
        before, self._forecast = self._seen, forecast
        self._gone, self._trouble = gone, trouble
        if not gone and trouble is None:
            self._seen = Look(self.run, state, self._course)
            self._row = row
        changed = before is None or before.state != state
        if self._seen is not None and (new or changed or not isinstance(self._pane, CurvesPane)):
            self._pane.take(self._seen)
        self._show_figures()
        if changed or gone:
            self.show_top()
            self.refresh_bindings()
        if self.maquette.until_end and (gone or state.status not in LIVE) and trouble is None:
            self.call_after_refresh(self.app.exit)

    def looked(self) -> None:
        """The list of runs is not what is shown here."""

    # What is on top

    def top(self) -> tuple[Text, Text]:
        """Which run it is."""
        row = self._row
        name = row["name"] if row is not None and row["name"] else self.run.id
        text = Text(figures.one_line(name), "bold")
        if name != self.run.id:
            text.append(f"  {figures.one_line(self.run.id)}", "dim")
        if row is None:
            return text, Text()
        status = figures.one_line(figures.status_of(row))
        text.append("   ").append(status, self._colour(row["status"]))
        created = figures.age(row, self.now())
        return text, Text(f"begun {created} ago " if created else "", "dim")

    def _colour(self, status: str) -> str:
        names = {"running": "success", "queued": "warning", "stopped": "warning"}
        if status == "completed":
            return "bold"
        colour = self.app.theme_variables[names.get(status, "error")]
        return f"{colour} bold reverse" if status in ("failed", "lost") else colour

    def recolour(self) -> None:
        """Write the figures and the tab in the colours of the new theme."""
        super().recolour()
        self._show_figures()
        if self._seen is not None:
            self._pane.take(self._seen)

    def _show_figures(self) -> None:
        found = self.query_one(RunFigures)
        if self._gone:
            gone = "It is gone: its folder was deleted or moved. q goes back."
            found.update(Text(gone, "bold"))
        elif self._seen is None or self._row is None:
            found.update(Text(self._trouble or ""))
        else:
            width = max(20, self.size.width - 4)
            found.show(self._seen, self._row, self._forecast, self._trouble, self.now(), width)

    # Keys

    def targets(self) -> list[Run]:
        """This run."""
        return [] if self._gone else [self.run]

    def known(self, run: Run) -> Row | None:  # noqa: ARG002 - there is but one
        """What was seen of it here, which is newer than what the list knows."""
        return self._row

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what there is something for in this tab."""
        if action in _CURVES_KEYS:
            pictures = action == "quantity" and self._draws_pictures
            return isinstance(self._pane, CurvesPane) or pictures
        if action == "search":
            return isinstance(self._pane, LogPane)
        return super().check_action(action, parameters)

    @property
    def _draws_pictures(self) -> bool:
        return isinstance(self._pane, SamplesPane) and self.run.meta.unit == "images"

    @on(Tabs.Chosen)
    def _chosen(self, event: Tabs.Chosen) -> None:
        self.action_tab(event.place)

    def action_turn(self, by: int) -> None:
        """Show the next tab, or the one before."""
        self.action_tab((self._place + by) % len(PANES))

    def action_tab(self, place: int) -> None:
        """Show a tab."""
        self.query_one(ContentSwitcher).current = PANES[place].__name__
        self.query_one(Tabs).choose(place)
        inside = self._pane.query("VerticalScroll, Log")
        self.set_focus(inside.first() if inside else None)
        if self._seen is not None:
            self._pane.take(self._seen)
        self.refresh_bindings()

    def action_new(self) -> None:
        """Begin a new run from this one's spec."""
        from maquette.tui.begin import draft_of_run
        from maquette.tui.new import NewScreen

        try:
            self.app.push_screen(NewScreen(draft_of_run(self.run)))
        except RunError as error:
            self.tell(str(error), wrong=True)

    def action_back(self) -> None:
        """Leave the search, else the screen."""
        pane = self._pane
        if not (isinstance(pane, LogPane) and pane.clear_search()):
            self.maquette.action_leave()

    def action_search(self) -> None:
        """Search the log."""
        if isinstance(self._pane, LogPane):
            self._pane.action_search()

    def action_quantity(self) -> None:
        """Show another quantity large; of an image run, draw what it gets wrong."""
        if self._draws_pictures:
            self.tell("looking at the validation images", title=f"maquette eval {self.run.id}")
            self.act("eval", str(self.run.path))
        else:
            self._curves.action_quantity()

    def action_log(self) -> None:
        """Values evenly, or by their logarithm."""
        self._curves.action_log()

    def action_log_across(self) -> None:
        """Steps evenly, or by their logarithm."""
        self._curves.action_log_across()

    def action_smoothing(self) -> None:
        """Smooth more, or not at all."""
        self._curves.action_smoothing()

    def action_by_time(self) -> None:
        """By steps, or by time."""
        self._curves.action_by_time()

    def action_zoom(self, factor: float) -> None:
        """Look closer, or from further away."""
        self._curves.action_zoom(factor)

    def action_pan(self, by: float) -> None:
        """Look to the right, or to the left."""
        self._curves.action_pan(by)

    @property
    def _curves(self) -> CurvesPane:
        return self.query_one(CurvesPane)
