"""Images that are pixels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from maquette.augmentation import Crop


class Images(Protocol):
    """N labelled square images of S pixels a side."""

    @property
    def labels(self) -> Tensor:
        """The class of each, int64 (N,)."""
        ...

    def __len__(self) -> int:
        """N."""
        ...

    def batch(
        self,
        indices: Sequence[int] | NDArray[np.int64],
        *,
        crops: Sequence[Crop] | None = None,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Some of them, uint8 (B, 3, S, S) with channels last in memory.

        With `crops`, one an image, that part of each at the whole size.
        """
        ...


class ArrayImages:
    """Images as bytes, (N, S, S, 3), in memory or mapped into it, and their labels, int64 (N,)."""

    def __init__(self, pixels: NDArray[np.uint8], labels: Tensor) -> None:
        assert len(pixels) == len(labels), "as many labels as images"
        self._pixels = pixels
        self.labels = labels

    def __len__(self) -> int:
        """How many there are."""
        return len(self.labels)

    def batch(
        self,
        indices: Sequence[int] | NDArray[np.int64],
        *,
        crops: Sequence[Crop] | None = None,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Some of them, uint8 (B, 3, S, S); with `crops`, these parts of them."""
        pixels = torch.from_numpy(self._pixels[np.asarray(indices, dtype=np.int64)])
        images = pixels.to(device).permute(0, 3, 1, 2)
        return images if crops is None else cut(images, crops)


class PixelImages(ArrayImages):
    """Images in a file of bytes, (N, S, S, 3), and their labels in one of 16-bit numbers, (N,)."""

    def __init__(self, pixels: Path, labels: Path, size: int) -> None:
        mapped = np.memmap(pixels, dtype=np.uint8, mode="r").reshape((-1, size, size, 3))
        super().__init__(mapped, read_labels(labels))


def read_labels(path: Path) -> Tensor:
    """The labels in a file, int64 (N,)."""
    return torch.from_numpy(np.fromfile(path, dtype="<u2").astype(np.int64))


def cut(images: Tensor, crops: Sequence[Crop]) -> Tensor:
    """A part of each image, scaled up to the size of the whole: uint8 (B, C, H, W) as it came."""
    height, width = images.shape[-2:]
    boxes = torch.tensor([crop.box(width, height) for crop in crops])
    left, top, right, bottom = (boxes / torch.tensor([width, height] * 2) * 2 - 1).T
    zero = torch.zeros_like(left)
    across = torch.stack((right - left, zero, right + left), 1) / 2
    down = torch.stack((zero, bottom - top, bottom + top), 1) / 2
    maps = torch.stack((across, down), 1).to(images.device)
    grid = F.affine_grid(maps, list(images.shape), align_corners=False)
    sampled = F.grid_sample(
        images.float(), grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return sampled.round().to(torch.uint8).contiguous(memory_format=torch.channels_last)
