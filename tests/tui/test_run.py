"""One run: what the tabs show, and that nothing in its folder brings them down."""

import json
import math
import shutil
from pathlib import Path

import pytest
from PIL import Image
from textual import events
from textual.keys import _character_to_key
from textual.pilot import Pilot
from textual.widgets import Input, Log

from maquette.events import StepDone, to_row
from maquette.runs.label import Label
from maquette.runs.store import Run, Store
from maquette.tui.curves import CurvesPane
from maquette.tui.panes import outline
from maquette.tui.plot import Plot
from maquette.tui.table import RunsTable
from tests.tui.pilots import hides, play, screen, shows, until
from tests.tui.scenes import hold, make_run


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def large(pilot: Pilot[None]) -> Plot:
    return pilot.app.screen.query_one("#large", Plot)


def test_a_running_one_with_all_its_tabs(shop: Store) -> None:
    run = shop.find("stories-calm-otter")

    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, "64%", "step 640 of 1,000", "training", "validation 1.767")
        text = screen(pilot)
        for name in ("learning rate", "gradient norm", "31.4k tok/s", "cpu, float32", "CPU 187%"):
            assert name in text
        await pilot.press("2")
        await shows(pilot, "step 600", "“It is mine,” said the otter")
        await pilot.press("tab")
        await shows(pilot, "step 640: all is well")
        await pilot.press("4")
        await shows(pilot, "name: stories", "# my own")
        await pilot.press("5")
        await shows(pilot, "  depth: 6")
        await pilot.press("6")
        await shows(pilot, "best so far", "49.1 KiB")
        await pilot.press("7")
        await shows(pilot, "maquette train stories.yaml -d")
        await pilot.press("shift+tab", "shift+tab")
        await shows(pilot, "  depth: 6")

    play(shop, script, only=run, size=(130, 40))


def test_tabs_are_clicked(shop: Store) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, "1 Curves", "7 Facts")
        line = next(line for line in screen(pilot).splitlines() if "1 Curves" in line)
        assert await pilot.click("#tabs", offset=(line.index("6 Check"), 0))
        await shows(pilot, "best so far")

    play(shop, script, only=shop.find("stories-calm-otter"))


def test_every_quantity_on_every_axis(shop: Store) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, "training", "smoothing 0.9 · log")
        seen = set()
        for _ in range(5):
            await pilot.press("v")
            await pilot.pause()
            seen.add(large(pilot)._title)
        names = {"loss", "loss by source", "learning rate", "gradient norm", "throughput"}
        assert seen == names
        await pilot.press("l")
        await shows(pilot, "linear")
        await pilot.press("m")
        await shows(pilot, "smoothing 0.98")
        await pilot.press("m")
        await shows(pilot, "as it is")
        await pilot.press("b")
        await shows(pilot, "1min")
        await pilot.press("L")
        await shows(pilot, "log across")

    play(shop, script, only=shop.find("stories-calm-otter"), size=(100, 24))


def test_zooming_by_keys_and_by_the_wheel(shop: Store) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, "training")
        plot = large(pilot)

        def window() -> tuple[float, float] | None:
            return plot.window

        await pilot.press("plus")
        low, high = window() or (0, 0)
        assert 200 < low < 300
        assert high == 640
        await pilot.press("left")
        assert (window() or (math.inf,))[0] < low
        await pilot.press("minus", "minus", "minus")
        assert window() is None
        await pilot.press("plus", "0")
        assert window() is None
        await pilot._post_mouse_events([_wheel()], plot, (50, 5))
        assert window() is not None

    play(shop, script, only=shop.find("stories-calm-otter"), size=(100, 24))


def _wheel() -> type:
    from textual.events import MouseScrollUp

    return MouseScrollUp


def test_the_plot_tells_what_is_under_the_mouse(shop: Store) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, "training")
        assert await pilot.hover(Plot, offset=(60, 5))
        await shows(pilot, "loss  at ")

    play(shop, script, only=shop.find("stories-calm-otter"), size=(100, 24))


def test_accuracy_and_pictures_of_an_image_run(shop: Store) -> None:
    run = shop.find("cifar10-neat-ivy")
    (run.path / "pictures").mkdir(exist_ok=True)
    Image.new("RGB", (40, 40), (200, 30, 30)).save(run.path / "pictures" / "mistakes.png")
    (run.path / "pictures" / "torn.png").write_bytes(b"\x89PNG\r\n")

    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, "accuracy 98.35%", "2 Pictures")
        await pilot.press("v")
        await pilot.pause()
        assert large(pilot)._title == "accuracy"
        await pilot.press("2")
        await shows(pilot, "mistakes.png", "▀" * 40, "torn.png can't be shown")

    play(shop, script, only=run, size=(100, 50))


