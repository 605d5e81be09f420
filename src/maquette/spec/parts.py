"""What the specs of all tasks share: the kind of part they are made of, and how a model learns.

Types are strict: `"6"`, `6.0` and `yes` are neither a whole number nor true.
"""

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from maquette.quantities import parse_bytes, parse_count, parse_duration

NAME = r"^[a-z][a-z0-9-]{0,63}$"
Name = Annotated[str, Field(pattern=NAME)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
WEIGHTS = (".safetensors", ".pth", ".pt", ".bin")
"""What the name of a file of weights ends in, where a run could stand."""
Paths = str | Annotated[list[str], Field(min_length=1, max_length=1000)]


def _written_as(parse: Callable[[str], float]) -> BeforeValidator:
    """For numbers that may be written with a unit: `10M`, `2GiB`, `20ms`."""

    def read(value: object) -> object:
        return parse(value) if isinstance(value, str) else value

    return BeforeValidator(read, json_schema_input_type=float | str)


Count = Annotated[int, _written_as(parse_count)]
Bytes = Annotated[int, _written_as(parse_bytes)]
Seconds = Annotated[float, _written_as(parse_duration)]


class Part(BaseModel):
    """A part of a spec: frozen, and closed to keys that it doesn't know."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        serialize_by_alias=True,
    )


class DefaultKind:
    """Fills in `kind` where a mapping leaves it out: `optimizer: {weight_decay: 0.01}`."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __call__(self, value: object) -> object:
        """The mapping with its kind; anything else as it is."""
        return {"kind": self.kind, **value} if isinstance(value, dict) else value


class HubPart(Part):
    """What data sets of the Hugging Face hub share."""

    dataset: str = Field(
        min_length=1,
        max_length=200,
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)?$",
    )
    """Its name, such as `roneneldan/TinyStories` or `ILSVRC/imagenet-1k`."""
    config: str | None = Field(default=None, max_length=200)
    """Its configuration, where it has several."""
    split: str = Field(default="train", max_length=100)
    """The split to train on."""
    validation_split: str | None = Field(default=None, max_length=100)
    """The split to validate on; without it, `validation_fraction` is held out."""
    test_split: str | None = Field(default=None, max_length=100)
    """The test split, if there is one."""
    revision: str | None = Field(default=None, max_length=100)
    """A commit or tag, to pin the data."""


class OptimizerPart(Part):
    """What both optimizers share."""

    weight_decay: float = Field(default=0.1, ge=0, le=10)
    """Decay of matrices; norms, biases and gains are left alone."""
    beta1: Fraction = 0.9
    """Memory of the gradient's mean."""
    beta2: Fraction = 0.95
    """Memory of the gradient's square."""
    epsilon: float = Field(default=1e-8, gt=0, le=1)
    """Added to the denominator."""


class AdamW(OptimizerPart):
    """AdamW, with weight decay on matrices only (Loshchilov & Hutter 2019)."""

    kind: Literal["adamw"] = "adamw"
    """The optimizer."""


class Muon(OptimizerPart):
    """Muon for the blocks' matrices, AdamW for everything else (Jordan et al. 2024)."""

    kind: Literal["muon"]
    """The optimizer."""
    muon_learning_rate: float = Field(default=0.02, gt=0, le=10)
    """Peak learning rate of the matrices; `learning_rate` is that of the rest."""
    momentum: Fraction = 0.95
    """Momentum of the matrices (Nesterov)."""


Optimizer = Annotated[
    AdamW | Muon, Field(discriminator="kind"), BeforeValidator(DefaultKind("adamw"))
]


class Schedule(Part):
    """How the learning rate moves over the run."""

    kind: Literal["cosine", "linear", "constant", "wsd"] = "cosine"
    """After warmup: cosine or linear decay, constant, or warmup-stable-decay."""
    warmup_steps: int | None = Field(default=None, ge=0)
    """Steps of linear rise from zero; a twentieth of the run, at most 200."""
    final_fraction: float = Field(default=0.1, ge=0, le=1)
    """The last learning rate as a share of the peak."""
    decay_fraction: float = Field(default=0.2, gt=0, le=1)
    """wsd: the share of the run, at its end, that decays."""


class Checkpoints(Part):
    """What is kept on disk while training."""

    every: int | None = Field(default=None, ge=1)
    """Steps between checkpoints; chosen while training, so that saving takes at most a fiftieth of
    the time and a kill loses little."""
    keep: int = Field(default=3, ge=2, le=10_000)
    """Latest checkpoints to keep; the best one is kept besides."""


class TrainPart(Part):
    """What every training has."""

    from_run: str | None = Field(default=None, alias="from", min_length=1, max_length=4096)
    """A run to begin from: its id, the beginning of one, `latest`, or a path. Its weights come
    first, and model and tokenizer are its own; null: weights drawn by the seed."""
    from_checkpoint: int | Literal["best", "latest"] = "best"
    """Which of that run's checkpoints: best, latest or a step."""
    steps: int | None = Field(default=None, ge=1)
    """Optimizer steps; give this or `epochs` (2000 steps when neither is given)."""
    epochs: float | None = Field(default=None, gt=0, le=100_000)
    """Passes over the training windows or images; give this or `steps`."""
    batch_size: int = Field(default=32, ge=1, le=1_048_576)
    """Windows or images in one optimizer step."""
    accumulation: int = Field(default=1, ge=1, le=65536)
    """Parts that a batch is computed in to save memory; must divide `batch_size`."""
    learning_rate: float = Field(default=1e-3, gt=0, le=10)
    """Peak learning rate."""
    schedule: Schedule = Schedule()
    """How the learning rate moves."""
    optimizer: Optimizer = AdamW()
    """adamw or muon."""
    gradient_clip: float | None = Field(default=1.0, gt=0)
    """Longest gradient (L2 norm over all parameters); null: no clipping."""
    checkpoint: Checkpoints = Checkpoints()
    """What is kept on disk."""
    average: Fraction = Field(default=0.0, le=0.9999)
    """Moving average of the weights, in use for evaluation, samples and the saved model; the
    share that stays each step, such as 0.95; 0: none."""
    precision: Literal["auto", "float32", "bf16", "fp16"] = "auto"
    """Arithmetic of matrix products; weights and optimizer state are float32 always."""
    compile: bool | Literal["auto"] = "auto"
    """torch.compile; auto: when it saves more time in this run than it costs."""
