"""Starting the application in a test, and waiting for what it shows."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from textual.pilot import Pilot

from maquette.runs.store import Run, Store
from maquette.tui.app import MaquetteApp

Script = Callable[[Pilot[None]], Awaitable[None]]
PATIENCE_SECONDS = 30.0


def play(
    store: Store,
    script: Script,
    *,
    size: tuple[int, int] = (100, 30),
    only: Run | None = None,
    dark: bool = True,
) -> None:
    """Run the application without a terminal, and do what the script says."""

    async def run() -> None:
        app = MaquetteApp(store, only=only, dark=dark)
        async with app.run_test(size=size, notifications=True) as pilot:
            await script(pilot)

    asyncio.run(run())


async def until(pilot: Pilot[None], condition: Callable[[], object], what: str = "") -> None:
    """Wait until it holds; what is asked for may not be there yet."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while True:
        await asyncio.sleep(0.05)  # drawing the screen to look at it takes long too
        if condition():
            return
        late = asyncio.get_running_loop().time() > deadline
        assert not late, f"{what or 'it'} never came; on the screen:\n{screen(pilot)}"


async def shows(pilot: Pilot[None], *texts: str) -> None:
    """Wait until all of this is on the screen."""
    for text in texts:
        await until(pilot, lambda text=text: text in screen(pilot), text)  # type: ignore[misc]


async def hides(pilot: Pilot[None], text: str) -> None:
    """Wait until this is on the screen no more."""
    await until(pilot, lambda: text not in screen(pilot), f"its end: {text}")


def screen(pilot: Pilot[None]) -> str:
    """What is on the screen, as plain lines."""
    app = pilot.app
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips)


def widths(pilot: Pilot[None]) -> set[int]:
    """How wide the lines on the screen are, in cells."""
    return {strip.cell_length for strip in pilot.app.screen._compositor.render_strips()}


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, with its content."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