def test_a_failed_and_a_lost_one_say_why(shop: Store) -> None:
    async def failed(pilot: Pilot[None]) -> None:
        await shows(pilot, "✗ failed", "✗ out of memory on cuda:0 at step 212 · try a smaller")

    async def lost(pilot: Pilot[None]) -> None:
        await shows(pilot, "? lost", "its process was killed")

    play(shop, failed, only=shop.find("gpt2-small-bold-lynx"))
    play(shop, lost, only=shop.find("wikitext-brave-fern"))


def test_one_that_waits_in_the_queue(shop: Store) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, "◌ queued", "no steps yet: queued")
        for key in "234567":
            await pilot.press(key)
        await shows(pilot, "created")

    play(shop, script, only=shop.find("cifar10-quiet-cedar"))


def test_what_is_added_is_shown(store: Store) -> None:
    run = make_run(store, "live-calm-otter", "running", step=30, steps=100)

    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, "step 30 of 100")
        pane = pilot.app.screen.query_one(CurvesPane)
        row = to_row(StepDone(31, 0.1, 31 * 8192, 1.25, 1e-3, 0.5, 0.25))
        with run.metrics_path.open("a") as file:
            file.write(json.dumps({"at": 1.7e9, **row}) + "\n" + '{"at": 1.7e9, "event": "st')
        state = json.loads(run.state_path.read_text())
        run.state_path.write_text(json.dumps({**state, "step": 31, "train_loss": 1.25}))
        await shows(pilot, "step 31 of 100", "loss 1.250")
        assert pane._look is not None
        assert pane._look.course.steps[-1].loss == 1.25

    with hold(run):
        play(store, script, only=run)


def test_the_log_follows_and_is_searched(store: Store) -> None:
    run = make_run(store, "live-calm-otter", "running", step=3, steps=100)
    run.log_path.write_text("".join(f"line {i}\n" for i in range(200)))

    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, "step 3 of 100")
        await pilot.press("3")
        await shows(pilot, "line 199")
        with run.log_path.open("ab") as file:
            file.write("caf\xe9 \x1b[31m [bold]markup 🦦\nhalf a l".encode())
        await shows(pilot, "caf\xe9  [31m [bold]markup 🦦")
        with run.log_path.open("ab") as file:
            file.write(b"ine\n")
        await shows(pilot, "half a line")
        await pilot.press("slash", *"line 17")
        await shows(pilot, "line 179", "11 of 202 lines")
        await hides(pilot, "line 199")
        await pilot.press("enter")
        assert isinstance(pilot.app.focused, Log)
        await pilot.press("escape")
        await shows(pilot, "half a line")

    with hold(run):
        play(store, script, only=run)


def test_one_deleted_while_it_is_shown(store: Store) -> None:
    run = make_run(store, "gone-calm-otter", step=30, steps=30)

    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, "gone-calm-otter")
        await pilot.press("enter")
        await shows(pilot, "step 30 of 30")
        shutil.rmtree(run.path)
        await shows(pilot, "It is gone")
        for key in ("1", "2", "3", "4", "5", "6", "7", "s", "r", "d", "v", "l", "plus", "f"):
            await pilot.press(key)
        await shows(pilot, "It is gone")
        await pilot.press("q")
        await shows(pilot, "No runs yet")

    play(store, script)


DAMAGES: dict[str, dict[str, str | None]] = {
    "state.json is no JSON": {"state.json": "{half"},
    "state.json is a list": {"state.json": "[1, 2]"},
    "no state.json": {"state.json": None},
    "meta.json is no JSON": {"meta.json": "\x00\x01"},
    "metrics of bytes": {"metrics.jsonl": "\x00\xff{}\n[]\n{}\nnull\n" * 20},
    "no metrics": {"metrics.jsonl": None},
    "no log": {"worker.log": None},
    "blueprint.json is no JSON": {"blueprint.json": "[[[["},
    "no blueprint, no spec": {"blueprint.json": None, "spec.yaml": None},
    "everything is empty": dict.fromkeys(
        ("state.json", "meta.json", "metrics.jsonl", "worker.log", "blueprint.json", "spec.yaml"),
        "",
    ),
}


def test_damaged_files_bring_nothing_down(store: Store) -> None:
    """Each run is opened and every tab of it looked at."""
    runs = []
    for i, damage in enumerate(DAMAGES.values()):
        run = make_run(store, f"torn-calm-otter-{i}", step=5, steps=60, seconds_ago=100 + i * 50)
        for name, text in damage.items():
            (run.path / name).unlink()
            if text is not None:
                (run.path / name).write_text(text, encoding="latin-1")
        runs.append(run)

    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, *(run.id for run in runs))
        for run in runs:
            pilot.app.screen.query_one(RunsTable).choose(run.id)
            await pilot.press("enter")
            await shows(pilot, f"Run  {run.id}")
            for key in "234567":
                await pilot.press(key)
            await shows(pilot, "folder")
            await pilot.press("q")
            await shows(pilot, "10 runs")

    play(store, script)


