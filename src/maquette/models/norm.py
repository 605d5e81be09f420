"""Normalisation over channels, (..., width) -> (..., width)."""

from collections.abc import Callable

from torch import nn

from maquette.shapes import Norm


def layer_norm(width: int, epsilon: float, bias: bool) -> nn.Module:
    """LayerNorm (Ba et al. 2016, arXiv:1607.06450)."""
    return nn.LayerNorm(width, eps=epsilon, bias=bias)


def rms_norm(width: int, epsilon: float, _bias: bool) -> nn.Module:
    """RMSNorm (Zhang & Sennrich 2019, arXiv:1910.07467), which never has a bias."""
    return nn.RMSNorm(width, eps=epsilon)


NORMS: dict[Norm, Callable[[int, float, bool], nn.Module]] = {
    "layer": layer_norm,
    "rms": rms_norm,
}
