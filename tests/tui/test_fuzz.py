"""Runs whose files hold anything that is JSON: every tab of each is opened, on every axis."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from maquette.runs.state import Status
from maquette.runs.store import Store
from maquette.tui.run import RunScreen
from maquette.tui.table import RunsTable
from tests.tui.pilots import play, shows, until
from tests.tui.scenes import make_run

VALUES: tuple[Any, ...] = (
    *(0.0, -1.0, 1e308, -1e308, 1e-320, float("inf"), float("nan")),
    *(5, -3, 2**62, 2**70, None, True, "[x]\x1b", "", [1], {"a": 1}),
)
STATUSES: tuple[Status, ...] = ("completed", "stopped", "failed", "lost")


def changed(value: dict[str, Any], share: float, dice: random.Random) -> dict[str, Any]:
    """The same with so many of its values replaced by others."""
    return {
        key: dice.choice(VALUES)
        if dice.random() < share
        else changed(content, share, dice)
        if isinstance(content, dict)
        else content
        for key, content in value.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_nothing_in_the_files_brings_it_down(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    store = Store(tmp_path / "runs")
    runs = []
    for i in range(8):
        run = make_run(
            store,
            f"odd-calm-otter-{i}",
            dice.choice(STATUSES),
            step=dice.choice([0, 1, 2, 40]),
            steps=dice.choice([1, 60]),
            images=dice.random() < 0.3,
        )
        for path in (run.state_path, run.path / "meta.json"):
            content = json.loads(path.read_text())
            path.write_text(json.dumps(changed(content, dice.choice([0.05, 0.2, 0.5]), dice)))
        share = dice.choice([0.0, 0.05, 0.3])
        rows = [json.loads(line) for line in run.metrics_path.read_text().splitlines()]
        lines = [json.dumps(changed(row, share, dice)) for row in rows]
        run.metrics_path.write_text("\n".join(lines) + '\n{"ev')
        runs.append(run)

    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, "8 runs")
        await pilot.press(*["o"] * 11, "g")
        for run in runs:
            table = pilot.app.screen.query_one(RunsTable)
            table.choose(run.id)
            await pilot.press("enter")
            page = pilot.app.screen
            assert isinstance(page, RunScreen)
            await until(pilot, lambda page=page: page._seen is not None)  # type: ignore[misc]
            await pilot.press(*"vlvbLvmv", "plus", *"vl", "minus", *"234567q")

    play(store, script, size=(110, 40))
