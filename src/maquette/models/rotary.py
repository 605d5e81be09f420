"""Rotary position embedding (Su et al. 2021, arXiv:2104.09864)."""

import torch
from torch import Tensor, nn


class RotaryPositions(nn.Module):
    """Tells attention where tokens stand, by how far queries and keys are turned."""

    cosines: Tensor
    sines: Tensor

    def __init__(self, *, positions: int, head_dim: int, base: float) -> None:
        super().__init__()
        cosines, sines = rotary_table(positions, head_dim, base)
        self.register_buffer("cosines", cosines, persistent=False)
        self.register_buffer("sines", sines, persistent=False)

    def forward(self, x: Tensor, where: slice | Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Embeddings (B, T, C) as they are, and the rows of the table for attention.

        `where` the tokens stand: a slice of positions, or those of each sequence, (B, T).
        """
        # (1, T, D) or (B, 1, T, D): the same for every head
        return x, (self.cosines[where].unsqueeze(-3), self.sines[where].unsqueeze(-3))


def rotary_table(positions: int, head_dim: int, base: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines of every position's angles, each (positions, head_dim).

    Channel i and channel i + head_dim/2 form a pair that turns by position * base^(-2i/head_dim):
    the half-rotation layout of Llama, in which each angle stands twice in a row of the table.
    """
    exponent = torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim
    angles = torch.outer(torch.arange(positions, dtype=torch.float32), base**-exponent)
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Turn each channel pair of queries or keys: x (B, H, T, D), table rows (T, D)."""
    first, second = x.chunk(2, dim=-1)
    turned = torch.cat((-second, first), dim=-1)
    return (x * cosines + turned * sines).to(x.dtype)
