"""Pictures of the screens, for the tests and for docs/tui.md: `python -m tests.tui.snapshots`.

The same runs at the same moment, in a home folder without a name: the same picture every time.
"""

import asyncio
import contextlib
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from maquette.runs.store import Store
from maquette.tui import themes
from maquette.tui.app import MaquetteApp
from maquette.tui.play import PlayPage
from maquette.tui.results import PlanPane
from tests.tui.pilots import shows, until
from tests.tui.scenes import workshop
from tests.tui.test_compare import give_specs

FOLDER = Path(__file__).parents[2] / "docs" / "images"
SIZES = ((80, 24), (120, 36))
NOW = 1_795_284_000.0

# Screen -> the keys that lead there, and what it shows when all of it is there. `until TEXT` among
# the keys waits for a text.
SCREENS: dict[str, tuple[list[str], list[str]]] = {
    "runs": (["down", "down"], ["stories-calm-otter", "98.4%"]),
    "runs-by-state": (["g", "down", "down"], ["● running  2"]),
    "run": (["down", "down", "enter"], ["training", "validation 1.767"]),
    "run-samples": (["down", "down", "enter", "2"], ["step 600", "the otter"]),
    "run-failed": (["down", "down", "down", "enter"], ["try a smaller", "validation 3.326"]),
    "run-log": (["down", "down", "enter", "3"], ["step 640: all is well"]),
    "compare": (
        ["down", "down", "space", "space", *["down"] * 3, "space", "c"],
        ["validation loss"],
    ),
    "play": (
        ["down", "down", "p", *"Once upon a time", "enter"],
        ["the otter", "characters in"],
    ),
    "play-chat": (
        [
            *(*["down"] * 5, "p", "f2", "left", "escape"),
            *(*"Who lives by the river?", "enter", "until a second"),
            *(*"What do they look for?", "enter"),
        ],
        ["An otter does", "Stones", "a second"],
    ),
    "play-images": (["end", "p", "until choose", "down", "down", "enter"], ["83.12%", "▀▀"]),
    "new-begin": (["n"], ["What shall the new run begin with?", "Enter takes"]),
    "new": (
        ["n", *"stories", "enter", "until sound", *["down"] * 5],
        ["5,246,208 parameters", "Attention"],
    ),
    "help": (["question_mark"], ["Show those with this text"]),
}
LIGHT = ("runs", "run", "compare", "play-chat", "play-images", "new")
_SPECS = {
    "stories-calm-otter": "",
    "gpt2-small-bold-lynx": "model: {norm: layer, mlp: gelu, position: learned}",
    "primer-warm-fjord": "train: {learning_rate: 3.0e-3, optimizer: {kind: muon}}",
}
_PICTURES = ("boat.png", "gull.jpg", "more/wave.png")


@contextlib.contextmanager
def stage() -> Iterator[Store]:
    """The runs to be pictured, and the moment."""
    with tempfile.TemporaryDirectory() as home:
        for name in _PICTURES:
            file = Path(home) / "pictures" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        environment = {
            "HOME": home,
            "MAQUETTE_RUNS": f"{home}/runs",
            "TZ": "UTC",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        with (
            contextlib.chdir(Path(home) / "pictures"),
            mock.patch.dict(os.environ, environment),
            mock.patch.object(PlayPage, "MODULE", "tests.tui.stage_model"),
            mock.patch.object(PlanPane, "MODULE", "tests.tui.stage_planner"),
            mock.patch.object(time, "time", return_value=NOW),
            workshop(Path(home) / "runs") as store,
        ):
            give_specs(store, _SPECS)
            yield store


def pictures(store: Store, name: str) -> dict[Path, str]:
    """A screen as SVG in every size, and in light colours at the end: file -> picture."""
    keys, texts = SCREENS[name]
    found: dict[Path, str] = {}

    async def run() -> None:
        app = MaquetteApp(store)
        async with app.run_test(size=SIZES[0]) as pilot:
            await shows(pilot, "stories-calm-otter")
            for key in keys:
                if key.startswith("until "):
                    await shows(pilot, key.removeprefix("until "))
                else:
                    await pilot.press(key)
            for size in SIZES:
                await pilot.resize_terminal(*size)
                await shows(pilot, *texts)
                for line in app.screen.query("Input, TextArea"):
                    line.cursor_blink = False  # type: ignore[attr-defined]
                await pilot.pause()
                found[file_of(name, size)] = _taken(app)
            if name in LIGHT:
                app.action_light_or_dark()
                await until(pilot, lambda: app.theme == themes.LIGHT)
                await pilot.pause()
                found[file_of(name, SIZES[-1], dark=False)] = _taken(app)

    asyncio.run(run())
    return found


def _taken(app: MaquetteApp) -> str:
    return normalised(app.export_screenshot(title="maquette tui", simplify=True))


def normalised(svg: str) -> str:
    """The picture without the number that each one has in its names."""
    return re.sub(r"terminal-\d+", "terminal", svg)


def file_of(name: str, size: tuple[int, int], *, dark: bool = True) -> Path:
    """Where a picture is kept."""
    return FOLDER / f"tui-{name}-{size[0]}x{size[1]}{'' if dark else '-light'}.svg"


def main(names: list[str]) -> None:
    """Make all pictures anew, or those of these screens."""
    with stage() as store:
        for name in names or SCREENS:
            for file, text in pictures(store, name).items():
                file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
