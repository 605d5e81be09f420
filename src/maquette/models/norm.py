"""Normalisation over channels."""

from torch import nn

from maquette.shapes import Norm


def make_norm(kind: Norm, width: int, *, epsilon: float, bias: bool) -> nn.Module:
    """A norm over the last dimension, (..., width) -> (..., width).

    `layer`: LayerNorm (Ba et al. 2016, arXiv:1607.06450).
    `rms`: RMSNorm (Zhang & Sennrich 2019, arXiv:1910.07467), which never has a bias.
    """
    if kind == "layer":
        return nn.LayerNorm(width, eps=epsilon, bias=bias)
    return nn.RMSNorm(width, eps=epsilon)
