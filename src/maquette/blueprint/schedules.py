"""A schedule of the learning rate, laid out over a number of steps."""

from typing import Literal

from maquette.blueprint.blueprint import SchedulePlan
from maquette.errors import SpecError


def lay_out(
    kind: Literal["cosine", "linear", "constant", "wsd"],
    *,
    steps: int,
    warmup_steps: int | None,
    final_fraction: float,
    decay_fraction: float,
) -> SchedulePlan:
    """The schedule of a run of so many steps. Raises SpecError where the warmup is longer."""
    usual = min(200, steps // 20)
    warmup = usual if warmup_steps is None else warmup_steps
    if warmup > steps:
        raise SpecError(
            f"train.schedule.warmup_steps={warmup} is more than the run's {steps} steps; "
            f"try {usual}"
        )
    decay = {
        "cosine": steps - warmup,
        "linear": steps - warmup,
        "constant": 0,
        "wsd": min(steps - warmup, round(decay_fraction * steps)),
    }
    return SchedulePlan(
        kind=kind,
        steps=steps,
        warmup_steps=warmup,
        decay_steps=decay[kind],
        final_fraction=final_fraction,
    )
