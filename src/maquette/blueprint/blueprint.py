"""The blueprint: everything about a run that can be known before it, as plain numbers."""

from dataclasses import dataclass
from typing import Literal

from maquette.augmentation import Augmentation
from maquette.facts import DataFacts, ImageFacts
from maquette.shapes import ConvNeXtShape, GPTShape


@dataclass(frozen=True, slots=True)
class SchedulePlan:
    """The learning rate over the run, as a multiple of the peak; all in steps."""

    kind: Literal["cosine", "linear", "constant", "wsd"]
    steps: int
    warmup_steps: int
    decay_steps: int  # the last steps, in which the rate falls; 0 for constant
    final_fraction: float


@dataclass(frozen=True, slots=True)
class Extension:
    """More steps than the spec asked for, and the learning rate over them.

    `continue`: `schedule` as though the run had been meant for the new steps from its start.
    `rewarm`: from the rate reached back to the peak, then down again; `schedule` counts from
    `after_step`. `constant`: the rate reached is kept.
    """

    after_step: int
    how: Literal["continue", "rewarm", "constant"]
    schedule: SchedulePlan


@dataclass(frozen=True, slots=True)
class OptimizerPlan:
    """The optimizer's numbers. `muon_learning_rate` and `momentum` are None for AdamW."""

    kind: Literal["adamw", "muon"]
    learning_rate: float
    weight_decay: float
    beta1: float
    beta2: float
    epsilon: float
    muon_learning_rate: float | None
    momentum: float | None


@dataclass(frozen=True, slots=True)
class Mixture:
    """Source -> its share of the windows trained on, adding up to 1; and what the weights did."""

    shares: dict[str, float]
    given_total: float


@dataclass(frozen=True, slots=True)
class TrainPlan:
    """The run, step by step: every interval resolved to a number of steps.

    A window is what a model sees at once: `context` tokens, or one image, which counts as a token.
    """

    steps: int
    epochs: float
    batch_size: int  # windows a step
    accumulation: int
    windows_per_epoch: int
    tokens_per_step: int
    tokens: int
    schedule: SchedulePlan
    extensions: tuple[Extension, ...]  # oldest first
    optimizer: OptimizerPlan
    gradient_clip: float | None
    evaluate_every: int
    evaluate_windows: int
    patience: int | None
    checkpoint_every: int | None  # None: as often as pays for itself
    checkpoint_keep: int
    average: float  # share of the moving average that stays each step; 0: no average
    precision: Literal["auto", "float32", "bf16", "fp16"]
    compile: bool | Literal["auto"]


@dataclass(frozen=True, slots=True)
class TextPlan(TrainPlan):
    """How a language model learns."""

    mixture: Mixture | None  # None: every window of every source once an epoch
    sample_every: int
    sample_prompt: str
    sample_tokens: int
    sample_temperature: float
    sample_top_k: int | None
    objective: Literal["text", "chat"] = "text"  # chat: the loss is on what the assistant says


@dataclass(frozen=True, slots=True)
class ImagePlan(TrainPlan):
    """How an image classifier learns."""

    augmentation: Augmentation
    evaluate_flip: bool
    layer_decay: float


@dataclass(frozen=True, slots=True)
class Costs:
    """What the run takes, whatever the machine. Activations are those of one micro-batch."""

    flops_per_token: int  # forward and backward
    flops: int  # the whole run
    weights_bytes: int
    gradients_bytes: int
    optimizer_bytes: int
    activations_bytes: int
    checkpoint_bytes: int


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A spec with every number resolved. Written to `blueprint.json`."""

    name: str
    seed: int
    tokenizer: Literal["bytes", "bpe"]
    shape: GPTShape
    facts: DataFacts
    parameters: dict[str, int]  # part -> count; the parts add up to "total"
    train: TextPlan
    costs: Costs


@dataclass(frozen=True, slots=True)
class ImageBlueprint:
    """An image classifier's spec with every number resolved. Written to `blueprint.json`."""

    name: str
    seed: int
    task: Literal["image-classification"]
    shape: ConvNeXtShape
    facts: ImageFacts
    parameters: dict[str, int]  # part -> count; the parts add up to "total"
    train: ImagePlan
    costs: Costs


AnyBlueprint = Blueprint | ImageBlueprint