def test_numbers_that_are_none(store: Store) -> None:
    run = make_run(store, "nan-calm-otter", step=40, steps=60)
    rows = [json.loads(line) for line in run.metrics_path.read_text().splitlines()]
    for row in rows:
        if row["event"] == "step" and row["step"] > 20:
            row["loss"] = row["gradient_norm"] = None
    text = "\n".join(json.dumps(row) for row in rows)
    run.metrics_path.write_text(text.replace("null", "NaN", 5) + "\n")
    state = json.loads(run.state_path.read_text())
    run.state_path.write_text(json.dumps({**state, "train_loss": math.nan, "eta_seconds": 1e300}))

    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, "nan-calm-otter")
        await pilot.press("enter")
        await shows(pilot, "not finite", "training")
        for key in ("v", "l", "m", "b", "L", "v", "v", "v", "plus", "7"):
            await pilot.press(key)
        await shows(pilot, "folder")

    play(store, script, size=(120, 40))


NAMES = ["[bold]loud[/bold]", "[/] \\[", "[@click=app.quit]x[/]", "🦦🦦 été 日本語", "a" * 80]


def test_names_are_shown_as_they_are(store: Store) -> None:
    for i, name in enumerate(NAMES):
        run = make_run(store, f"tiny-calm-otter-{i}", step=3, steps=3, label=Label(name))
        run.spec_path.write_text(f"name: tiny # {name}\n[red]")
        (run.samples_path / "step-00000003.txt").write_text(f"{name} {'long ' * 3000}")
        run.log_path.write_text(f"{name}\n")

    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, *(name[:18] for name in NAMES))
        for i, name in enumerate(NAMES):
            pilot.app.screen.query_one(RunsTable).choose(f"tiny-calm-otter-{i}")
            await pilot.press("enter")
            await shows(pilot, f"Run  {name[:40]}")
            for key in ("2", "4", "3"):
                await pilot.press(key)
                await shows(pilot, name[:40])
            await pilot.press("f")
            await shows(pilot, "its folder, copied")
            await pilot.press("q")
            await shows(pilot, "5 runs")

    play(store, script)


def test_ids_of_folders_that_we_did_not_make(store: Store) -> None:
    run = make_run(store, "tiny-calm-otter", step=3, steps=3)
    strange = "[red]x\n\x1b[2J🦦"
    run.path.rename(store.root / strange)

    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, "[red]x\N{REPLACEMENT CHARACTER}")
        await pilot.press("enter")
        await shows(pilot, "step 3 of 3")
        await pilot.press("7", "d")
        await shows(pilot, "with all checkpoints?")

    play(store, script)


def test_every_printable_key_arrives_in_every_input(shop: Store) -> None:
    printable = "".join(chr(code) for code in range(32, 127)) + "éß日🦦"

    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, "stories-calm-otter")
        await pilot.press("slash")
        await _type(pilot, printable)
        await pilot.press("escape", "end", "home", "enter")
        await shows(pilot, "Run  ")
        await pilot.press("3", "slash")
        await _type(pilot, printable)
        await pilot.press("escape", "e")
        await shows(pilot, "be called?")
        await _type(pilot, printable)
        await pilot.press("escape", "E")
        await shows(pilot, "the project of")
        await _type(pilot, printable)

    play(shop, script)


async def _type(pilot: Pilot[None], text: str) -> None:
    """At once, as a paste by a slow terminal would be: `pilot.press` waits after each key."""
    line = pilot.app.focused
    assert isinstance(line, Input)
    line.value = ""
    for character in text:
        pilot.app.post_message(events.Key(_character_to_key(character), character))
    await until(pilot, lambda: line.value == text, text)


def test_an_outline_reads_like_yaml() -> None:
    value = {"a": 1, "b": {"c": [1, 2], "d": {}}, "e": [{"f": "x"}, {"f": None}]}
    assert outline(value) == [
        "a: 1",
        "b:",
        "  c: [1, 2]",
        "  d: {}",
        "e:",
        "  - 0:",
        '    f: "x"',
        "  - 1:",
        "    f: null",
    ]


@pytest.fixture
def many(store: Store) -> Run:
    return make_run(store, "many-calm-otter", step=300, steps=300)


def test_sizes_from_tiny_to_huge_and_a_storm_of_them(many: Run, store: Store) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, "many-calm-otter")
        for keys in ([], ["enter"], ["3"], ["1"]):
            await pilot.press(*keys)
            for size in ((200, 60), (1, 1), (20, 5)):
                await pilot.resize_terminal(*size)
            await pilot.resize_terminal(60, 20)
            await until(pilot, lambda: max(map(len, screen(pilot).splitlines())) <= 60)
        await shows(pilot, "100%", "? Help")

    play(store, script)
