"""The learning rate over a run, as a share of its peak."""

import functools
import math
from collections.abc import Callable
from typing import Literal

from maquette.blueprint.blueprint import SchedulePlan


def learning_rate_factor(
    step: int,
    *,
    kind: Literal["cosine", "linear", "constant", "wsd"],
    steps: int,
    warmup_steps: int,
    decay_steps: int,
    final_fraction: float,
) -> float:
    """The factor for step 0 ... steps: a linear warmup, a plateau, then a fall to the last share.

    Warmup reaches 1 at step `warmup_steps`. The fall takes the last `decay_steps` steps, along
    half a cosine wave (Loshchilov & Hutter 2017, arXiv:1608.03983) or a straight line; `wsd` is a
    straight line after a long plateau (Hu et al. 2024, arXiv:2404.06395).
    """
    if step < warmup_steps:
        return step / warmup_steps
    left = steps - step
    if kind == "constant" or left >= decay_steps:
        return 1.0
    done = 1 - max(0, left) / decay_steps
    fall = 0.5 * (1 + math.cos(math.pi * done)) if kind == "cosine" else 1 - done
    return final_fraction + (1 - final_fraction) * fall


def schedule_factor(plan: SchedulePlan) -> Callable[[int], float]:
    """The learning rate's share of its peak at each step of a plan."""
    return functools.partial(
        learning_rate_factor,
        kind=plan.kind,
        steps=plan.steps,
        warmup_steps=plan.warmup_steps,
        decay_steps=plan.decay_steps,
        final_fraction=plan.final_fraction,
    )


def extended_factor(
    step: int,
    *,
    before: Callable[[int], float],
    after_step: int,
    how: Literal["continue", "rewarm", "constant"],
    then: Callable[[int], float],
    warmup_steps: int,
) -> float:
    """The factor of a run that was made longer: `before` up to `after_step`, another one later.

    `continue` takes `then` of the step. `rewarm` takes `then` of the steps since `after_step`, but
    its warmup climbs from where `before` ended. `constant` stays where `before` ended.
    """
    if step <= after_step:
        return before(step)
    if how == "continue":
        return then(step)
    reached = before(after_step)
    if how == "constant":
        return reached
    into = step - after_step
    factor = then(into)
    return reached + (1 - reached) * factor if into <= warmup_steps else factor
