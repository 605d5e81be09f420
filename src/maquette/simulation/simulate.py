"""A training that isn't one: the events that `train` would yield, at the times it would."""

import math
import random
from collections.abc import Iterator

from maquette.events import CheckpointSaved, Evaluated, Event, Finished, Note, Started, StepDone
from maquette.simulation.loss import loss_after, perplexity
from maquette.simulation.rehearsal import RESTART_SECONDS
from maquette.simulation.story import Incident, Story

_SLOW_REPORTS = 5  # that a straggler lasts
_SPIKES = 1.5  # small ones that nobody has to do anything about, in a run
_RECOVERY = 200.0  # they are gone after a hundredth of it
_EVALUATION_SHARE = 0.005  # of the time between two evaluations


def simulate(story: Story, *, report_every: int | None = None) -> Iterator[tuple[float, Event]]:
    """Each event with its time: seconds since the start, as the rehearsal has them.

    A step is told of every `report_every` steps; its `step_seconds` is the mean since the last.
    """
    return _Simulation(story, report_every or story.report_every).events()


def learning_rate(story: Story, step: int) -> float:
    """A linear warmup, then half a cosine wave down to a tenth."""
    if step < story.warmup_steps:
        return story.learning_rate * step / story.warmup_steps
    done = (step - story.warmup_steps) / max(1, story.steps - story.warmup_steps)
    return story.learning_rate * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * done)))


