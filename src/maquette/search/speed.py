"""How long a step of a candidate takes here, measured by a few of them. Imports torch inside."""

import contextlib
import dataclasses
import gc
import statistics
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from maquette.blueprint.blueprint import AnyBlueprint, Blueprint, ImagePlan
from maquette.events import StepDone
from maquette.runs.recorder import is_out_of_memory

if TYPE_CHECKING:
    from maquette.preparation import AnyPrepared

_FEWEST, _FIRST = 10, 3  # steps; the first ones pay for set-up
_LEAST_SECONDS, _MOST_SECONDS = 2.0, 20.0

Work = tuple[AnyBlueprint, "AnyPrepared"]


class StepSeconds(NamedTuple):
    """The shortest of some steps, which is what a step takes while nothing else wants the machine,
    and the median, which is what one takes now."""

    shortest: float
    median: float


def same_work(one: AnyBlueprint, other: AnyBlueprint) -> bool:
    """Whether a step of both is the same arithmetic, whatever the numbers in it."""
    return _work(one) == _work(other)


def step_seconds(work: Work, *, device: str) -> StepSeconds:
    """Train a few steps and forget them. Raises MaquetteError, and what torch raises."""
    seconds = [each.wall for (each,) in _enough(_steps(work, device))]
    return StepSeconds(min(seconds), statistics.median(seconds))


def relative_seconds(work: Work, base: Work, *, device: str) -> float:
    """What a step takes, in steps of another, which takes turns with it.

    Processor time of one thread on a CPU, which other programs hardly lengthen: on a machine with
    four times the work that it has cores for, it told the same work apart by 2 %, the clock by 20.
    """
    try:
        with _one_thread():
            pairs = list(_enough(_steps(work, device), _steps(base, device)))
        return statistics.median(one.own / other.own for one, other in pairs)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    gc.collect()  # not both at once, then
    both = [step_seconds(each, device=device).shortest for each in (work, base)]
    return both[0] / both[1]


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Of those that a CPU computes with: while one waits for another, both take processor time."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Seconds(NamedTuple):
    wall: float
    own: float  # of the processor, where that does the work; else by the clock too


def _enough(*streams: Iterator[_Seconds]) -> Iterator[tuple[_Seconds, ...]]:
    """Seconds of steps, one of each stream by turns, until they tell enough."""
    begin = float("inf")
    for count, seconds in enumerate(zip(*streams, strict=True)):
        if count < _FIRST:
            begin = time.monotonic()
            continue
        yield seconds
        passed = time.monotonic() - begin
        if (count >= _FEWEST and passed >= _LEAST_SECONDS) or passed > _MOST_SECONDS:
            break
    gc.collect()


def _steps(work: Work, device: str) -> Iterator[_Seconds]:
    """Seconds of the steps of a training, which begins anew at its end."""
    from maquette.build import Training

    blueprint, prepared = work
    while True:
        training = Training(_shortened(blueprint), prepared, device=device)
        by_processor = training.device.type == "cpu"
        begin = time.process_time()
        for event in training.events():
            if isinstance(event, StepDone):
                own = time.process_time() - begin if by_processor else event.step_seconds
                yield _Seconds(event.step_seconds, own)
            begin = time.process_time()


def _work(blueprint: AnyBlueprint) -> tuple[object, ...]:
    plan = blueprint.train
    augmentation = plan.augmentation if isinstance(plan, ImagePlan) else None
    batch = (plan.batch_size, plan.accumulation, plan.tokens_per_step)
    arithmetic = (plan.precision, plan.compile, plan.optimizer.kind, plan.average > 0)
    return blueprint.shape, batch, arithmetic, plan.gradient_clip is None, augmentation


def _shortened(blueprint: AnyBlueprint) -> AnyBlueprint:
    """Without what comes before the first step and takes long."""
    plan = blueprint.train
    compiled = False if plan.compile == "auto" else plan.compile
    if isinstance(blueprint, Blueprint):
        text = dataclasses.replace(
            blueprint.train, evaluate_windows=1, sample_tokens=1, compile=compiled
        )
        return dataclasses.replace(blueprint, train=text)
    images = dataclasses.replace(blueprint.train, evaluate_windows=1, compile=compiled)
    return dataclasses.replace(blueprint, train=images)
