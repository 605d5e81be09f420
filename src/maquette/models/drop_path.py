"""Stochastic depth: in training, a residual branch is skipped for some samples."""

import torch
from torch import Tensor, nn


class DropPath(nn.Module):
    """(B, ...) -> (B, ...): each sample's branch is zeroed with the chance `rate`, in training.

    What stays is divided by 1 - rate, so that the mean stays (Huang et al. 2016, arXiv:1603.09382).
    It draws from the global generator of the device.
    """

    rate: Tensor

    def __init__(self, rate: float) -> None:
        super().__init__()
        assert 0 < rate < 1
        # A tensor: as a number it would be a constant of compiled code, which no two blocks share.
        self.register_buffer("rate", torch.tensor(rate), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) -> (B, ...)."""
        if not self.training:
            return x
        draws = torch.rand((len(x), *[1] * (x.ndim - 1)), device=x.device)
        return x * ((draws >= self.rate) / (1 - self.rate)).to(x.dtype)
