"""What is to be shown of a run: gathered here from its events, drawn by the panel."""

import math
import time
from collections import deque

from maquette.cli.curve import Means
from maquette.events import Evaluated, Event, Finished, Sampled, Started, StepDone
from maquette.quantities import format_count, format_duration
from maquette.runs.recorder import Pace
from maquette.runs.state import State


class Watch:
    """What is to be shown of a run, gathered from its events and, where there is one, its state."""

    def __init__(
        self, title: str, steps: int = 0, tokens_per_step: int = 0, *, unit: str = "tokens"
    ) -> None:
        """`steps` and `tokens_per_step` are worked out from the events if they aren't known.

        `unit` is what the speed is counted in: tokens or images.
        """
        self.title = printable(title)
        self.unit = unit
        self.steps = steps
        self.pace = Pace(steps, tokens_per_step)
        self.training = Means()
        self.validation: list[tuple[float, float]] = []
        self.step = 0
        self.state: State | None = None
        self.standing = "starting"
        self.started: Started | None = None
        self.evaluated: Evaluated | None = None
        self.best: Evaluated | None = None
        self.sampled: Sampled | None = None
        self.finished: Finished | None = None
        self.learning_rate: float | None = None
        self._losses: deque[float] = deque(maxlen=20)

    def add(self, event: Event, at: float | None = None) -> None:
        """Take in the next event, which happened at this time (seconds), or now."""
        self.recall(event)
        if isinstance(event, Started):  # a pause before it says nothing about the pace
            self.pace = Pace(self.steps, self.pace.tokens_per_step)
        elif isinstance(event, StepDone):
            if not self.pace.tokens_per_step:
                self.pace.tokens_per_step = event.tokens // max(1, event.step)
            self.pace.add(event, time.monotonic() if at is None else at)

    def recall(self, event: Event) -> None:
        """Take in an event of long ago: it says nothing about the pace."""
        match event:
            case Started():
                self.started = event
                self.steps = self.pace.steps = event.steps
                self.step = event.step
                self.finished = None
            case StepDone():
                self.step = event.step
                self.learning_rate = event.learning_rate
                self._losses.append(event.loss)
                self.training.add(event.step, event.loss)
            case Evaluated(split="validation"):
                self.evaluated = event
                self.best = event if event.best else self.best
                self.validation.append((event.step, event.loss))
            case Sampled():
                self.sampled = event
            case Finished():
                self.finished = event

    def look(self, state: State, standing: str) -> bool:
        """Take in the run's state, and what it waits for; returns whether anything differs."""
        before = (self.state, self.standing, self.steps)
        self.state, self.standing, self.steps = state, standing, state.steps or self.steps
        return before != (self.state, self.standing, self.steps)

    @property
    def loss(self) -> float | None:
        """Mean training loss of the last steps: a single batch says little."""
        return sum(self._losses) / len(self._losses) if self._losses else None

    def facts(self) -> list[tuple[str, str]]:
        """Name and value of everything worth a number, the most important first."""
        found = []
        if self.loss is not None:
            found.append(("loss", format_loss(self.loss)))
        if self.evaluated is not None:
            text = format_loss(self.evaluated.loss)
            loss, step = self._best()
            if loss is not None and step != self.evaluated.step:
                text += f" (best {format_loss(loss)} at {step})"
            found.append(("validation", text))
            if self.evaluated.accuracy is not None:
                found.append(("accuracy", f"{self.evaluated.accuracy:.2%}"))
            for name, loss in self.evaluated.sources.items():
                found.append((name, format_loss(loss)))
        tokens_per_second = self.pace.tokens_per_second
        if self.state is not None and self.state.tokens_per_second is not None:
            tokens_per_second = self.state.tokens_per_second
        if tokens_per_second is not None and math.isfinite(tokens_per_second):
            found.append((f"{self.unit}/s", format_count(tokens_per_second)))
        if self.learning_rate is not None:
            found.append(("learning rate", f"{self.learning_rate:.2e}"))
        return found

    def machine(self) -> str:
        """Size, device and precision, once they are known."""
        source: Started | State | None = self.started
        if self.state is not None and self.state.device is not None:
            source = self.state
        if source is None:
            return self.standing if self.state is None else ""
        parts = [f"{format_count(source.parameters or 0)} parameters"]
        parts += [source.device or "", source.precision or ""]
        return printable(", ".join(parts + (["compiled"] if source.compiled else [])))

    def left(self) -> str:
        """The time that is left, what it waits for, or how it ended."""
        status = "running" if self.state is None else self.state.status
        if status in ("failed", "lost", "stopped"):
            return status
        if self.finished is not None:
            return {"early_stop": "early stop"}.get(self.finished.reason, self.finished.reason)
        if status == "completed" or (self.state is not None and self.standing):
            return self.standing or status
        seconds = self.pace.eta_seconds
        if self.state is not None and self.state.eta_seconds is not None:
            seconds = self.state.eta_seconds
        known = seconds is not None and math.isfinite(seconds)
        return f"{format_duration(seconds)} left" if seconds is not None and known else ""

    def _best(self) -> tuple[float | None, int | None]:
        if self.state is not None and self.state.best_loss is not None:
            return self.state.best_loss, self.state.best_step
        return (None, None) if self.best is None else (self.best.loss, self.best.step)


def format_loss(loss: float) -> str:
    """With three decimals, as long as that is short."""
    return f"{loss:.3f}" if abs(loss) < 1e5 else f"{loss:.3g}"


def printable(text: str) -> str:
    """The text in one line, without what a terminal would obey: a young model writes anything."""
    spaced = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(spaced.split())
