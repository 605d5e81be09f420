"""A run made longer than its spec asked for. Pure, as resolving is."""

import dataclasses
import math
from typing import Literal

from maquette.blueprint import costs
from maquette.blueprint.blueprint import Blueprint, Extension, SchedulePlan, TrainPlan
from maquette.errors import UsageError

How = Literal["continue", "rewarm", "constant"]


def extend(
    blueprint: Blueprint,
    *,
    after_step: int,
    more_steps: int | None = None,
    more_epochs: float | None = None,
    how: How | None = None,
) -> Blueprint:
    """The blueprint of the run with more steps after `after_step`, in steps or in epochs.

    By default a run that was stopped before its end continues its schedule, stretched over the new
    length; one that reached its end, where the learning rate has fallen, warms up again.
    Raises UsageError where nothing is added.
    """
    plan = blueprint.train
    assert (more_steps is None) != (more_epochs is None), "one of the two"
    steps = after_step + more_steps if more_steps else _epochs_later(plan, after_step, more_epochs)
    if steps <= after_step:
        raise UsageError("an extension has at least one step", hint="ask for more of them")
    kept = tuple(e for e in plan.extensions if e.after_step < after_step)
    if how is None:
        how = "continue" if after_step < plan.steps else "rewarm"
    fallen = plan.schedule.kind != "constant" and plan.schedule.final_fraction == 0
    if how == "constant" and fallen and after_step >= plan.steps:
        raise UsageError(
            "--schedule constant would train on at a learning rate of 0, to which the run's own"
            " schedule has fallen",
            hint="use --schedule rewarm",
        )
    extension = Extension(after_step, how, _schedule(plan.schedule, after_step, steps, how))
    plan = dataclasses.replace(
        plan,
        steps=steps,
        epochs=steps * plan.batch_size / plan.windows_per_epoch,
        tokens=steps * plan.tokens_per_step,
        extensions=(*kept, extension),
    )
    return dataclasses.replace(blueprint, train=plan, costs=costs.costs(blueprint.shape, plan))


def _epochs_later(plan: TrainPlan, after_step: int, more: float | None) -> int:
    """The step that ends `more` epochs. A step that ends an epoch may reach into the next one;
    what it saw of that one counts as part of it, so that 1 epoch and 1 more are 2."""
    assert more is not None
    if not (math.isfinite(more) and more > 0):
        raise UsageError(f"--more-epochs {more:g} is no number of epochs to add")
    windows, batch = plan.windows_per_epoch, plan.batch_size
    whole = after_step * batch // windows
    ends_epoch = after_step == math.ceil(whole * windows / batch)
    done = whole if ends_epoch else after_step * batch / windows
    return math.ceil((done + more) * windows / batch)


def _schedule(plan: SchedulePlan, after_step: int, steps: int, how: How) -> SchedulePlan:
    length = steps if how == "continue" else steps - after_step
    warmup = plan.warmup_steps if how == "continue" else min(plan.warmup_steps, length // 5)
    decays = plan.decay_steps > 0
    decay = length - warmup if decays else 0
    if plan.kind == "wsd":
        decay = min(decay, plan.decay_steps)
    return dataclasses.replace(plan, steps=length, warmup_steps=warmup, decay_steps=decay)
