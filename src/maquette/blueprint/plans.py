"""The parts of a plan that are the same for every task. Pure, as all of the blueprint."""

import math
from fractions import Fraction

from maquette.blueprint.blueprint import OptimizerPlan, SchedulePlan
from maquette.blueprint.schedules import lay_out
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
    return lay_out(
        schedule.kind,
        steps=steps,
        warmup_steps=schedule.warmup_steps,
        final_fraction=float(schedule.final_fraction),
        decay_fraction=float(schedule.decay_fraction),
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
