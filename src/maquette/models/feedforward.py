"""Feed-forward layers: the same two products around three kinds of bend."""

from torch import Tensor, nn
from torch.nn import functional as F

from maquette.shapes import Mlp


class FeedForward(nn.Module):
    """(B, T, width) -> (B, T, width) through `hidden` channels.

    `gelu`: GPT-2's, with the tanh form (Hendrycks & Gimpel 2016, arXiv:1606.08415).
    `swiglu`: gated, silu(gate) * up, with both in one product (Shazeer 2020, arXiv:2002.05202).
    `relu2`: squared ReLU (So et al. 2021, arXiv:2109.08668), cheap and sparse.
    """

    def __init__(self, *, width: int, hidden: int, kind: Mlp, bias: bool) -> None:
        super().__init__()
        self.kind = kind
        self.input = nn.Linear(width, 2 * hidden if kind == "swiglu" else hidden, bias=bias)
        self.output = nn.Linear(hidden, width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        h = self.input(x)
        if self.kind == "swiglu":
            gate, up = h.chunk(2, dim=-1)
            h = F.silu(gate) * up
        elif self.kind == "gelu":
            h = F.gelu(h, approximate="tanh")
        else:
            h = F.relu(h)
            h = h * h  # not square(): its gradient takes three passes more
        return self.output(h)  # type: ignore[no-any-return]
