"""The middle of the show: steps, validation, checkpoints, and what goes wrong."""

import dataclasses
import math
import random
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from maquette.events import CheckpointSaved, Evaluated, Event, Finished, Note, Started, StepDone
from maquette.quantities import format_bytes, format_count, format_duration
from maquette.simulation.hardware import read_data
from maquette.simulation.paint import Line, Painter
from maquette.simulation.story import Story

_GRID_EVERY = 50  # reports
_GRID_SERVERS = 16
_FRAMES = 3  # of a bar between two reports


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of the training, as it was told line by line."""

    seconds: float = 0.0
    steps: int = 0
    tokens: int = 0  # in the model that is left
    stepped: int = 0  # steps done, those that were lost again too
    stepping_seconds: float = 0.0
    final_loss: float = 0.0
    best_loss: float = float("inf")
    best_step: int = 0
    checkpoints: int = 0
    restarts: int = 0
    reason: str = ""


class Progress:
    """Turns events into lines and keeps the account."""

    def __init__(self, story: Story, painter: Painter, rng: random.Random) -> None:
        self.story = story
        self.painter = painter
        self.rng = rng
        self.words = read_data("show")
        self.outcome = Outcome()
        self._step = 0
        self._epoch = 0
        self._reports = 0
        self._worse = 0
        self._lost = ""
        self._spares: dict[str, str] = {}  # that stand for lost servers

    def lines(self, at: float, event: Event) -> Iterator[Line]:
        """The lines of one event, `at` seconds after the start."""
        self.outcome = dataclasses.replace(self.outcome, seconds=at)
        match event:
            case Started():
                yield from self._started(event)
            case StepDone():
                yield from self._step_done(event)
            case Evaluated():
                yield from self._evaluated(event)
            case CheckpointSaved():
                yield from self._saved(event)
            case Note():
                yield from self._note(event)
            case Finished():
                self.outcome = dataclasses.replace(self.outcome, reason=event.reason)
                if event.reason == "early_stop":
                    text = "early stop: the validation loss falls no more"
                    yield from self._say("yellow", text, 1.0)

    def _started(self, event: Started) -> Iterator[Line]:
        if event.step == 0:
            yield self.painter.title("training", 0.4)
            return
        self.outcome = dataclasses.replace(self.outcome, restarts=self.outcome.restarts + 1)
        self._step = event.step
        self._epoch = min(self._epoch, self._epoch_of(event.step))
        told = self.story.rehearsal
        size = format_bytes(told.checkpoint_bytes)
        where = f"step-{event.step:08d}"
        took = format_duration(told.checkpoint_seconds)
        yield from self._say("green", f"resumed from {where}: {size} in {took}", 1.0)

    def _epoch_of(self, step: int) -> int:
        done = int(step * self.story.epochs // self.story.steps)
        return min(math.ceil(self.story.epochs) - 1, done)

    def _step_done(self, event: StepDone) -> Iterator[Line]:
        story, done = self.story, event.step - self._step
        self.outcome = dataclasses.replace(
            self.outcome,
            steps=event.step,
            tokens=event.tokens,
            stepped=self.outcome.stepped + done,
            stepping_seconds=self.outcome.stepping_seconds + done * event.step_seconds,
        )
        for frame in range(1, _FRAMES):
            between = self._step + done * frame / _FRAMES
            yield self._bar(between / story.steps, 0.35, passing=True)
        self._step = event.step
        yield from self._report(event)
        epoch = self._epoch_of(event.step) + (event.step == story.steps)
        if epoch > self._epoch:
            self._epoch = epoch
            yield self._bar(event.step / story.steps, 0.4, passing=False)
        self._reports += 1
        if self._reports % _GRID_EVERY == 5:
            yield from self._grid()

    def _bar(self, share: float, pause: float, *, passing: bool) -> Line:
        epochs = math.ceil(self.story.epochs)
        done = share * self.story.epochs
        current = min(epochs, int(done) + 1) if passing else self._epoch
        within = min(done - (current - 1), 1.0)
        note = f"{share:.1%} of all"
        label = f"epoch {current}/{epochs}"
        return self.painter.progress(label, within, note, pause, passing=passing)

    def _report(self, event: StepDone) -> Iterator[Line]:
        story, p = self.story, self.painter
        speed = story.tokens_per_step / event.step_seconds
        mfu = story.rehearsal.step.mfu * story.rehearsal.step.seconds / event.step_seconds
        left = format_duration((story.steps - event.step) * event.step_seconds)
        count = f"{event.step:>{len(str(story.steps))}}/{story.steps}"
        first = (
            f"  {p.paint('step', 'dim')} {count}  "
            f"{p.paint('loss', 'dim')} {p.paint(f'{event.loss:.4f}', 'bold')}  "
            f"{p.paint('lr', 'dim')} {event.learning_rate:.2e}"
        )
        second = (
            f"{p.paint('norm', 'dim')} {event.gradient_norm:.2f}  "
            f"{format_count(speed)} {story.unit}/s  {p.paint('MFU', 'dim')} {mfu:.1%}  "
            f"{p.paint('ETA', 'dim')} {left}"
        )
        if p.width >= 104:
            yield p.line(f"{first}  {second}", 0.5)
            return
        yield p.line(first, 0.1)
        yield p.line(f"       {second}", 0.4)

    def _grid(self) -> Iterator[Line]:
        """Memory, use and temperature of every device, a server a line."""
        p, rng, told = self.painter, self.rng, self.story.rehearsal
        device = told.cluster.device
        busy = min(0.99, 0.9 + 0.1 * told.step.mfu)
        servers = -(-told.layout.devices // device.per_node)
        yield p.line(f"  {p.paint('devices: memory, use, temperature', 'bold')}", 0.2)
        for server in range(min(servers, _GRID_SERVERS)):
            count = min(device.per_node, told.layout.devices - server * device.per_node)
            use = [round(100 * busy - rng.random() * 5) for _ in range(count)]
            heat = sorted(round(rng.gauss(64, 3)) for _ in range(count))
            cells = " ".join(p.paint(f"{u:>2}", "green" if u > 92 else "yellow") for u in use)
            name = self.story.host_of(server * device.per_node)
            while name in self._spares:
                name = self._spares[name]
            used = told.memory.total / 2**30 * (1 - 0.01 * rng.random())
            yield p.line(f"  {name:<10} {used:6.2f} GiB  {cells} %  {heat[0]}-{heat[-1]} °C", 0.12)
        if servers > _GRID_SERVERS:
            yield p.line(f"  {p.paint(f'and {servers - _GRID_SERVERS} more', 'dim')}", 0.2)

    def _evaluated(self, event: Evaluated) -> Iterator[Line]:
        p, outcome = self.painter, self.outcome
        self._worse = 0 if event.best else self._worse + 1
        self.outcome = dataclasses.replace(
            outcome,
            final_loss=event.loss,
            best_loss=event.loss if event.best else outcome.best_loss,
            best_step=event.step if event.best else outcome.best_step,
        )
        yield from self._say("cyan", self.rng.choice(self.words["validation"]), 0.3)
        for share in (0.2, 0.45, 0.7, 0.9):
            yield p.progress("validation", share, "", 0.2, passing=True)
        took = format_duration(event.seconds)
        yield p.progress("validation", 1.0, took, 0.1, passing=False)
        told = f"loss {event.loss:.4f}"
        if event.perplexity is not None:
            told += f"  perplexity {event.perplexity:.3f}"
        if event.accuracy is not None:
            told += f"  accuracy {event.accuracy:.2%}"
        if event.best:
            told += "  " + p.paint("best so far", "green")
        else:
            patience = f"no better for {self._worse} of {self.story.patience}"
            told += "  " + p.paint(patience, "yellow")
        yield p.line(f"  {told}", 0.8)

    def _saved(self, event: CheckpointSaved) -> Iterator[Line]:
        """As many files as there are devices with a part of their own."""
        p, story = self.painter, self.story
        self.outcome = dataclasses.replace(self.outcome, checkpoints=self.outcome.checkpoints + 1)
        layout = story.rehearsal.layout
        files = layout.devices if layout.sharded else layout.tensor * layout.pipeline
        for share in (0.3, 0.6, 0.9):
            note = f"{round(share * files)} of {files} files"
            yield p.progress("save", share, note, 0.2, passing=True)
        rate = format_bytes(event.bytes / event.seconds)
        size, took = format_bytes(event.bytes), format_duration(event.seconds)
        count = f"{files} files" if files > 1 else "one file"
        yield p.line(f"  {p.paint('saved', 'green')} {story.folder}/step-{event.step:08d}", 0.2)
        yield p.line(f"        {size} in {count}, {took} at {rate}/s", 0.5)

    def _note(self, event: Note) -> Iterator[Line]:
        good = "keeps up" in event.text or "takes its place" in event.text
        host, _, what = event.text.partition(" ")
        if what.startswith("is lost"):
            self._lost = host
        elif what == "takes its place":
            self._spares[self._lost] = host
        yield from self._say("green" if good else "red", event.text, 0.5 if good else 1.5)

    def _say(self, colour: str, text: str, pause: float) -> Iterator[Line]:
        """All of it, in as many lines as that takes."""
        p, mark = self.painter, {"red": "!", "green": "+", "yellow": "~", "cyan": "?"}[colour]
        first, *rest = textwrap.wrap(text, p.width - 4)
        yield p.line(f"  {p.paint(mark, colour, 'bold')} {first}", 0.0 if rest else pause)
        for left, line in enumerate(rest, 1 - len(rest)):
            yield p.line(f"    {line}", 0.0 if left else pause)
