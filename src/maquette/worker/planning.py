"""Write down at a run's start what it is expected to take, to be held against what it takes."""

from maquette.blueprint.blueprint import AnyBlueprint
from maquette.build import Training
from maquette.runs.planned import Planned, write_planned
from maquette.runs.store import Run
from maquette.training.device import measure_rate
from maquette.training.estimate import estimate
from maquette.training.telemetry import Meter

_LEAST_FLOPS = 1e9
"""Of a step: below, it is mostly the calls that it consists of, which no rate says anything of."""


def note_plan(run: Run, blueprint: AnyBlueprint, training: Training) -> None:
    """Write plan.json before the first step. Raises RunError."""
    if blueprint.costs.flops < _LEAST_FLOPS * blueprint.train.steps:
        return
    rate = max(1.0, measure_rate(training.device, training.precision))
    told = estimate(blueprint, rate)
    now = Meter(training.device).read()
    held = now.memory_bytes if now.gpu_memory_bytes is None else now.gpu_memory_bytes
    write_planned(
        run,
        Planned(
            seconds=told["seconds"],
            tokens_per_second=told["tokens_per_second"],
            # what is there already holds the weights
            memory_bytes=(held or 0) - blueprint.costs.weights_bytes + told["peak_bytes"],
            measured_flops_per_second=rate,
        ),
    )
