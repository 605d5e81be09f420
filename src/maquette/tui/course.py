"""The course of one run: its metrics as they grow, in bounded memory."""

import math
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from maquette.events import Evaluated, Event, Note, Sampled, StepDone
from maquette.runs.state import State
from maquette.runs.store import Run
from maquette.runs.tail import Tail
from maquette.serving.runs_curves import Clock, running_clock

_POINTS = 8192  # of steps that are kept; of more, neighbours are joined
_EVALUATIONS = 4096
_LANDMARKS = 256  # events to work the state out from, should state.json be unreadable

Points = list[tuple[float, float]]
SMOOTHING = (0.0, 0.6, 0.9, 0.98)
"""Weights that one can choose among, for `smooth`."""


class Step(NamedTuple):
    """One step, or the mean of some in a row. NaN is for what isn't known, or wasn't finite."""

    step: float
    seconds: float  # of running
    loss: float
    learning_rate: float
    gradient_norm: float
    speed: float  # tokens or images a second


class Measured(NamedTuple):
    """An evaluation, and after how many seconds of running it was."""

    seconds: float
    event: Evaluated


class Course:
    """What happened in a run, taken in as it happens."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._tail = Tail(run.metrics_path)
        self._clear()

    def _clear(self) -> None:
        self.steps: list[Step] = []
        self.evaluations: list[Measured] = []
        self.sampled: Sampled | None = None
        self.notes: deque[Note] = deque(maxlen=50)
        self.broken = 0
        """Steps whose loss wasn't finite."""
        self.last: StepDone | None = None
        self._landmarks: deque[tuple[float, Event]] = deque(maxlen=_LANDMARKS)

    def state(self) -> State:
        """The state as of now; where state.json is damaged, by the events that are known."""
        return self.run.state(list(self._landmarks) or None)

    def look(self, state: State) -> bool:
        """Take in what is new; returns whether anything is. Raises RunError."""
        news = self._tail.read()
        if news.anew:
            self._clear()
        clock = running_clock(state)
        for at, event in news.history:
            self._add(at, event, clock)
        for at, event in news.events:
            self._add(at, event, clock)
        if news.events:
            self._landmarks.append(news.events[-1])
        return news.anew or bool(news.events)

    def _add(self, at: float, event: Event, clock: Clock) -> None:
        match event:
            case StepDone():
                self.last = event
                self.broken += not math.isfinite(event.loss)
                self.steps.append(_step(event, clock(at)))
                if len(self.steps) >= _POINTS:
                    self.steps = _joined(self.steps)
                return
            case Evaluated(split="validation"):
                self.evaluations.append(Measured(_known(clock(at)), event))
                if len(self.evaluations) >= _EVALUATIONS:
                    self.evaluations = self.evaluations[1::2]
            case Sampled():
                self.sampled = event
            case Note():
                self.notes.append(event)
        self._landmarks.append((at, event))

    def curve(self, name: str, *, by_time: bool) -> Points:
        """A field of the steps, by steps or by seconds; what isn't finite is left out."""
        x, y = (1 if by_time else 0), Step._fields.index(name)
        return [
            (step[x], step[y])
            for step in self.steps
            if math.isfinite(step[x]) and math.isfinite(step[y])
        ]

    def evaluated(self, name: str, *, by_time: bool) -> Points:
        """A field of the evaluations, or the loss of a source: `source:NAME`."""
        found = []
        for seconds, event in self.evaluations:
            source = name.partition(":")[2]
            value = event.sources.get(source) if source else getattr(event, name)
            x = seconds if by_time else float(event.step)
            if value is not None and math.isfinite(value) and math.isfinite(x):
                found.append((x, float(value)))
        return found

    @property
    def sources(self) -> list[str]:
        """The sources that evaluations tell apart, in their order."""
        return list(self.evaluations[-1].event.sources) if self.evaluations else []


def smooth(points: Sequence[tuple[float, float]], weight: float) -> Points:
    """Means over neighbours on both sides, whose weights fall by this factor; 0: as they are.

    Looking both ways it doesn't lag behind a curve that falls, as a mean of the past does.
    """
    if not weight:
        return list(points)
    before = _decayed([y for _, y in points], weight)
    after = _decayed([y for _, y in reversed(points)], weight)[::-1]
    return [
        (x, (sum_before + sum_after - y) / (n_before + n_after - 1))
        for (x, y), (sum_before, n_before), (sum_after, n_after) in zip(
            points, before, after, strict=True
        )
    ]


def _decayed(values: Sequence[float], weight: float) -> Points:
    """For each value the sum up to it and the sum of the weights, each falling by the factor."""
    found, total, count = [], 0.0, 0.0
    for value in values:
        total, count = weight * total + value, weight * count + 1.0
        found.append((total, count))
    return found


def _step(event: StepDone, seconds: float | None) -> Step:
    timed = event.step > 0 and 0 < event.step_seconds < math.inf
    speed = event.tokens / event.step / event.step_seconds if timed else math.nan
    return Step(
        float(event.step),
        _known(seconds),
        event.loss,
        event.learning_rate,
        event.gradient_norm,
        speed,
    )


def _known(value: float | None) -> float:
    return math.nan if value is None else value


def _joined(steps: Sequence[Step]) -> list[Step]:
    """Neighbours joined in pairs; of a pair of which one isn't finite, the other stays."""
    pairs = zip(steps[::2], steps[1::2], strict=False)
    return [Step(*(_mean(a, b) for a, b in zip(*pair, strict=True))) for pair in pairs]


def _mean(a: float, b: float) -> float:
    if not math.isfinite(a):
        return b
    return a if not math.isfinite(b) else (a + b) / 2
