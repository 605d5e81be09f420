"""What `plan --on` predicts against what others published: `python -m benchmarks.plan_accuracy`.

published_runs.json holds the rows, each with its source. Every third one fits the constants in
simulation/data/efficiency.json (`--fit` prints them); the others judge. A family of devices with
one row alone is fitted to it and isn't judged. `--unseen` judges each publication by constants that
all the others fit.
"""

import argparse
import dataclasses
import json
import math
import statistics
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from maquette.shapes import GPTShape
from maquette.simulation.cluster import Layout, Step, memory_of, step_of
from maquette.simulation.hardware import (
    Cluster,
    Constants,
    Device,
    Efficiency,
    constants,
    devices,
)
from maquette.simulation.workload import Workload, gpt_workload

_FILE = Path(__file__).with_name("published_runs.json")
# Guesses from before any row was looked at: the fit begins here, and is pulled back here.
_START = {
    "ampere": {"matrix": 0.85, "attention": 0.5},
    "hopper": {"matrix": 0.65, "attention": 0.35, "fp8": 0.5},
    "blackwell": {"matrix": 0.65, "attention": 0.35, "fp8": 0.5},
    "constants": {
        "half_width": 200.0,
        "traffic_compiled": 3.0,
        "traffic_eager": 5.0,
        "exposed": 0.1,
        "launch_seconds": 1e-4,
    },
}


class Run(NamedTuple):
    """A published row and what it says of itself."""

    row: dict[str, Any]
    workload: Workload
    layout: Layout
    cluster: Cluster
    fitted: bool

    @property
    def tokens_per_second(self) -> float:
        """Published, of one device."""
        if "mfu" in self.row:
            peak = self.cluster.device.bf16_flops
            return float(self.row["mfu"]) * peak / self.workload.model_flops
        return float(self.row["tokens_per_second"])

    @property
    def name(self) -> str:
        """Model, devices, layout."""
        return f"{self.row['model']} {self.row['context']}"


