"""Pictures of the screens, for the tests and for docs/tui.md: `python -m tests.tui.snapshots`.

The same runs at the same moment, in a home folder without a name: the same picture every time.
"""

import asyncio
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from maquette.runs.store import Store
from maquette.tui.app import MaquetteApp
from tests.tui.pilots import shows
from tests.tui.scenes import workshop

FOLDER = Path(__file__).parents[2] / "docs" / "images"
SIZES = ((80, 24), (120, 36))
NOW = 1_795_284_000.0

# Screen -> the keys that lead there, and what it shows when all of it is there.
SCREENS: dict[str, tuple[list[str], list[str]]] = {
    "runs": (["down", "down"], ["stories-calm-otter", "31.4k tok/s"]),
    "runs-by-state": (["g", "down", "down"], ["● running  2"]),
    "run": (["down", "down", "enter"], ["training", "validation 1.767"]),
    "run-samples": (["down", "down", "enter", "2"], ["step 600", "the otter"]),
    "run-failed": (["down", "down", "down", "enter"], ["try a smaller", "validation 3.326"]),
    "run-log": (["down", "down", "enter", "3"], ["step 640: all is well"]),
    "help": (["question_mark"], ["Show those with this text"]),
}
_WIDE_ONLY = {"31.4k tok/s"}


@contextmanager
def stage() -> Iterator[Store]:
    """The runs to be pictured, and the moment."""
    with tempfile.TemporaryDirectory() as home:
        environment = {"HOME": home, "MAQUETTE_RUNS": f"{home}/runs", "TZ": "UTC"}
        with (
            mock.patch.dict(os.environ, environment),
            mock.patch.object(time, "time", return_value=NOW),
            workshop(Path(home) / "runs") as store,
        ):
            yield store


def picture(store: Store, name: str, size: tuple[int, int], *, dark: bool = True) -> str:
    """A screen as SVG."""
    keys, texts = SCREENS[name]

    async def run() -> str:
        app = MaquetteApp(store, dark=dark)
        async with app.run_test(size=size) as pilot:
            await shows(pilot, "stories-calm-otter")
            await pilot.press(*keys)
            await shows(pilot, *(t for t in texts if size[0] > 100 or t not in _WIDE_ONLY))
            await pilot.pause()
            return app.export_screenshot(title="maquette tui", simplify=True)

    return normalised(asyncio.run(run()))


def normalised(svg: str) -> str:
    """The picture without the number that each one has in its names."""
    return re.sub(r"terminal-\d+", "terminal", svg)


def file_of(name: str, size: tuple[int, int], *, dark: bool = True) -> Path:
    """Where a picture is kept."""
    return FOLDER / f"tui-{name}-{size[0]}x{size[1]}{'' if dark else '-light'}.svg"


def cases() -> list[tuple[str, tuple[int, int], bool]]:
    """All pictures: every screen in two sizes, and the first ones in light colours."""
    found = [(name, size, True) for name in SCREENS for size in SIZES]
    return [*found, ("runs", SIZES[1], False), ("run", SIZES[1], False)]


def main(names: list[str]) -> None:
    """Make all pictures anew, or those of these screens."""
    with stage() as store:
        for name, size, dark in cases():
            if not names or name in names:
                text = picture(store, name, size, dark=dark)
                file_of(name, size, dark=dark).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
