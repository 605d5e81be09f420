"""What the validation loss of a run is heading for, with a band; silent where it can't be told.

A saturating power law of the learning rate's sum so far, and a further drop with the fall of the
learning rate: the scaling law with learning rate annealing (Tissue et al. 2024, arXiv:2408.11029),

    L(t) = L0 + A S(t)^-a - C D(t),        S(t) = sum of the rates up to t,

where their annealing area, made for runs of ten thousands of steps, is put as what it comes to when
its memory is short beside the run: D(t), the share of the peak that the rate has fallen by (Luo et
al. 2025, arXiv:2503.12811, have it saturate likewise). Standard library only: `status` shows it.

The constants below were chosen on some of the runs in benchmarks/curves, and are judged on others:
`python -m benchmarks.forecast`.
"""

import bisect
import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maquette.blueprint import serial
from maquette.blueprint.blueprint import TrainPlan
from maquette.errors import RunError
from maquette.events import Evaluated
from maquette.runs.state import State
from maquette.runs.store import Run
from maquette.runs.tail import Tail, TimedEvent
from maquette.training.rates import rate_factor

Loss = tuple[int, float]  # of the validation split, after a step

_EXPONENTS = [round(0.1 * i, 1) for i in range(1, 16)]
_EXPONENT, _EXPONENT_SPREAD = 0.5, 0.3  # what exponents are like, before any loss is seen
_DROP, _DROP_SPREAD = 0.05, 0.04  # of a fall to zero: as a share of the loss
_NOISE = 0.01  # of an evaluation, as a share of the loss
_BEGINNING = 0.1  # of the sum of rates: losses fall in other ways there
_FEWEST = 3  # evaluations that a law is fitted to
_PREFIXES = (0.5, 0.7)  # of the run so far, from which the latest loss is foretold as a test
_BETTER, _TRUSTED = 0.5, 0.1  # errors of the test: as a share of those of "the last", of the loss
_BAND = 1.1  # held four of five final losses
_PLACES = 1000  # at which the rates are summed up


@dataclass(frozen=True, slots=True)
class Forecast:
    """The validation loss expected at the end of a run, told after a step.

    `low` to `high` held the final loss of about four runs in five.
    """

    after_step: int
    step: int
    loss: float
    low: float
    high: float

    def to_json(self) -> dict[str, Any]:
        """The forecast as a JSON-ready object."""
        return dataclasses.asdict(self)


class Rates:
    """The learning rate over a run: its sum up to a step, and how far it has fallen from its peak.

    Both in units of the peak. `factor(step)` is the rate's share of the peak.
    """

    def __init__(self, factor: Callable[[int], float], steps: int, marks: Sequence[int]) -> None:
        """`marks`: the steps that will be asked for, besides the last one."""
        places = {round(i * steps / _PLACES) for i in range(_PLACES + 1)} | {*marks, 0, steps}
        self._steps = sorted(place for place in places if 0 <= place <= steps)
        self._rates = [factor(step) for step in self._steps]
        pairs = itertools.pairwise(zip(self._steps, self._rates, strict=True))
        areas = ((t - s) * (before + after) / 2 for (s, before), (t, after) in pairs)
        self._sums = list(itertools.accumulate(areas, initial=0.0))
        self.peak_step = self._steps[self._rates.index(max(self._rates))]

    def sum(self, step: int) -> float:
        """The sum of the rates up to a step."""
        return self._sums[bisect.bisect_left(self._steps, step)]

    def fallen(self, step: int) -> float:
        """The share of the peak that the rate has fallen by."""
        rate = self._rates[bisect.bisect_left(self._steps, step)]
        return 1 - rate if step > self.peak_step else 0.0


def forecast_run(run: Run, state: State) -> Forecast | None:
    """What a run that isn't at its end is heading for; None where it can't be told (yet).

    Worked out once for each evaluation, so that it may be asked for often.
    """
    if state.status == "completed" or state.step >= state.steps:
        return None
    return _known(run.path, state.steps, state.validation_loss, state.best_loss)


@functools.lru_cache(maxsize=256)
def _known(path: Path, *_: float | None) -> Forecast | None:
    """From the files of a run; the other arguments are what differs with each evaluation."""
    run = Run(path)
    try:  # without the spec's schema, whose library takes longer to import than all of this
        plan = serial.from_json(run.blueprint_path.read_text(encoding="utf-8")).train
        news = Tail(run.metrics_path).read()
    except (OSError, ValueError, RunError):
        return None
    return forecast_events(news.history + news.events, plan)


def forecast_events(events: Sequence[TimedEvent], plan: TrainPlan) -> Forecast | None:
    """What a run with these events is heading for; see `forecast`."""
    losses = {
        event.step: event.loss
        for _, event in events
        if isinstance(event, Evaluated) and event.split == "validation"
    }
    return forecast(sorted(losses.items()), rate_factor(plan), plan.steps)


