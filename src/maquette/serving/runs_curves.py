"""A run's events as curves of bounded length, for a page to draw."""

import math
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from maquette.events import Evaluated, StepDone
from maquette.runs.state import State
from maquette.runs.tail import TimedEvent

POINTS = 1000
"""Of a curve at most. What lies between is in the means, and in the lowest and highest loss."""
_SOURCES = 32

Clock = Callable[[float], float | None]


def running_clock(state: State) -> Clock:
    """Time of day (Unix seconds) -> seconds that the run had been running then."""
    ends = [change.at for change in state.history[1:]] + [math.inf]
    spans = [
        (change.at, end)
        for change, end in zip(state.history, ends, strict=False)
        if change.status == "running"
    ]

    def seconds(at: float) -> float | None:
        if not at:
            return None
        return sum(max(0.0, min(at, end) - begin) for begin, end in spans)

    return seconds


def curves(events: Sequence[TimedEvent], clock: Clock) -> dict[str, Any]:
    """`steps` as columns of equal length, `evaluations` as rows; both in the order of steps."""
    steps = [(at, e) for at, e in events if isinstance(e, StepDone)]
    evaluations = [
        (at, e) for at, e in events if isinstance(e, Evaluated) and e.split == "validation"
    ]
    points = [_point(group, clock) for group in _groups(steps)]
    names = _point([(0.0, StepDone(1, 0, 1, 0, 0, 0, 1))], clock)
    return {
        "steps": {name: [point[name] for point in points] for name in names},
        "evaluations": [_evaluation(at, e, clock) for at, e in _some(evaluations)],
    }


def _groups(steps: Sequence[tuple[float, StepDone]]) -> list[list[tuple[float, StepDone]]]:
    """Neighbours together: stretches of equally many steps, as many as there may be points."""
    if not steps:
        return []
    numbers = [event.step for _, event in steps]
    first, length = min(numbers), max(numbers) - min(numbers) + 1
    found: dict[int, list[tuple[float, StepDone]]] = {}
    for at, event in steps:
        place = event.step - first
        place = place * POINTS // length if length > POINTS else place
        found.setdefault(place, []).append((at, event))
    return [found[place] for place in sorted(found)]


def _point(group: Sequence[tuple[float, StepDone]], clock: Clock) -> dict[str, float | None]:
    events = [event for _, event in group]
    losses = [e.loss for e in events if math.isfinite(e.loss)]
    timed = [e for e in events if e.step > 0 and 0 < e.step_seconds < math.inf]
    took = sum(e.step_seconds for e in timed)
    return {
        "step": round(sum(e.step for e in events) / len(events)),
        "seconds": _short(clock(group[-1][0])),
        "epoch": _mean([e.epoch for e in events]),
        "loss": _mean(losses),
        "low": _short(min(losses, default=None)),
        "high": _short(max(losses, default=None)),
        "learning_rate": _mean([e.learning_rate for e in events]),
        "gradient_norm": _mean([e.gradient_norm for e in events]),
        "tokens_per_second": _short(sum(e.tokens / e.step for e in timed) / took) if took else None,
    }


def _evaluation(at: float, event: Evaluated, clock: Clock) -> dict[str, Any]:
    return {
        "step": event.step,
        "seconds": _short(clock(at)),
        "loss": _short(event.loss),
        "perplexity": _short(event.perplexity),
        "bits_per_byte": _short(event.bits_per_byte),
        "accuracy": _short(event.accuracy),
        "best": event.best,
        "sources": {name: _short(loss) for name, loss in islice(event.sources.items(), _SOURCES)},
    }


def _some(evaluations: Sequence[tuple[float, Evaluated]]) -> list[tuple[float, Evaluated]]:
    """Evenly spaced ones, with the last and the best."""
    stride = math.ceil(len(evaluations) / (POINTS - 1)) or 1
    best = max((i for i, (_, e) in enumerate(evaluations) if e.best), default=-1)
    last = len(evaluations) - 1
    return [one for i, one in enumerate(evaluations) if (last - i) % stride == 0 or i == best]


def _mean(values: Sequence[float]) -> float | None:
    known = [value for value in values if math.isfinite(value)]
    return _short(sum(known) / len(known)) if known else None


def _short(value: float | None) -> float | None:
    """With six digits, more than can be seen; None for what JSON has no word for."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")
