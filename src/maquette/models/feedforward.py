"""The feed-forward layer: two products, and a bend between them."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from maquette.shapes import Mlp


def gelu(x: Tensor) -> Tensor:
    """GPT-2's bend, with the tanh form (Hendrycks & Gimpel 2016, arXiv:1606.08415)."""
    return F.gelu(x, approximate="tanh")


def relu2(x: Tensor) -> Tensor:
    """Squared ReLU (So et al. 2021, arXiv:2109.08668), cheap and sparse."""
    h = F.relu(x)
    return h * h  # not square(): its gradient takes three passes more


def swiglu(x: Tensor) -> Tensor:
    """Gated, silu(gate) * up, with both in one product (Shazeer 2020, arXiv:2002.05202)."""
    gate, up = x.chunk(2, dim=-1)
    return F.silu(gate) * up


BENDS: dict[Mlp, tuple[Callable[[Tensor], Tensor], int]] = {
    "gelu": (gelu, 1),
    "relu2": (relu2, 1),
    "swiglu": (swiglu, 2),
}
"""Each bend, and how many times `hidden` channels it takes to give `hidden`."""


class FeedForward(nn.Module):
    """(B, T, width) -> (B, T, width) through `hidden` channels."""

    def __init__(self, *, width: int, hidden: int, kind: Mlp, bias: bool) -> None:
        super().__init__()
        self.bend, inputs = BENDS[kind]
        self.input = nn.Linear(width, inputs * hidden, bias=bias)
        self.output = nn.Linear(hidden, width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        y: Tensor = self.output(self.bend(self.input(x)))
        return y
