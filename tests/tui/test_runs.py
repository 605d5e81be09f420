"""The list of runs: what it shows of which folder, sorted, filtered, grouped and marked."""

from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from maquette.runs.store import Store
from maquette.tui.runs import RunsScreen
from maquette.tui.table import COLUMNS, Heading, RunsTable, fit
from tests.tui.pilots import hides, play, screen, shows, until
from tests.tui.scenes import make_run


def listed(pilot: Pilot[None]) -> list[str]:
    lines = pilot.app.screen.query_one(RunsTable).lines
    return [f"= {line.text}" if isinstance(line, Heading) else line["id"] for line in lines]


def test_every_run_is_listed_with_how_it_does(shop: Store) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, "stories-calm-otter", "● running", "✗ failed", "? lost", "◌ queued")
        text = screen(pilot)
        line = next(line for line in text.splitlines() if "stories-calm-otter" in line)
        assert "64%" in line
        assert "640/1,000" in line
        assert "31.4k tok/s" in line
        assert "█" in line  # the course of its loss
        assert "notes, second try  notes-chat-misty-raven" in text
        assert "primer-rosy-wren" not in text, "that is put away"
        assert "98.4%" in text, "of images the accuracy"
        top = text.splitlines()[0]
        assert "● 2 running" in top
        assert "9 runs" in top

    play(shop, script, size=(170, 30))


def test_no_runs(tmp_path: Path) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, "No runs yet", str(tmp_path / "runs"), "maquette demo")
        await pilot.press("enter", "space", "s", "r", "d", "a", "e", "E", "x", "f", "y", "g", "o")
        await shows(pilot, "No runs yet")

    play(Store(tmp_path / "runs"), script)


def test_a_folder_that_cant_be_read_is_told_and_looked_at_again(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("no folder")
    store = Store(tmp_path / "runs")

    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, "can't be listed")
        (tmp_path / "runs").unlink()
        await shows(pilot, "No runs yet")
        make_run(store, "late-calm-otter", step=3, steps=3)
        await shows(pilot, "late-calm-otter", "1 run")

    play(store, script)


def test_five_hundred_runs(tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    first = make_run(store, "many-calm-otter", step=0, steps=9)
    for i in range(499):
        folder = store.root / f"many-{'abcdefghij'[i % 10] * 3}-run-{i}"
        folder.mkdir()
        for name in ("meta.json", "state.json"):
            (folder / name).write_bytes((first.path / name).read_bytes())

    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, "500 runs")
        await pilot.press("end")
        table = pilot.app.screen.query_one(RunsTable)
        assert table.cursor == 499
        last = table.row
        assert last is not None
        await shows(pilot, last["id"])
        await pilot.press("home")
        assert table.cursor == 0
        await pilot.press("slash", *"run-77")
        await shows(pilot, "many-hhh-run-77")
        assert listed(pilot) == ["many-hhh-run-77"]

    play(store, script)


def test_sorting_by_keys_and_by_the_heading(shop: Store) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, "stories-calm-otter")
        assert listed(pilot)[0] == "cifar10-quiet-cedar", "the newest first"
        await pilot.press("O")
        assert listed(pilot)[-1] == "cifar10-quiet-cedar"
        await pilot.press("o")  # comes round to the first column: the name
        assert listed(pilot)[:2] == ["cifar10-neat-ivy", "cifar10-quiet-cedar"]
        heading = screen(pilot).splitlines()[1]
        assert await pilot.click(RunsTable, offset=(heading.index("loss"), 0))
        assert listed(pilot)[0] == "cifar10-neat-ivy"
        assert listed(pilot)[-1] == "cifar10-quiet-cedar", "what has no loss comes last"
        assert await pilot.click(RunsTable, offset=(heading.index("loss"), 0))
        assert listed(pilot)[-1] == "cifar10-neat-ivy", "a second click turns it round"

    play(shop, script, size=(140, 30))


