"""A run made longer than its spec asked for. Pure, as resolving is."""

import dataclasses
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal, TypeVar

from maquette.blueprint.blueprint import AnyBlueprint, Extension, SchedulePlan, TrainPlan
from maquette.errors import UsageError

How = Literal["continue", "rewarm", "constant"]
B = TypeVar("B", bound=AnyBlueprint)


def extend(
    blueprint: B,
    *,
    after_step: int,
    more_steps: int | None = None,
    more_epochs: float | None = None,
    how: How | None = None,
) -> B:
    """The blueprint of the run with more steps after `after_step`, in steps or in epochs.

    By default a run whose learning rate has come to the end of its fall warms up again; any other
    continues its schedule, stretched over the new length. Extensions from `after_step` on give way.
    Raises UsageError where nothing is added, or the learning rate would stay 0.
    """
    plan = blueprint.train
    assert (more_steps is None) != (more_epochs is None), "one of the two"
    if more_steps is not None:
        steps = after_step + more_steps
    else:
        steps = _epochs_later(plan, after_step, more_epochs)
    if steps <= after_step:
        raise UsageError("an extension has at least one step", hint="ask for more of them")
    kept: tuple[Extension, ...] = tuple(e for e in plan.extensions if e.after_step < after_step)
    fallen = _has_fallen(plan.schedule, kept, after_step)
    if how is None:
        how = "rewarm" if fallen else "continue"
    first = plan.schedule
    stands = (fallen and first.final_fraction == 0) or after_step == 0 < first.warmup_steps
    if how == "constant" and stands:
        raise UsageError(
            f"--schedule constant would train on at the learning rate of step {after_step},"
            " which is 0",
            hint=f"use --schedule {'rewarm' if fallen else 'continue'}",
        )
    extension = Extension(after_step, how, _schedule(plan.schedule, after_step, steps, how))
    longer = dataclasses.replace(
        plan,
        steps=steps,
        epochs=steps * plan.batch_size / plan.windows_per_epoch,
        tokens=steps * plan.tokens_per_step,
        extensions=(*kept, extension),
    )
    costs = dataclasses.replace(
        blueprint.costs, flops=blueprint.costs.flops_per_token * longer.tokens
    )
    return dataclasses.replace(blueprint, train=longer, costs=costs)  # type: ignore[arg-type]


def _epochs_later(plan: TrainPlan, after_step: int, more: float | None) -> int:
    """The step that ends `more` epochs. A step that ends an epoch may reach into the next one;
    what it saw of that one counts as part of it, so that 1 epoch and 1 more are 2."""
    assert more is not None
    if not (math.isfinite(more) and more > 0):
        raise UsageError(f"--more-epochs {more:g} is no number of epochs to add")
    windows, batch = plan.windows_per_epoch, plan.batch_size
    seen = after_step * batch
    whole = seen // windows * windows
    if after_step == math.ceil(Fraction(whole, batch)):  # it ends an epoch
        seen = whole
    # As fractions: 7 / 3 + 2 in floats is more than 13 / 3, and would take a step too many.
    return math.ceil((seen + Fraction(str(more)) * windows) / batch)


def _has_fallen(schedule: SchedulePlan, extensions: Sequence[Extension], step: int) -> bool:
    """Whether the learning rate has come to the end of its fall at a step."""
    begin = 0
    if extensions:
        *before, last = extensions
        if last.how == "constant":
            return _has_fallen(schedule, before, last.after_step)
        begin, schedule = last.after_step if last.how == "rewarm" else 0, last.schedule
    return schedule.decay_steps > 0 and step - begin >= schedule.steps


def _schedule(plan: SchedulePlan, after_step: int, steps: int, how: How) -> SchedulePlan:
    length = steps if how == "continue" else steps - after_step
    warmup = plan.warmup_steps if how == "continue" else min(plan.warmup_steps, length // 5)
    decay = 0 if plan.kind == "constant" else max(0, length - warmup)
    if plan.kind == "wsd":
        decay = min(decay, round(plan.decay_steps * length / plan.steps))  # the same share
    return dataclasses.replace(plan, steps=length, warmup_steps=warmup, decay_steps=decay)
