"""The parts of a plan that are the same for every task. Pure, as all of the blueprint."""

import math
from fractions import Fraction

from maquette.blueprint.blueprint import OptimizerPlan, SchedulePlan
from maquette.errors import SpecError
from maquette.spec.parts import AdamW, Muon, Schedule, TrainPart

DEFAULT_STEPS = 2000


def plan_steps(train: TrainPart, windows: int) -> int:
    """Optimizer steps, of a run whose epochs have so many windows."""
    if train.steps is not None:
        return train.steps
    if train.epochs is None:
        return DEFAULT_STEPS
    # As a fraction: 0.07 * 100 in floats is more than 7, and would take a step too many.
    return max(1, math.ceil(Fraction(str(train.epochs)) * windows / train.batch_size))


def plan_schedule(schedule: Schedule, steps: int) -> SchedulePlan:
    """The schedule of a run of so many steps. Raises SpecError where the warmup is longer."""
    warmup = schedule.warmup_steps
    if warmup is None:
        warmup = min(200, steps // 20)
    elif warmup > steps:
        raise SpecError(
            f"train.schedule.warmup_steps={warmup} is more than the run's {steps} steps; "
            f"try {min(200, steps // 20)}"
        )
    decay = {
        "cosine": steps - warmup,
        "linear": steps - warmup,
        "constant": 0,
        "wsd": min(steps - warmup, round(schedule.decay_fraction * steps)),
    }
    return SchedulePlan(
        kind=schedule.kind,
        steps=steps,
        warmup_steps=warmup,
        decay_steps=decay[schedule.kind],
        final_fraction=float(schedule.final_fraction),
    )


def plan_optimizer(optimizer: AdamW | Muon, learning_rate: float) -> OptimizerPlan:
    """The optimizer's numbers."""
    muon = optimizer if isinstance(optimizer, Muon) else None
    return OptimizerPlan(
        kind=optimizer.kind,
        learning_rate=float(learning_rate),
        weight_decay=float(optimizer.weight_decay),
        beta1=float(optimizer.beta1),
        beta2=float(optimizer.beta2),
        epsilon=float(optimizer.epsilon),
        muon_learning_rate=muon.muon_learning_rate if muon else None,
        momentum=muon.momentum if muon else None,
    )
