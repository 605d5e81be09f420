"""The list of runs."""

import time
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Input, Static

from maquette.runs.store import Run
from maquette.tui import figures
from maquette.tui.figures import Row
from maquette.tui.page import KEYS, Page
from maquette.tui.plot import Curve, Plot
from maquette.tui.table import BY_KEY, COLUMNS, Heading, RunsTable

_WELCOME = """\
No runs yet.

A run is one training: a folder with everything about it. They are looked for in

    {folder}

Begin one in another terminal, and it shows up here:

    maquette demo{option}
        a minute or two on a laptop: a small model learns to tell stories

    maquette train stories -d{option}
        a longer one, in the background
"""


class RunsScreen(Page):
    """All runs: sorted, filtered, grouped, marked."""

    TITLE_WORD: ClassVar[str] = "Runs"
    ABOUT: ClassVar[str] = "all runs of this folder, as they are now."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", key_display="/", tooltip="Show those with this text"),
        Binding("space", "mark", "Mark", tooltip="Mark it: keys act on all that are marked"),
        *KEYS,
        Binding("c", "compare", "Compare", tooltip="Lay the marked runs side by side"),
        Binding("n", "new", "New", tooltip="Begin a new run, from a preset or a spec"),
        Binding("o", "sort(1)", "Sort", tooltip="Sort by the next column"),
        Binding("O", "turn", "Turn", show=False, tooltip="Turn the order round"),
        Binding("g", "group", "Group", tooltip="Group by state"),
        Binding("A", "archived", "Archived", show=False, tooltip="Show those put away, or not"),
        Binding("q", "app.leave", "Quit", tooltip="Quit; what runs goes on"),
        Binding("escape", "clear", "Clear", show=False, tooltip="No filter and no marks"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._wanted = ""
        self._marked: frozenset[str] = frozenset()
        self._sort, self._turned = "age", False
        self._grouped = False
        self._archived = False

    def body(self) -> ComposeResult:
        """The filter, hidden at first, the table, and what is said where there are no runs."""
        yield Input(placeholder="text in a run's name, state or device", id="filter")
        yield RunsTable(id="runs")
        with Horizontal(id="preview"):
            yield Static(id="preview-facts")
            yield Plot(id="preview-plot")
        with VerticalScroll(id="welcome"):
            yield Static(id="welcome-text")

    def on_mount(self) -> None:
        """Begin in the table."""
        super().on_mount()
        self.query_one("#filter").display = False
        self.query_one("#welcome").display = False
        self.query_one(RunsTable).focus()

    def looked(self) -> None:
        """Show the runs as they are now."""
        self._show()
        super().looked()

    def recolour(self) -> None:
        """Write the chosen run at a glance in the colours of the new theme."""
        super().recolour()
        self._show()

    def _show(self) -> None:
        table = self.query_one(RunsTable)
        rows = self._shown()
        ids = {row["id"] for row in self.maquette.rows}
        self._marked &= ids
        table.marked = self._marked
        table.sorted_by, table.reverse = self._sort, self._turned
        table.fill(self._lines(rows), now=time.time())
        self._preview()
        empty = not rows
        table.display = not empty
        self.query_one("#welcome").display = empty
        if empty:
            self.query_one("#welcome-text", Static).update(Text(self._nothing()))

    def _nothing(self) -> str:
        """Why the table is empty, and what to do about it."""
        app = self.maquette
        if app.trouble is not None:
            return f"The runs can't be listed.\n\n    {app.trouble}\n\nThis goes on trying."
        if self._wanted:
            return f"No run has {self._wanted!r} in its name, state or device.\n\nEsc clears that."
        if app.rows:
            return f"All {len(app.rows)} runs are put away.\n\nA shows them."
        return _WELCOME.format(folder=app.store.root, option=app.store.option)

    def _shown(self) -> list[Row]:
        wanted = self._wanted.lower()
        return [
            row
            for row in self.maquette.rows
            if (self._archived or not row["archived"])
            and wanted in f"{row['id']} {row['name']} {row['status']} {row['device']}".lower()
        ]

    def _lines(self, rows: list[Row]) -> list[Row | Heading]:
        column = BY_KEY[self._sort]
        rows = sorted(rows, key=column.value, reverse=self._turned)
        if not self._grouped:
            return list(rows)
        lines: list[Row | Heading] = []
        for status in sorted({row["status"] for row in rows}, key=list(figures.SYMBOLS).index):
            group = [row for row in rows if row["status"] == status]
            lines += [Heading(f"{figures.SYMBOLS[status]} {status}  {len(group)}"), *group]
        return lines

    def top(self) -> tuple[Text, Text]:
        """How many runs there are, and how many of each state that wants attention."""
        rows = [row for row in self.maquette.rows if self._archived or not row["archived"]]
        text = Text()
        counts = {status: sum(r["status"] == status for r in rows) for status in figures.SYMBOLS}
        for status in ("running", "queued", "failed", "lost"):
            if counts[status]:
                variable = {"running": "success", "queued": "warning"}.get(status, "error")
                colour = self.app.theme_variables[variable]
                text.append(f" {figures.SYMBOLS[status]} {counts[status]} {status} ", colour)
        if self._marked:
            text.append(f" ✓ {len(self._marked)} marked ", "bold")
        if self._wanted:
            text.append(f" /{self._wanted} ", "italic")
        count = f"{len(rows)} run{'s' * (len(rows) != 1)}"
        place = f"{count} in {_short(str(self.maquette.store.root))} "
        room = self.size.width - len(self.TITLE_WORD) - text.cell_len - 18
        return text, Text(place if len(place) <= room else f"{count} ", "dim")

    def targets(self) -> list[Run]:
        """Those that are marked, or the one under the cursor."""
        root = self.maquette.store.root
        if self._marked:
            ids = [row["id"] for row in self.maquette.rows if row["id"] in self._marked]
        else:
            row = self.query_one(RunsTable).row
            ids = [row["id"]] if row is not None else []
        return [Run(root / run_id) for run_id in ids]

    @on(RunsTable.Opened)
    def _open(self, event: RunsTable.Opened) -> None:
        self.maquette.open_run(event.run_id)

    @on(RunsTable.Moved)
    def _moved(self) -> None:
        self.refresh_bindings()
        self._preview()

    def on_resize(self) -> None:
        """Look at the chosen run where the table leaves room for it."""
        super().on_resize()
        self._preview()

    def _preview(self) -> None:
        """The chosen run at a glance."""
        row = self.query_one(RunsTable).row
        preview = self.query_one("#preview")
        preview.display = row is not None and self.size.height >= 28 and self.size.width >= 80
        if row is None or not preview.display:
            return
        self.query_one("#preview-facts", Static).update(self._facts(row), layout=False)
        # The places that the course was read at are about evenly spaced.
        course = row.get("curve") or []
        stride = row["step"] / max(1, len(course) - 1)
        points = [(i * stride, loss) for i, loss in enumerate(course) if loss is not None]
        plot = self.query_one("#preview-plot", Plot)
        plot.show("loss", [Curve("", points)] if points else [], log=True, empty="no steps yet")

    def _facts(self, row: Row) -> Text:
        colours = self.app.theme_variables
        text = Text(overflow="fold")
        text.append(f"{figures.one_line(row['name'] or row['id'])}\n", "bold")
        if row["name"]:
            text.append(f"{figures.one_line(row['id'])}\n", colours["muted"])
        text.append(f"{figures.one_line(figures.status_of(row))}\n\n", _tone(row, colours))
        ahead = figures.left(row, time.time())
        pairs = [
            ("step", f"{row['step']:,} of {row['steps']:,}" if row["steps"] else ""),
            ("loss", figures.loss(row["train_loss"])),
            ("validation", figures.loss(row["validation_loss"])),
            ("accuracy", "" if row["accuracy"] is None else f"{row['accuracy']:.2%}"),
            ("speed", figures.speed(row)),
            ("left", ahead),
            ("on", figures.one_line(row["device"])),
        ]
        for name, value in pairs:
            if value:
                text.append(f"{name:<12}", colours["muted"]).append(f"{value}\n")
        if row["error"]:
            text.append(f"✗ {figures.one_line(row['error'])}", colours["error"])
        return text

    @on(RunsTable.SortAsked)
    def _sort_by(self, event: RunsTable.SortAsked) -> None:
        self._turned = self._sort == event.key and not self._turned
        self._sort = event.key
        self._show()

    def action_sort(self, by: int) -> None:
        """Sort by the next column."""
        keys = [column.key for column in COLUMNS if column.key != "curve"]
        self._sort, self._turned = keys[(keys.index(self._sort) + by) % len(keys)], False
        self._show()

    def action_turn(self) -> None:
        """Turn the order round."""
        self._turned = not self._turned
        self._show()

    def action_group(self) -> None:
        """Group by state, or not."""
        self._grouped = not self._grouped
        self._show()

    def action_archived(self) -> None:
        """Show the runs that are put away, or not."""
        self._archived = not self._archived
        self._show()
        self.show_top()

    def action_mark(self) -> None:
        """Mark the run under the cursor, or take its mark away, and go on to the next."""
        table = self.query_one(RunsTable)
        if table.row is not None:
            self._marked ^= {table.row["id"]}
            table.marked = self._marked
            table.action_move(1)
            table.refresh()
            self.looked()

    def action_compare(self) -> None:
        """Lay the marked runs side by side."""
        from maquette.tui.compare import CompareScreen, refused

        runs = self.targets()
        if (why := refused(runs)) is not None:
            self.tell(why, wrong=True)
        else:
            self.app.push_screen(CompareScreen(runs))

    def action_new(self) -> None:
        """Begin a new run, from a preset or a spec."""
        from maquette.tui.begin import Begin
        from maquette.tui.draft import Draft
        from maquette.tui.new import NewScreen

        def begin(draft: Draft | None) -> None:
            if draft is not None:
                self.app.push_screen(NewScreen(draft))

        self.app.push_screen(Begin(), begin)

    def action_filter(self) -> None:
        """Type what the runs shown have in common."""
        line = self.query_one("#filter", Input)
        line.display = True
        line.focus()

    @on(Input.Changed, "#filter")
    def _filter(self, event: Input.Changed) -> None:
        self._wanted = event.value.strip()
        self._show()
        self.show_top()

    @on(Input.Submitted, "#filter")
    def _filtered(self) -> None:
        self.query_one("#filter").display = bool(self._wanted)
        self.query_one(RunsTable).focus()

    def action_clear(self) -> None:
        """Show all again, and mark none."""
        line = self.query_one("#filter", Input)
        line.value = ""
        line.display = False
        self._marked = frozenset()
        self.query_one(RunsTable).focus()
        self.looked()


def _tone(row: Row, colours: dict[str, str]) -> str:
    tones = {"running": "success", "queued": "warning", "stopped": "warning"}
    tones |= {"failed": "error", "lost": "error"}
    return colours[tones.get(row["status"], "foreground")]


def _short(path: str) -> str:
    """The path with `~` for the home folder, as shells write it."""
    from pathlib import Path

    home = str(Path.home())
    return f"~{path[len(home) :]}" if path.startswith(f"{home}/") else path