def test_groups_have_headings_that_the_cursor_passes_over(shop: Store) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, "stories-calm-otter")
        await pilot.press("g")
        lines = listed(pilot)
        assert lines[0] == "= ◌ queued  1"
        assert lines[2] == "= ● running  2"
        assert [line for line in lines if line.startswith("=")][-1] == "= ? lost  1"
        table = pilot.app.screen.query_one(RunsTable)
        await pilot.press("home")
        seen = set()
        for _ in lines:
            assert table.row is not None
            seen.add(table.row["id"])
            await pilot.press("down")
        assert len(seen) == 9

    play(shop, script)


def test_a_filter_is_typed_and_cleared(shop: Store) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, "stories-calm-otter")
        await pilot.press("slash", *"lost")
        await hides(pilot, "stories-calm-otter")
        assert listed(pilot) == ["wikitext-brave-fern"]
        await pilot.press("enter")
        assert isinstance(pilot.app.focused, RunsTable)
        await pilot.press("escape")
        assert len(listed(pilot)) == 9
        await pilot.press("slash", *"second try", "escape")
        assert len(listed(pilot)) == 9
        await pilot.press("slash", *"nothing like it")
        await shows(pilot, "No run has 'nothing like it'")

    play(shop, script)


def test_marked_runs_are_what_the_keys_act_on(shop: Store) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, "stories-calm-otter")
        page = pilot.app.screen
        assert isinstance(page, RunsScreen)
        assert [run.id for run in page.targets()] == ["cifar10-quiet-cedar"]
        await pilot.press("down", "space", "space")
        assert [run.id for run in page.targets()] == ["notes-chat-bold-heron", "stories-calm-otter"]
        await shows(pilot, "✓ 2 marked")
        await pilot.press("escape")
        await hides(pilot, "marked")

    play(shop, script)


def test_those_put_away_are_shown_on_demand(shop: Store) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, "stories-calm-otter")
        await pilot.press("A")
        await shows(pilot, "primer-rosy-wren put away", "10 runs")
        await pilot.press("A")
        await hides(pilot, "primer-rosy-wren")

    play(shop, script, size=(150, 30))


def test_a_run_is_opened_by_enter_and_by_the_mouse(shop: Store) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, "stories-calm-otter")
        await pilot.press("down", "enter")
        await shows(pilot, "Run  notes-chat-bold-heron")
        await pilot.press("q")
        await shows(pilot, "9 runs")
        assert await pilot.click(RunsTable, offset=(10, 3))
        assert await pilot.click(RunsTable, offset=(10, 3))
        await shows(pilot, "Run  stories-calm-otter")

    play(shop, script)


def test_a_run_deleted_while_it_is_listed_goes_and_the_cursor_stays_in_the_list(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path / "runs")
    for i, name in enumerate(("one-calm-otter", "two-calm-otter", "three-calm-otter")):
        make_run(store, name, step=2, steps=2, seconds_ago=1000.0 * i)

    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, "three-calm-otter")
        await pilot.press("end", "up")
        store.find("two-calm-otter").remove()
        await hides(pilot, "two-calm-otter")
        assert listed(pilot) == ["one-calm-otter", "three-calm-otter"]
        row = pilot.app.screen.query_one(RunsTable).row
        assert row is not None

    play(store, script)


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 120, 160, 300])
def test_columns_fit_whatever_the_width(width: int) -> None:
    columns = fit(width)
    total = 3 + sum(size for _, size in columns) + 2 * (len(columns) - 1)
    assert total <= width or [column.key for column, _ in columns] == ["run"]
    chosen = [column for column, _ in columns]
    assert chosen == [column for column in COLUMNS if column in chosen], "in their order"
    if width >= 60:
        assert {"run", "status", "loss", "judged"} <= {column.key for column, _ in columns}


def test_the_filter_is_the_only_input_of_this_screen(shop: Store) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: pilot.app.screen.query(Input))
        assert [line.id for line in pilot.app.screen.query(Input)] == ["filter"]

    play(shop, script)
