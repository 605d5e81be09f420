"""The learning rate over a whole plan, as a share of its peak."""

import functools
from collections.abc import Callable

from maquette.blueprint.blueprint import TrainPlan
from maquette.training.schedule import extended_factor, schedule_factor


def rate_factor(plan: TrainPlan) -> Callable[[int], float]:
    """The learning rate's share of its peak at each step of a plan, its extensions included."""
    factor = schedule_factor(plan.schedule)
    for extension in plan.extensions:
        factor = functools.partial(
            extended_factor,
            before=factor,
            after_step=extension.after_step,
            how=extension.how,
            then=schedule_factor(extension.schedule),
            warmup_steps=extension.schedule.warmup_steps,
        )
    return factor
