"""ConvNeXt's block, and the norm that its stem and downsampling share.

B images, C channels, H x W pixels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maquette.models.depthwise import DepthwiseConv
from maquette.models.drop_path import DropPath

KERNEL = 7
EXPANSION = 4


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of each pixel, (B, C, H, W) -> (B, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        x = x.permute(0, 2, 3, 1)  # no copy where channels lie last in memory
        return super().forward(x).permute(0, 3, 1, 2)


class Halving(nn.Conv2d):
    """A convolution of 2 x 2 pixels at steps of 2; what is left over at an odd edge is cut off.

    On a CPU it is a linear layer over patches, which is up to six times quicker on small maps.
    """

    def __init__(self, before: int, width: int) -> None:
        super().__init__(before, width, kernel_size=2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H // 2, W // 2)."""
        if x.device.type != "cpu":
            return super().forward(x)
        B, C, H, W = x.shape  # noqa: N806
        x = x.permute(0, 2, 3, 1)[:, : H // 2 * 2, : W // 2 * 2]
        x = x.reshape(B, H // 2, 2, W // 2, 2, C).transpose(2, 3)
        x = x.reshape(B, H // 2, W // 2, 4 * C)
        weight = self.weight.permute(0, 2, 3, 1).flatten(1)  # (C', 4 C)
        return F.linear(x, weight, self.bias).permute(0, 3, 1, 2)


class Mlp(nn.Module):
    """(..., C) -> (..., C) through `hidden` channels, with the exact GELU."""

    def __init__(self, *, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        return self.fc2(F.gelu(self.fc1(x)))  # type: ignore[no-any-return]


class Block(nn.Module):
    """x + gamma * mlp(norm(depthwise(x))) (Liu et al. 2022, arXiv:2201.03545, figure 4).

    `gamma` is layer scale (Touvron et al. 2021, arXiv:2103.17239).
    """

    def __init__(
        self, *, width: int, drop_path: float, layer_scale: float, norm_epsilon: float
    ) -> None:
        super().__init__()
        self.conv_dw = DepthwiseConv(width, KERNEL)
        self.norm = nn.LayerNorm(width, eps=norm_epsilon)
        self.mlp = Mlp(width=width, hidden=EXPANSION * width)
        self.gamma = nn.Parameter(torch.full((width,), layer_scale))
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        y = self.conv_dw(x).permute(0, 2, 3, 1)  # (B, H, W, C)
        y = self.mlp(self.norm(y)) * self.gamma
        return x + self.drop_path(y).permute(0, 3, 1, 2)  # type: ignore[no-any-return]
