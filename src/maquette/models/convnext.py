"""ConvNeXt: a convolutional network for images. Weights have timm's names.

B images, C channels, H x W pixels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maquette.models.convnext_block import Block, ChannelNorm, Halving
from maquette.shapes import ConvNeXtShape


class Stage(nn.Module):
    """Blocks of one width. All stages but the first halve the map before, rounding down."""

    def __init__(self, shape: ConvNeXtShape, index: int, drop_path: list[float]) -> None:
        super().__init__()
        width = shape.widths[index]
        self.downsample: nn.Module = nn.Identity()
        if index > 0:
            before = shape.widths[index - 1]
            self.downsample = nn.Sequential(
                ChannelNorm(before, eps=shape.norm_epsilon),
                Halving(before, width),
            )
        self.blocks = nn.Sequential(
            *(
                Block(
                    width=width,
                    drop_path=rate,
                    layer_scale=shape.layer_scale,
                    norm_epsilon=shape.norm_epsilon,
                )
                for rate in drop_path
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W')."""
        return self.blocks(self.downsample(x))  # type: ignore[no-any-return]


class Head(nn.Module):
    """Norm and linear layer over the mean of all pixels."""

    def __init__(self, *, width: int, classes: int, norm_epsilon: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=norm_epsilon)
        self.fc = nn.Linear(width, classes)


class ConvNeXt(nn.Module):
    """Images to logits, and to the loss where targets are given."""

    def __init__(self, shape: ConvNeXtShape) -> None:
        super().__init__()
        self.shape = shape
        s = shape
        self.stem = nn.Sequential(
            nn.Conv2d(3, s.widths[0], kernel_size=s.stem_stride, stride=s.stem_stride),
            ChannelNorm(s.widths[0], eps=s.norm_epsilon),
        )
        rates = drop_path_rates(s)
        self.stages = nn.Sequential(*(Stage(s, i, rates[i]) for i in range(len(s.depths))))
        self.head = Head(width=s.widths[-1], classes=s.classes, norm_epsilon=s.norm_epsilon)
        initialise(self)

    def forward(
        self, images: Tensor, targets: Tensor | None = None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Images (B, 3, H, W) -> logits (B, classes), or with targets only the mean loss.

        Targets are classes (B,), or shares of each class (B, classes). Logits and loss are float32.
        """
        logits = self.head.fc(self.features(images)).float()
        if targets is None:
            return logits, None
        return None, F.cross_entropy(logits, targets)

    def features(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) of any size from `shape.smallest_image` on -> what the head's linear
        layer reads, (B, C)."""
        assert min(images.shape[2:]) >= self.shape.smallest_image, "the images are too small"
        # With channels last in memory convolutions, norms and linear layers need no copies.
        x = self.stem(images.contiguous(memory_format=torch.channels_last))
        x = self.stages(x)
        return self.head.norm(x.mean((2, 3)))  # type: ignore[no-any-return]


def drop_path_rates(shape: ConvNeXtShape) -> list[list[float]]:
    """Each block's chance to be skipped, by stage: 0 for the first, then rising linearly."""
    total = sum(shape.depths)
    rates = [shape.drop_path * i / max(1, total - 1) for i in range(total)]
    ends = [sum(shape.depths[: i + 1]) for i in range(len(shape.depths))]
    return [rates[end - depth : end] for end, depth in zip(ends, shape.depths, strict=True)]


def initialise(model: nn.Module) -> None:
    """Draw a ConvNeXt's first weights from the global generator, as published.

    Every matrix and kernel, the head's too: 0.02 around 0, whatever its width: what is read by a
    product has passed a norm, and what a block adds is as small as its layer scale, so that no
    spread has to fit the depth. The normal distribution is cut at +-2, a hundred spreads out.
    Biases 0, gains 1.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            assert module.bias is not None
            nn.init.zeros_(module.bias)
