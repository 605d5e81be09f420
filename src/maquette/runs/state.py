"""What a run is doing: the content of state.json, and how events change it."""

import dataclasses
import functools
import json
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from maquette.events import CheckpointSaved, Evaluated, Event, Finished, Started, StepDone
from maquette.runs.process import Process, process_from

Status = Literal["queued", "running", "completed", "failed", "stopped", "lost"]
_T = TypeVar("_T")
STATUSES: tuple[Status, ...] = typing.get_args(Status)
ACTIVE: tuple[Status, ...] = ("queued", "running")
_LATER = frozenset(
    {"telemetry", "sources", "doing", "accuracy"}
)  # fields that the first version didn't write


@dataclass(frozen=True, slots=True)
class Change:
    """A status that the run took on, and when (Unix seconds)."""

    status: Status
    at: float


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run failed, and what to try."""

    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What a run takes of its machine. 100 % of CPU is one core; None is for what isn't known."""

    cpu_percent: float | None = None
    memory_bytes: int | None = None
    machine_memory_bytes: int | None = None
    gpu_percent: float | None = None
    gpu_memory_bytes: int | None = None
    gpu_total_bytes: int | None = None
    gpu_note: str | None = None  # why figures of a GPU are missing


@dataclass(frozen=True, slots=True)
class SourceLoss:
    """One of several sources: its validation loss, and how many of its tokens were trained on."""

    name: str
    loss: float
    tokens_seen: int


@dataclass(frozen=True, slots=True)
class State:
    """Everything in state.json. Losses are in nats per token; None is for what isn't known yet.

    `lost` is never the status in the file: it is what readers call an active run whose worker is
    gone. The history has it, written by the next worker.
    """

    status: Status
    history: tuple[Change, ...] = ()
    process: Process | None = None
    step: int = 0
    steps: int = 0
    epoch: float = 0.0
    train_loss: float | None = None
    validation_loss: float | None = None
    best_loss: float | None = None
    best_step: int | None = None
    checkpoint_step: int | None = None
    tokens_per_second: float | None = None
    eta_seconds: float | None = None
    heartbeat_at: float | None = None
    device: str | None = None
    precision: str | None = None
    compiled: bool | None = None
    parameters: int | None = None
    error: Failure | None = None
    telemetry: Telemetry | None = None
    sources: tuple[SourceLoss, ...] = ()  # those of several, as of the last evaluation
    accuracy: float | None = None  # of an image run, in the last evaluation
    doing: str | None = None  # what a worker is at that doesn't train yet: preparing data, starting

    def changed(self, status: Status, at: float) -> "State":
        """The same with a new status, noted in the history."""
        return dataclasses.replace(
            self, status=status, history=(*self.history, Change(status, at)), heartbeat_at=at
        )

    def after(self, event: Event) -> "State":
        """The same after an event; status and times are not an event's business."""
        match event:
            case Started():
                return dataclasses.replace(
                    self,
                    step=event.step,
                    steps=event.steps,
                    device=event.device,
                    precision=event.precision,
                    compiled=event.compiled,
                    parameters=event.parameters,
                    doing=None,
                )
            case StepDone():
                return dataclasses.replace(
                    self, step=event.step, epoch=event.epoch, train_loss=event.loss
                )
            case Evaluated(split="validation"):
                sources = tuple(
                    SourceLoss(name, loss, event.tokens_seen.get(name, 0))
                    for name, loss in event.sources.items()
                )
                state = dataclasses.replace(
                    self, validation_loss=event.loss, sources=sources, accuracy=event.accuracy
                )
                if not event.best:
                    return state
                return dataclasses.replace(state, best_loss=event.loss, best_step=event.step)
            case CheckpointSaved():
                return dataclasses.replace(self, checkpoint_step=event.step)
            case _:
                return self

    def elapsed_seconds(self, now: float) -> float:
        """Seconds spent running, pauses left out; a lost run counts up to its last heartbeat."""
        total = 0.0
        ends = [change.at for change in self.history[1:]]
        ends.append((self.heartbeat_at or now) if self.status == "lost" else now)
        for change, end in zip(self.history, ends, strict=False):
            if change.status == "running":
                total += max(0.0, end - change.at)
        return total

    @property
    def kills(self) -> int:
        """How often its worker was lost."""
        return sum(change.status == "lost" for change in self.history)

    def to_json(self) -> dict[str, Any]:
        """The state as a JSON-ready object."""
        return dataclasses.asdict(self)


def state_from(text: str) -> State:
    """The state in the text of state.json, of this version, an older or a newer one.

    What a newer one added is passed over; what an older one lacks has its default. Raises
    ValueError if it isn't a state: one that lacks more than that is damaged.
    """
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    try:
        value["history"] = tuple(_known(Change, change) for change in value["history"])
        if value.get("process") is not None:
            value["process"] = process_from(value["process"])
        value["sources"] = tuple(_known(SourceLoss, s) for s in value.get("sources", ()))
        for name, kind in (("error", Failure), ("telemetry", Telemetry)):
            if value.get(name) is not None:
                value[name] = _known(kind, value[name])
        names = {field.name for field in dataclasses.fields(State)}
        if missing := names - _LATER - value.keys():
            raise KeyError(min(missing))
        state = _known(State, value)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a state: {error}") from None
    for part in (state, *state.history, *state.sources, state.error, state.telemetry):
        if part is not None:
            _check(part)
    return state


def rebuild(events: Iterable[tuple[float, Event]], *, created_at: float, alive: bool) -> State:
    """The state of a run whose state.json can't be read, from its events alone."""
    state = State("queued", (Change("queued", created_at),))
    for at, event in events:
        if isinstance(event, Started):
            state = state.changed("running", at)
        elif isinstance(event, Finished):
            state = state.changed("stopped" if event.reason == "stopped" else "completed", at)
        state = dataclasses.replace(state.after(event), heartbeat_at=at)
    if alive and state.status != "running":
        return state.changed("running", state.heartbeat_at or created_at)
    return state


def _known(kind: type[_T], value: dict[str, Any]) -> _T:
    """A dataclass from those of the keys that it knows."""
    names = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return kind(**{key: content for key, content in value.items() if key in names})


def _check(value: Any) -> None:
    """Hold a dataclass's plain fields to their annotations. Raises ValueError."""
    kind: Any = type(value)
    for name, allowed in _allowed(kind).items():
        content = getattr(value, name)
        if isinstance(content, int) and not -(2**63) <= content < 2**63:
            raise ValueError(f"{name} has {content.bit_length()} bits")
        if type(content) in allowed or (isinstance(content, str) and content in allowed):
            continue
        raise ValueError(f"{name}={content!r}")


@functools.cache
def _allowed(kind: Any) -> dict[str, frozenset[Any]]:
    """For each plain field the types that it may have, or the words."""
    allowed = {}
    for field in dataclasses.fields(kind):
        if typing.get_origin(field.type) is tuple:
            continue
        options = set(typing.get_args(field.type) or [field.type])
        if float in options:
            options.add(int)
        allowed[field.name] = frozenset(options)
    return allowed