def forecast(losses: Sequence[Loss], factor: Callable[[int], float], steps: int) -> Forecast | None:
    """The loss at the last of `steps`, from those so far in the order of their steps.

    The run itself must show that its losses follow the law: from half, and from seven tenths of it
    so far, its latest loss is foretold. None unless that was off by at most half as much as the
    last loss then was, by a tenth of the loss at most, and by less than the loss is still to fall.
    """
    seen = [(step, loss) for step, loss in losses if 0 < step <= steps and 0 < loss < math.inf]
    if len(seen) <= _FEWEST or seen[-1][0] >= steps:
        return None
    rates = Rates(factor, steps, [step for step, _ in seen])
    now, last = seen[-1]
    found = extrapolate(seen, rates, steps)
    tests = []
    for share in _PREFIXES:
        known = [(step, loss) for step, loss in seen if step <= share * now]
        if (told := extrapolate(known, rates, now)) is not None:
            tests.append((abs(told - last) / last, abs(known[-1][1] - last) / last))
    if found is None or not tests:
        return None
    errors = [error for error, _ in tests]
    mean, change = sum(errors) / len(errors), abs(found - last) / last
    if sum(errors) >= _BETTER * sum(naive for _, naive in tests) or max(errors) > _TRUSTED:
        return None
    if mean >= change:
        return None
    half = found * _BAND * (mean + change / 4)
    return Forecast(now, steps, found, max(0.0, found - half), found + half)


def extrapolate(losses: Sequence[Loss], rates: Rates, at: int) -> float | None:
    """The loss at a later step by the law that fits best; None where there are too few losses."""
    if not losses:
        return None
    now, last = losses[-1]
    total = rates.sum(now)
    if total <= 0:
        return None
    begin = min(
        rates.peak_step, now / 2
    )  # of the warmup nothing follows, unless it is all there is
    kept = [
        (step, loss)
        for step, loss in losses
        if step >= begin and rates.sum(step) >= _BEGINNING * total
    ]
    if len(kept) < _FEWEST:
        return None
    best: tuple[float, float] | None = None
    for exponent in _EXPONENTS:
        rows = [
            _row(rates.sum(step) / total, rates.fallen(step), loss, exponent, last)
            for step, loss in kept
        ]
        # What a fall of the rate does is hardly seen before it: what it did elsewhere counts too.
        drop = ([0.0, 0.0, 1 / (_DROP_SPREAD * last)], _DROP / _DROP_SPREAD)
        fitted, misfit = _least_squares([*rows, drop])
        misfit += ((exponent - _EXPONENT) / _EXPONENT_SPREAD) ** 2

        def law(step: int, terms: list[float] = fitted, power: float = -exponent) -> float:
            grown = math.pow(rates.sum(step) / total, power)
            return terms[0] + terms[1] * grown - terms[2] * rates.fallen(step)

        # Half of what the latest losses are off by goes on.
        off = sum(loss - law(step) for step, loss in kept[-2:]) / 2
        if best is None or misfit < best[0]:
            best = misfit, law(at) + off / 2
    return best[1] if best is not None and best[1] > 0 else None


def _row(
    share: float, fallen: float, loss: float, exponent: float, last: float
) -> tuple[list[float], float]:
    """An equation for L0, A and C, with the weight of a loss: later ones say more."""
    weight = share / (_NOISE * last)
    return [weight, weight * share**-exponent, -weight * fallen], weight * loss


def _least_squares(rows: Sequence[tuple[list[float], float]]) -> tuple[list[float], float]:
    """The terms, none below zero, whose squared errors are least, and the sum of these.

    Those that would be negative are left out, the first of them first.
    """
    free = list(range(len(rows[0][0])))
    while True:
        matrix = [[sum(x[i] * x[j] for x, _ in rows) for j in free] for i in free]
        right = [sum(x[i] * y for x, y in rows) for i in free]
        terms = [0.0] * len(rows[0][0])
        for i, value in zip(free, _solve(matrix, right), strict=True):
            terms[i] = value
        below = [i for i in free if terms[i] < 0]
        if not below:
            break
        free.remove(below[0])
    errors = (sum(a * b for a, b in zip(x, terms, strict=True)) - y for x, y in rows)
    return terms, sum(error * error for error in errors)


def _solve(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Gaussian elimination of a symmetric matrix; a direction that nothing is known of gets 0."""
    size = len(right)
    for i in range(size):
        pivot = matrix[i][i]
        if pivot <= 1e-12:
            continue
        for j in range(i + 1, size):
            factor = matrix[j][i] / pivot
            matrix[j] = [a - factor * b for a, b in zip(matrix[j], matrix[i], strict=True)]
            right[j] -= factor * right[i]
    found = [0.0] * size
    for i in reversed(range(size)):
        if matrix[i][i] > 1e-12:
            known = sum(matrix[i][j] * found[j] for j in range(i + 1, size))
            found[i] = (right[i] - known) / matrix[i][i]
    return found