class _Simulation:
    """What changes along the run."""

    def __init__(self, story: Story, report_every: int) -> None:
        self.story = story
        self.report_every = report_every
        self.rng = random.Random(f"run {story.module} {story.seed}")
        self.incidents = list(story.incidents)
        self.now = 0.0
        self.step = 0
        self.saved = 0  # the step of the last checkpoint
        self.best = math.inf
        self.worse = 0  # evaluations since the best one
        self.slow: Incident | None = None
        self.slow_until = 0
        self.bump = 0.0  # what is left of a small spike
        self.hosts: dict[str, str] = {}  # that have taken the places of others
        self.spares = 0
        self.share = 0.0  # of the run, since the last step that was told of
        self.step_seconds = 0.0

    def events(self) -> Iterator[tuple[float, Event]]:
        story = self.story
        yield self.now, self._started()
        while self.step < story.steps:
            step = min(self.step + self._stride(), story.steps)
            yield self.now_after(step), self._step_done(step)
            last = step == story.steps
            if self.slow and step >= self.slow_until:
                yield self.now, Note(step, f"rank {self.slow.rank} keeps up again")
                self.slow = None
            if step % story.evaluate_every == 0 or last:
                yield from self._evaluate()
            if step % story.checkpoint_every == 0 or last:
                yield from self._save()
            if self.worse >= story.patience:
                yield self.now, Finished(step, "early_stop")
                return
            if self.incidents and self.incidents[0].step <= step and not last:
                yield from self._go_wrong(self.incidents.pop(0))
        yield self.now, Finished(story.steps, "completed")

    def _stride(self) -> int:
        """To the next step that is told of: evaluations and checkpoints always are."""
        nearest = self.report_every - self.step % self.report_every
        for every in (self.story.evaluate_every, self.story.checkpoint_every):
            nearest = min(nearest, every - self.step % every)
        if self.incidents and self.incidents[0].step > self.step:
            nearest = min(nearest, self.incidents[0].step - self.step)
        return nearest

    def _started(self) -> Started:
        device = self.story.rehearsal.cluster.name
        return Started(self.step, self.story.steps, self.story.parameters, device, "bf16", True)

    def now_after(self, step: int) -> float:
        """The time after going on to a step; the step's own seconds vary by a few in a thousand."""
        seconds = self.story.rehearsal.step.seconds * (1 + abs(self.rng.gauss(0, 0.004)))
        if self.slow:
            seconds *= self.slow.size
        self.step_seconds = seconds
        self.share = (step - self.step) / self.story.steps
        self.now += (step - self.step) * seconds
        self.step = step
        return self.now

    def _step_done(self, step: int) -> StepDone:
        story, rng = self.story, self.rng
        self.bump *= math.exp(-_RECOVERY * self.share)
        if rng.random() < _SPIKES * self.share and step > story.warmup_steps:
            self.bump = rng.uniform(0.1, 0.35)
        loss = self._loss(step) * (1 + self.bump) + self._noise(step)
        progress = step / story.steps
        calm = 0.22 + 4.0 * math.exp(-25 * progress)
        return StepDone(
            step=step,
            epoch=story.epochs * step / story.steps,
            tokens=step * story.tokens_per_step,
            loss=round(max(loss, 0.01), 6),
            learning_rate=learning_rate(story, step),
            gradient_norm=round(calm * math.exp(rng.gauss(0, 0.12)) * (1 + 6 * self.bump), 4),
            step_seconds=self.step_seconds,
        )

    def _loss(self, step: int) -> float:
        story = self.story
        return loss_after(
            step * story.tokens_per_step,
            total_tokens=story.steps * story.tokens_per_step,
            first=story.first_loss,
            final=story.final_loss,
        )

    def _noise(self, step: int) -> float:
        """Smaller as the model learns, as the losses of its batches come closer together."""
        return self.rng.gauss(
            0, 0.004 * self._loss(step) * (1 + 2 / (1 + 20 * step / self.story.steps))
        )

    def _evaluate(self) -> Iterator[tuple[float, Event]]:
        story, step = self.story, self.step
        loss = 1.01 * self._loss(step) + abs(self._noise(step)) / 4
        beyond = step / story.steps - story.overfits
        if beyond > 0:
            loss *= 1 + 0.5 * beyond
        loss = round(loss, 6)
        best = loss < self.best
        self.best = min(self.best, loss)
        self.worse = 0 if best else self.worse + 1
        seconds = _EVALUATION_SHARE * story.evaluate_every * story.rehearsal.step.seconds
        self.now += seconds
        text = story.unit == "tokens"
        accuracy = None if text else round(1 - (loss / story.first_loss) ** 0.8, 6)
        yield (
            self.now,
            Evaluated(
                step=step,
                split="validation",
                loss=loss,
                perplexity=perplexity(loss) if text else None,
                best=best,
                seconds=seconds,
                accuracy=None if accuracy is None else max(accuracy, 0.0),
            ),
        )

    def _save(self) -> Iterator[tuple[float, Event]]:
        told = self.story.rehearsal
        self.now += told.checkpoint_seconds
        self.saved = self.step
        best = self.worse == 0
        size = round(told.checkpoint_bytes)
        yield self.now, CheckpointSaved(self.step, best, size, told.checkpoint_seconds)

    def _go_wrong(self, incident: Incident) -> Iterator[tuple[float, Event]]:
        story = self.story
        place = story.host_of(incident.rank)
        host = self.hosts.get(place, place)
        if incident.kind == "straggler":
            self.slow = incident
            self.slow_until = self.step + _SLOW_REPORTS * story.report_every
            text = (
                f"rank {incident.rank} on {host} is {incident.size:.2f}x slower: {incident.words}"
            )
            yield self.now, Note(self.step, text)
            return
        if incident.kind == "failure":
            yield self.now, Note(self.step, f"{host} is lost: {incident.words}")
            self.now += RESTART_SECONDS
            spare = f"{story.host}-{story.rehearsal.cluster.nodes + self.spares:04d}"
            self.spares += 1
            self.hosts[place] = spare
            yield self.now, Note(self.step, f"{spare} takes its place")
        else:
            now = self._loss(self.step) * incident.size
            text = f"loss {now:.3f} is out of bounds ({incident.words}): rolling back"
            yield self.now, Note(self.step, text)
        self.now += story.rehearsal.checkpoint_seconds  # read as fast as it was written
        self.step = self.saved
        yield self.now, self._started()
