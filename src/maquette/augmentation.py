"""How images are changed while a classifier learns, as plain numbers. Standard library only."""

import math
from dataclasses import dataclass
from typing import Literal

Policy = Literal["none", "trivial", "rand"]


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What `data.image.augment` does to a batch, in this order; the defaults change nothing.

    `crop_scale` is the least share of an image's area that a random crop keeps, scaled up to the
    whole size (1: no crop). `flip` mirrors every other image. `pad_crop` moves an image by up to so
    many pixels, what comes in being its own reflection. `policy` is one operation of random
    strength (`trivial`) or two of a set strength (`rand`). `erase` is the chance that a rectangle
    is blanked. `mixup` and `cutmix` are the alphas of Beta distributions that say how much of
    another image comes in (0: none); with both, each is used for half of the batches.
    `label_smoothing` is the share of a target that is spread over all classes.
    """

    crop_scale: float = 1.0
    flip: bool = False
    pad_crop: int = 0
    policy: Policy = "none"
    erase: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    label_smoothing: float = 0.0

    @property
    def soft(self) -> bool:
        """Whether targets are shares of classes rather than classes."""
        return self.mixup > 0 or self.cutmix > 0 or self.label_smoothing > 0


@dataclass(frozen=True, slots=True)
class Crop:
    """A random resized crop (Szegedy et al. 2014, arXiv:1409.4842), before the image is known.

    `area` is the share of the image that is kept and `ratio` its width by its height; `x` and `y`,
    in 0..1, say where it lies in the room that is left.
    """

    area: float
    ratio: float
    x: float
    y: float

    def box(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Left, top, right and bottom in pixels of an image of this size."""
        pixels = self.area * width * height
        w = min(width, math.sqrt(pixels * self.ratio))
        h = min(height, math.sqrt(pixels / self.ratio))
        left, top = self.x * (width - w), self.y * (height - h)
        return left, top, left + w, top + h


def centre_box(width: int, height: int) -> tuple[float, float, float, float]:
    """The largest square in the middle of an image: left, top, right, bottom."""
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side
