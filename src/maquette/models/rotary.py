"""Rotary position embedding (Su et al. 2021, arXiv:2104.09864)."""

import torch
from torch import Tensor


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
