"""How far forecasts of the final validation loss are off, beside taking the last one for it.

Replays recorded runs of ours (`benchmarks/curves`): at a quarter, half and three quarters of each,
what `status` would have said. The law's constants were chosen on the runs marked `fit`; those
marked `judged` were trained afterwards.

    python -m benchmarks.forecast
    python -m benchmarks.forecast --record RUN_DIR NAME    # adds a run that came to its end
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from maquette.blueprint.blueprint import SchedulePlan
from maquette.events import Evaluated, StepDone
from maquette.forecast import Forecast, forecast
from maquette.reading import read_blueprint
from maquette.runs.store import Run
from maquette.training.schedule import schedule_factor

CURVES = Path(__file__).parent / "curves"
SHARES = (0.25, 0.5, 0.75)
_MEANS = 40  # of the training loss


class Told(NamedTuple):
    """What was told of a run at a share of its steps; errors are shares of the final loss."""

    forecast: Forecast | None
    error: float | None
    last_error: float
    within: bool


def main(arguments: list[str] | None = None) -> None:
    """Print a row for each run, and the means of both sets."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--record", nargs=2, metavar=("RUN_DIR", "NAME"))
    options = parser.parse_args(arguments)
    if options.record:
        record(Run(Path(options.record[0])), options.record[1])
        return
    table = Table(title="Error of the final validation loss: forecast / last value, in %")
    for heading in ("run", "schedule", "steps", "", *(f"at {s:.0%}" for s in SHARES)):
        right = heading.startswith(("at", "st"))
        table.add_column(heading, justify="right" if right else "left", no_wrap=True)
    curves = load()
    for which in ("fit", "judged"):
        for curve in (c for c in curves if c["set"] == which):
            cells = [_cell(replay(curve, share)) for share in SHARES]
            kind, steps = curve["schedule"]["kind"], f"{curve['schedule']['steps']:,}"
            table.add_row(curve["name"], kind, steps, which, *cells)
        table.add_section()
    console = Console(width=120, highlight=False)
    console.print(table)
    for which in ("fit", "judged"):
        for share in SHARES:
            rows = [replay(c, share) for c in curves if c["set"] == which]
            console.print(_summary(rows, which, share))


def load() -> list[dict[str, Any]]:
    """The recorded runs, by name."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(CURVES.glob("*.json"))]


def replay(curve: dict[str, Any], share: float) -> Told:
    """What would have been told of a run after a share of its steps."""
    schedule = SchedulePlan(**curve["schedule"])
    losses = [(step, loss) for step, loss in curve["validation"]]
    seen, final = [p for p in losses if p[0] <= share * schedule.steps], losses[-1][1]
    told = forecast(seen, schedule_factor(schedule), schedule.steps)
    return Told(
        told,
        None if told is None else abs(told.loss - final) / final,
        abs(seen[-1][1] - final) / final,
        told is not None and told.low <= final <= told.high,
    )


def _cell(told: Told) -> str:
    said = "silent" if told.error is None else f"{100 * told.error:.1f}"
    return f"{said} / {100 * told.last_error:.1f}"


def _summary(rows: list[Told], which: str, share: float) -> str:
    spoke = [(row.error, row) for row in rows if row.error is not None]
    if not spoke:
        return f"{which:6} at {share:.0%}: silent about all {len(rows)}"
    error = sum(error for error, _ in spoke) / len(spoke)
    last = sum(row.last_error for _, row in spoke) / len(spoke)
    worse = sum(error > row.last_error for error, row in spoke)
    within = sum(row.within for _, row in spoke)
    return (
        f"{which:6} at {share:.0%}: told of {len(spoke)} of {len(rows)}; mean error {error:.1%},"
        f" the last value {last:.1%}; {worse} worse than it; {within} within the band"
    )


def record(run: Run, name: str) -> None:
    """Write down the curves of a run that came to its end."""
    blueprint = read_blueprint(run)
    plan = blueprint.train
    assert not plan.extensions, "only runs that went as they were planned"
    events = [event for _, event in run.events()]
    steps = [e for e in events if isinstance(e, StepDone)]
    size = -(-len(steps) // _MEANS)
    groups = [steps[i : i + size] for i in range(0, len(steps), size)]
    schedule = plan.schedule
    content = {
        "name": name,
        "set": "judged",
        "parameters": blueprint.parameters["total"],
        "optimizer": plan.optimizer.kind,
        "average": plan.average,
        "epochs": round(plan.epochs, 2),
        "schedule": {
            "kind": schedule.kind,
            "steps": schedule.steps,
            "warmup_steps": schedule.warmup_steps,
            "decay_steps": schedule.decay_steps,
            "final_fraction": schedule.final_fraction,
        },
        # step, learning rate, and the mean training loss of the steps up to it
        "training": [
            [
                group[-1].step,
                float(f"{group[-1].learning_rate:.4g}"),
                round(sum(e.loss for e in group) / len(group), 4),
            ]
            for group in groups
        ],
        "validation": [
            [e.step, round(e.loss, 4)]
            for e in events
            if isinstance(e, Evaluated) and e.split == "validation"
        ],
    }
    rows = (f'  "{key}": {json.dumps(value)}' for key, value in content.items())
    (CURVES / f"{name}.json").write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
