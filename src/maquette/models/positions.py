"""The ways to tell a GPT where a token stands: what embeddings get, and what attention does."""

from collections.abc import Callable

from torch import Tensor, nn

from maquette.models.learned import LearnedPositions
from maquette.models.rotary import RotaryPositions, rotate
from maquette.shapes import GPTShape, Position


def learned(shape: GPTShape) -> nn.Module:
    """A vector for each place."""
    return LearnedPositions(shape.context, shape.width)


def rope(shape: GPTShape) -> nn.Module:
    """An angle for each place."""
    return RotaryPositions(positions=shape.context, head_dim=shape.head_dim, base=shape.rope_base)


POSITIONS: dict[Position, Callable[[GPTShape], nn.Module]] = {
    "learned": learned,
    "rope": rope,
}
ROTATIONS: dict[Position, Callable[[Tensor, Tensor, Tensor], Tensor] | None] = {
    "learned": None,
    "rope": rotate,
}
