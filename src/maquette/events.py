"""What happens during a run, as values. The loop yields them; everything else reads them.

Standard library only. An event is stored as one JSON object a line: `{"event": "step", ...}`.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, Literal


@dataclass(frozen=True, slots=True)
class Started:
    """The first event of a worker; `step` is 0, or the step that it resumes after."""

    kind: ClassVar[str] = "started"
    step: int
    steps: int
    parameters: int
    device: str
    precision: str
    compiled: bool


@dataclass(frozen=True, slots=True)
class Note:
    """A decision or warning said aloud: compile or not, a batch cut, early stop ahead."""

    kind: ClassVar[str] = "note"
    step: int
    text: str


@dataclass(frozen=True, slots=True)
class StepDone:
    """One optimizer step. `loss` is the mean training loss in nats per token before the update.

    `batch` is a checksum of what the step was trained on: CRC-32 of the inputs' bytes, then of the
    targets'. Runs from before it was written down have 0.
    """

    kind: ClassVar[str] = "step"
    step: int
    epoch: float
    tokens: int
    loss: float
    learning_rate: float
    gradient_norm: float
    step_seconds: float
    batch: int = 0


@dataclass(frozen=True, slots=True)
class Evaluated:
    """How the model does on a fixed part of a split.

    `best` says that no earlier evaluation of this run had a lower loss.
    """

    kind: ClassVar[str] = "evaluated"
    step: int
    split: str
    loss: float
    """Mean in nats, over tokens or images; of several sources, by their shares in the training."""
    perplexity: float | None = None
    bits_per_byte: float | None = None
    word_perplexity: float | None = None
    """Of sources that count words as the papers do (WikiText)."""
    best: bool = False
    seconds: float = 0.0
    sources: dict[str, float] = dataclasses.field(default_factory=dict, hash=False)
    """The loss of each of several sources."""
    tokens_seen: dict[str, int] = dataclasses.field(default_factory=dict, hash=False)
    """How many tokens of each were trained on so far."""
    accuracy: float | None = None
    """The share of images told right."""
    top5: float | None = None
    """The share whose class is among the five likeliest."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """Text that the model wrote after `prompt`."""

    kind: ClassVar[str] = "sampled"
    step: int
    prompt: str
    text: str


@dataclass(frozen=True, slots=True)
class CheckpointDue:
    """The loop stands still after a whole step: whoever reads it may save its state now."""

    kind: ClassVar[str] = "checkpoint_due"
    step: int
    best: bool


@dataclass(frozen=True, slots=True)
class CheckpointSaved:
    """A checkpoint is on disk, verified and committed; later steps may have been done meanwhile.

    `seconds`: what it took from the training: how long that stood still, and the processor's time
    for the rest, which was done beside it.
    """

    kind: ClassVar[str] = "checkpoint"
    step: int
    best: bool
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event of a worker that ended on its own terms."""

    kind: ClassVar[str] = "finished"
    step: int
    reason: Literal["completed", "early_stop", "stopped"]


LoopEvent = Note | StepDone | Evaluated | Sampled | CheckpointDue | Finished
"""What the training loop itself yields."""
Event = LoopEvent | Started | CheckpointSaved

EVENTS: dict[str, type[Event]] = {
    e.kind: e
    for e in (
        Started,
        Note,
        StepDone,
        Evaluated,
        Sampled,
        CheckpointDue,
        CheckpointSaved,
        Finished,
    )
}


def to_row(event: Event) -> dict[str, Any]:
    """The event as a JSON-ready object."""
    return {"event": event.kind, **dataclasses.asdict(event)}


def from_row(row: dict[str, Any]) -> Event | None:
    """The event in a row; None for a kind that this version doesn't know."""
    event_type = EVENTS.get(row.get("event", ""))
    if event_type is None:
        return None
    names = {f.name for f in dataclasses.fields(event_type)}
    return event_type(**{key: value for key, value in row.items() if key in names})