def main(arguments: list[str] | None = None) -> None:
    """Print predicted against published for every row, and the errors of those that judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fit", action="store_true", help="print constants fitted anew")
    parser.add_argument(
        "--unseen", action="store_true", help="judge each source by constants fitted without it"
    )
    runs, chosen = read_runs(), parser.parse_args(arguments)
    console = Console(width=150)
    if chosen.fit:
        print(json.dumps(fit([run for run in runs if run.fitted]), indent=2))
        return
    if chosen.unseen:
        for line in _unseen(runs):
            console.print(line)
        return
    console.print(_table(runs))
    for line in _summary(runs):
        console.print(line)


def read_runs() -> list[Run]:
    """Every published row as what the estimate takes."""
    content = json.loads(_FILE.read_text(encoding="utf-8"))
    known = dict(devices())
    for name, change in content["devices"].items():
        known[name] = _variant(known[change["base"]], change)
    runs = []
    for index, row in enumerate(content["runs"]):
        device = known[row["on"]]
        share = row["layout"].get("tensor", 1) * row["layout"].get("pipeline", 1)
        layout = Layout(data=row["devices"] // share, **row["layout"])
        workload = gpt_workload(_shape(content["models"][row["model"]], row["context"]))
        alone = device.family == "blackwell"
        fitted = index % 3 == 0 or alone
        runs.append(Run(row, workload, layout, Cluster(device, row["devices"]), fitted))
    return runs


def _variant(base: Device, change: dict[str, Any]) -> Device:
    units = {
        "memory_gib": ("memory_bytes", 2**30),
        "memory_gb_per_second": ("memory_bytes_per_second", 1e9),
        "bf16_tflops": ("bf16_flops", 1e12),
        "fp8_tflops": ("fp8_flops", 1e12),
        "network_gbit_per_second": ("network_bytes_per_second", 1e9 / 8),
    }
    values = {units[key][0]: value * units[key][1] for key, value in change.items() if key in units}
    return dataclasses.replace(base, **values)


def _shape(model: dict[str, Any], context: int) -> GPTShape:
    return GPTShape(
        vocabulary=model["vocabulary"],
        context=context,
        depth=model["depth"],
        width=model["width"],
        heads=model["heads"],
        kv_heads=model["kv_heads"],
        head_dim=model["width"] // model["heads"],
        hidden=model["hidden"],
        position="rope",
        norm="rms",
        mlp="swiglu" if model["gated"] else "gelu",
        qk_norm=False,
        bias=False,
        tie_embeddings=model["tied"],
        dropout=0.0,
        rope_base=10000.0,
        norm_epsilon=1e-5,
    )


def error_of(run: Run, step: Step) -> float:
    """Predicted tokens a second over published, less one."""
    return step.tokens_per_second / run.layout.devices / run.tokens_per_second - 1


def _summary(runs: list[Run]) -> list[str]:
    lines = []
    for fitted in (True, False):
        some = [run for run in runs if run.fitted == fitted]
        speed = [abs(error_of(r, step_of(r.workload, r.layout, r.cluster))) for r in some]
        memory = [abs(_memory_error(run)) for run in some if "memory_gib" in run.row]
        what = "fitted rows" if fitted else "rows that judge"
        within = sum(e <= 0.15 for e in memory)
        lines.append(
            f"{what}: {len(some)}; tokens/s: median error {statistics.median(speed):.1%}, "
            f"worst {max(speed):.1%}, over 40%: {sum(e > 0.4 for e in speed)}; memory: "
            f"{within} of {len(memory)} within 15%, worst {max(memory):.1%}"
        )
    return lines


def _unseen(runs: list[Run]) -> list[str]:
    """The harder question: publications of which the constants know nothing at all."""
    lines, everything = [], []
    for source in sorted({run.row["source"] for run in runs}):
        rest = [run for run in runs if run.row["source"] != source]
        some = [run for run in runs if run.row["source"] == source and _known(run, rest)]
        if not some:
            continue
        found = fit(rest)
        values = {(group, key): v for group, part in found.items() for key, v in part.items()}
        fixed = dataclasses.replace(constants(), **found["constants"])
        errors = [abs(error_of(run, _step(run, values, fixed))) for run in some]
        everything += errors
        lines.append(_line(source, errors))
    lines.append(_line("all", everything))
    return lines


def _line(name: str, errors: list[float]) -> str:
    middle, over = statistics.median(errors), sum(error > 0.4 for error in errors)
    return (
        f"{name:<20} {len(errors):>3} rows: median {middle:.1%}, worst {max(errors):.1%}, "
        f"over 40%: {over}"
    )


def _known(run: Run, rest: list[Run]) -> bool:
    """Whether its family of devices, and fp8 on it, are in the other rows."""
    family = run.cluster.device.family
    others = [other for other in rest if other.cluster.device.family == family]
    return any(other.layout.fp8 or not run.layout.fp8 for other in others)


def _memory_error(run: Run) -> float:
    predicted = memory_of(run.workload, run.layout).total / 2**30
    return float(predicted / run.row["memory_gib"] - 1)


def _table(runs: list[Run]) -> Table:
    table = Table(title="Tokens a second of one device, and its memory: predicted and published")
    for name in ("source", "model", "on", "layout", "", "published", "predicted", "error"):
        numbers = name in ("published", "predicted", "error")
        table.add_column(name, justify="right" if numbers else "left", no_wrap=True)
    table.add_column("GiB", justify="right")
    table.add_column("predicted", justify="right")
    table.add_column("error", justify="right")
    for run in runs:
        step = step_of(run.workload, run.layout, run.cluster)
        predicted = step.tokens_per_second / run.layout.devices
        memory = ["", "", ""]
        if "memory_gib" in run.row:
            gib = memory_of(run.workload, run.layout).total / 2**30
            memory = [f"{run.row['memory_gib']:.1f}", f"{gib:.1f}", f"{_memory_error(run):+.0%}"]
        table.add_row(
            run.row["source"],
            run.name,
            f"{run.row['on']}",
            run.layout.name + (" fp8" if run.layout.fp8 else ""),
            "fitted" if run.fitted else "",
            f"{run.tokens_per_second:,.0f}",
            f"{predicted:,.0f}",
            f"{error_of(run, step):+.0%}",
            *memory,
        )
    return table


def fit(runs: list[Run]) -> dict[str, Any]:
    """Constants that make the sum of squared logarithms of the ratios least, one after another.

    A pull towards the start, as of a few rows, keeps those that the rows hardly tell.
    """
    start = {(group, key): v for group, some in _START.items() for key, v in some.items()}
    values = dict(start)
    best = _cost(runs, values, start)
    pace = 0.2
    while pace > 0.002:
        before = best
        for key in values:
            for factor in (1 + pace, 1 / (1 + pace)):
                tried = {**values, key: values[key] * factor}
                cost = _cost(runs, tried, start)
                if cost < best:
                    best, values = cost, tried
        if best > before * 0.999:
            pace /= 2
    result: dict[str, Any] = {}
    for (group, name), value in values.items():
        result.setdefault(group, {})[name] = float(f"{value:.3g}")
    return result


def _cost(
    runs: list[Run], values: dict[tuple[str, str], float], start: dict[tuple[str, str], float]
) -> float:
    fixed = dataclasses.replace(
        constants(), **{key: v for (group, key), v in values.items() if group == "constants"}
    )
    total = 0.0
    for run in runs:
        step = _step(run, values, fixed)
        total += math.log(1 + error_of(run, step)) ** 2
    pull = sum(math.log(v / start[key]) ** 2 for key, v in values.items())
    high = sum(max(0.0, v - 0.95) for (_, key), v in values.items() if key in ("matrix", "fp8"))
    return total + 0.02 * pull + high


def _step(run: Run, values: dict[tuple[str, str], float], fixed: Constants) -> Step:
    family = run.cluster.device.family
    efficiency = Efficiency(
        values[family, "matrix"], values[family, "attention"], values.get((family, "fp8"), 0.0), ""
    )
    return step_of(run.workload, run.layout, run.cluster, efficiency=efficiency, fixed=fixed)


if __name__ == "__main__":
    main()
