"""What was chosen for a spec with a budget, and why, in a line each. Pure."""

import math
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from maquette.blueprint.length import Length
from maquette.blueprint.resolve import standard_hidden
from maquette.quantities import format_count
from maquette.shapes import GPTShape

_LEARNING_RATES = {"adamw": 1e-3, "muon": 5e-3}  # of embeddings and norms, at a width of 256


class Choice(NamedTuple):
    """One number that was chosen: its key in the spec, its value, and why."""

    key: str
    value: float | str
    why: str


def learning_rate(optimizer: Literal["adamw", "muon"], width: int) -> float:
    """It falls with the root of the width: with AdamW to 5.8e-4 at 768 and 2.5e-4 at 4096, as in
    GPT-3, Pythia and Llama."""
    return float(f"{_LEARNING_RATES[optimizer] * math.sqrt(256 / width):.2g}")


def about_shape(shape: GPTShape) -> Iterator[Choice]:
    """The dimensions of a model."""
    usual = standard_hidden(shape.mlp, shape.width)
    times = f"{shape.hidden / shape.width:.3g} x width"
    if shape.hidden != usual:
        times += f" where {usual / shape.width:.3g} x is usual: it makes up the rest"
    aspect = f"width / depth {shape.width / shape.depth:.0f}"
    why = f"{aspect}, near 32 + 3 x depth = {32 + 3 * shape.depth}"
    yield Choice("model.depth", shape.depth, why)
    yield Choice("model.width", shape.width, f"{shape.heads} heads of {shape.head_dim}")
    yield Choice("model.heads", shape.heads, f"of {shape.head_dim} channels")
    yield Choice("model.hidden", shape.hidden, times)


def about_training(
    train: dict[str, Any], length: Length, *, context: int, optimizer: str
) -> Iterator[Choice]:
    """Steps, batch and learning rate: the values of keys of `train` in a spec."""
    batch, parts = train["batch_size"], train["accumulation"]
    if "steps" in train:
        total = format_count(train["steps"] * batch * context)
        yield Choice("train.steps", train["steps"], f"{total} tokens: {length.why}")
    tokens, all_of_them = format_count(batch * context), format_count(length.tokens)
    why = f"{tokens} tokens, as suits {all_of_them} tokens of training"
    yield Choice("train.batch_size", batch, why)
    yield Choice("train.accumulation", parts, f"{batch // parts} windows at once")
    why = f"{_LEARNING_RATES[optimizer]:g} x sqrt(256 / width), for {optimizer}"
    yield Choice("train.learning_rate", train["learning_rate"], why)
