"""Compare: what it shows of several runs, against what the comparison itself says."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot

from maquette.comparison import compare
from maquette.events import Evaluated, to_row
from maquette.runs.store import Run, Store
from maquette.spec.load import parse_spec
from maquette.tui.compare import CompareScreen
from maquette.tui.plot import Plot
from maquette.tui.run import RunScreen
from tests.tui.pilots import hides, play, screen, shows, until, widths
from tests.tui.scenes import make_run, workshop

SPECS = {
    "stories-calm-otter": "train: {steps: 1000, learning_rate: 1.0e-3}",
    "notes-chat-misty-raven": "train: {steps: 1000, learning_rate: 3.0e-3}",
    "primer-warm-fjord": "data: {sources: {a: {kind: files, path: '[/x] 🙂'}}}",
}


def give_specs(store: Store, specs: dict[str, str]) -> None:
    """Write specs that differ into some of the runs."""
    for run_id, text in specs.items():
        path = store.root / run_id / "meta.json"
        meta = json.loads(path.read_text())
        meta["spec"] = parse_spec(f"name: x\n{text}", origin="spec").model_dump(mode="json")
        path.write_text(json.dumps(meta))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with workshop(tmp_path_factory.mktemp("workshop") / "runs") as store:
        give_specs(store, SPECS)
        yield store


async def opened(pilot: Pilot[None], store: Store, *ids: str) -> CompareScreen:
    page = CompareScreen([Run(store.root / run_id) for run_id in ids or SPECS])
    await pilot.app.push_screen(page)
    await until(pilot, lambda: page.comparison, "the comparison")
    return page


def test_marked_runs_are_laid_side_by_side(store: Store) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, "stories-calm-otter")
        await pilot.press("c")
        await shows(pilot, "mark two runs or more")
        await pilot.press("down", "space", "space", "c")
        await until(pilot, lambda: isinstance(pilot.app.screen, CompareScreen))
        await shows(pilot, "2 runs", "best")
        await pilot.press("q")
        await shows(pilot, "2 marked")

    play(store, script)


def test_its_values_are_those_of_the_comparison(store: Store) -> None:
    expected = compare([Run(store.root / run_id) for run_id in SPECS])

    async def script(pilot: Pilot[None]) -> None:
        await opened(pilot, store)
        await shows(pilot, "B notes-chat-misty-raven", "what differs")
        lines = screen(pilot).splitlines()
        best = [f"{p.value:.4f}" if p else "-" for p in expected.measured[0].best]
        for letter, run_id, value in zip("ABC", SPECS, best, strict=True):
            line = next(line for line in lines if f"{letter} {run_id}" in line)
            assert value in line
        assert f"{best[1]}*" in screen(pilot), "the least loss is marked"
        line = next(line for line in lines if "train.learning_rate" in line)
        assert line.split() == ["train.learning_rate", "0.001", "0.003", "0.001"]
        shown = {line.split()[0] for line in lines[lines.index(lines[-1]) - 30 :] if line.strip()}
        assert {key for key in expected.differences if key.startswith("train.")} <= shown
        assert "[/x] 🙂" in screen(pilot)

    play(store, script, size=(140, 60))


def test_another_quantity_another_axis_and_a_closer_look(store: Store) -> None:
    async def script(pilot: Pilot[None]) -> None:
        page = await opened(pilot, store)
        plot = page.query_one(Plot)
        await pilot.press("v")
        await shows(pilot, "training loss", "smoothing 0.9")
        await pilot.press("m", "l")
        await shows(pilot, "smoothing 0.98", "linear")
        await pilot.press("b")
        await shows(pilot, "by time")
        await pilot.press("plus")
        await until(pilot, lambda: plot.window)
        await pilot.press("left", "0")
        await until(pilot, lambda: not plot.window)
        await pilot.press("v", "b")
        await shows(pilot, "validation loss", "by amount seen")

    play(store, script, size=(120, 40))


def test_the_chosen_run_stands_out_and_keys_act_on_it(store: Store) -> None:
    async def script(pilot: Pilot[None]) -> None:
        page = await opened(pilot, store)
        assert len(page.targets()) == 3
        await pilot.press("tab", "tab")
        await shows(pilot, "▌ B notes-chat")
        assert [run.id for run in page.targets()] == ["notes-chat-misty-raven"]
        assert [curve.name for curve in page.query_one(Plot)._curves if not curve.faint] == ["B"]
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen))
        await pilot.press("q")
        await until(pilot, lambda: pilot.app.screen is page)
        await pilot.press("tab", "tab")
        await hides(pilot, "▌")
        await pilot.press("shift+tab", "escape")
        await hides(pilot, "▌")
        await pilot.click("#values", offset=(4, 1))
        await shows(pilot, "▌ A stories")

    play(store, script, size=(120, 40))


def test_what_goes_on_is_followed_and_what_is_deleted_is_told(tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    first = make_run(store, "one-calm-otter", step=40, steps=100)
    make_run(store, "two-calm-otter", step=100, steps=100, seed=2)

    async def script(pilot: Pilot[None]) -> None:
        page = await opened(pilot, store, "one-calm-otter", "two-calm-otter")
        await shows(pilot, "at 40")
        row = {"at": time.time(), **to_row(Evaluated(60, "validation", 0.5, best=True))}
        with first.metrics_path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        page._next_look = 0.0
        await shows(pilot, "0.5000*", "at 60")
        shutil.rmtree(first.path)
        page._next_look = 0.0
        await shows(pilot, "deleted meanwhile")
        assert "0.5000*" in screen(pilot), "what was known of them stays"

    play(store, script, size=(120, 40))


@pytest.mark.parametrize(("size", "dark"), [((60, 20), True), ((200, 60), False)])
def test_eight_runs_at_any_size(store: Store, size: tuple[int, int], dark: bool) -> None:
    async def script(pilot: Pilot[None]) -> None:
        # The queued one is of images: tasks don't mix.
        ids = [run.id for run in map(Run, store.paths()) if "cifar" not in run.id]
        page = await opened(pilot, store, *ids)
        await shows(pilot, "H ")
        assert widths(pilot) == {size[0]}
        await pilot.press("end")
        await shows(pilot, "data.sources.a.path")
        await pilot.resize_terminal(70, 25)
        await until(pilot, lambda: widths(pilot) == {70})
        assert page.comparison is not None

    play(store, script, size=size, dark=dark)


def test_tasks_that_dont_mix_and_no_colours(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def script(pilot: Pilot[None]) -> None:
        runs = [Run(store.root / name) for name in ("cifar10-neat-ivy", "primer-warm-fjord")]
        await pilot.app.push_screen(CompareScreen(runs))
        await shows(pilot, "losses of different tasks don't compare")
        await pilot.press("v", "l", "m", "b", "tab", "plus", "enter", "q")

    play(store, script)
