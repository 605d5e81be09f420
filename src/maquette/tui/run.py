"""One run: its figures on top, and below them tabs with everything about it."""

from typing import ClassVar

from rich.text import Text
from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import ContentSwitcher, Static

from maquette.errors import RunError
from maquette.forecast import forecast_run
from maquette.quantities import format_bytes, format_count, format_duration
from maquette.runs.control import why_lost
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

_LOOK_SECONDS = 0.5
_CURVES_KEYS = ("quantity", "log", "log_across", "smoothing", "by_time", "zoom", "pan")


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
        self.update(text)

    def on_click(self, event: events.Click) -> None:
        """Choose the name under the mouse."""
        for place, end in enumerate(self._ends):
            if event.x < end:
                self.post_message(self.Chosen(place))
                return


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
        yield Static(id="figures")
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
        self.query_one("#figures", Static).update(self._figures())

    def _figures(self) -> Text:
        if self._gone:
            return Text("It is gone: its folder was deleted or moved. q goes back.", "bold")
        if self._seen is None or self._row is None:
            return Text(self._trouble or "")
        state, row, width = self._seen.state, self._row, max(20, self.size.width - 4)
        lines = [self._progress(state, row, width), *self._facts(state, row, width)]
        problem = self._trouble
        if state.error is not None:
            problem = state.error.message + (f" · {state.error.hint}" if state.error.hint else "")
        elif state.status == "lost":
            problem = f"{why_lost(state)} · r goes on with it"
        if problem:
            line = Text(f"✗ {figures.one_line(problem)}", self.app.theme_variables["error"])
            lines += line.wrap(self.app.console, width)[:2]
        return Text("\n").join(lines)

    def _progress(self, state: State, row: Row, width: int) -> Text:
        share = figures.share_of(row)
        words = [f"step {state.step:,} of {state.steps:,}"] if state.steps else []
        words += [f"epoch {state.epoch:.2f}"] if state.epoch else []
        words += [f"{figures.left(row, self.now())} left"] * bool(figures.left(row, self.now()))
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

    def _facts(self, state: State, row: Row, width: int) -> list[Text]:
        """Names and values, as many as fit into two lines."""
        pairs = []
        if state.train_loss is not None:
            pairs.append(("loss", number(state.train_loss)))
        if state.validation_loss is not None:
            pairs.append(("validation", number(state.validation_loss)))
        if state.accuracy is not None:
            pairs.append(("accuracy", f"{state.accuracy:.2%}"))
        if self._forecast:
            pairs.append(("forecast", self._forecast))
        if state.best_loss is not None:
            pairs.append(("best", f"{number(state.best_loss)} at {state.best_step:,}"))
        last = self._course.last
        if last is not None:
            pairs.append(("learning rate", number(last.learning_rate)))
            pairs.append(("gradient norm", number(last.gradient_norm)))
        pairs += [("speed", figures.speed(row))] * bool(figures.speed(row))
        pairs.append(("took", format_duration(state.elapsed_seconds(self.now()))))
        device = [row["device"], state.precision or "", "compiled" if state.compiled else ""]
        pairs.append(("on", ", ".join(word for word in device if word)))
        if state.parameters:
            pairs.append(("parameters", format_count(state.parameters)))
        pairs += self._telemetry(state)
        return _flow(pairs, width, self.app.theme_variables["muted"], lines=2)

    def _telemetry(self, state: State) -> list[tuple[str, str]]:
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
