"""Batches of images: batch k is a pure function of (images, seed, k).

N images, B of them a batch, S pixels a side, K classes.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maquette.augmentation import Augmentation
from maquette.data.batches import counter_random, permute
from maquette.data.image.augment import change_pixels, draw_crops, mix
from maquette.data.image.pixels import Images


class ImageBatches:
    """Training batches in a seeded order that differs each epoch, changed by the augmentation.

    Batch k holds images k*B to k*B + B - 1 of the endless sequence of epochs, in each of which
    every image comes once; so no state is needed to resume.
    """

    def __init__(
        self,
        images: Images,
        *,
        batch_size: int,
        seed: int,
        classes: int,
        mean: Sequence[float],
        std: Sequence[float],
        augmentation: Augmentation | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.images = images
        self._batch_size, self._seed, self._classes = batch_size, seed, classes
        self._augmentation = augmentation or Augmentation()
        self._mean, self._std, self._device = mean, std, device

    def indices(self, k: int) -> list[int]:
        """Which images are in batch k."""
        size = len(self.images)
        positions = np.arange(k * self._batch_size, (k + 1) * self._batch_size)
        chosen = np.empty_like(positions)
        for epoch in np.unique(positions // size).tolist():
            mine = positions // size == epoch
            places = (positions[mine] % size).astype(np.uint64)
            chosen[mine] = permute(places, size, counter_random(self._seed, epoch))
        return [int(index) for index in chosen]

    def batch(self, k: int) -> tuple[Tensor, Tensor]:
        """Normalised images, float32 (B, 3, S, S) with channels last in memory, and targets.

        Targets are classes, int64 (B,), or shares of them, float32 (B, K), as the augmentation
        has it.
        """
        indices, rule = self.indices(k), self._augmentation
        crops = draw_crops(rule, len(indices), self._seed, k)
        pixels = self.images.batch(indices, crops=crops, device=self._device)
        pixels = change_pixels(pixels, rule, self._seed, k)
        labels = self.images.labels[indices].to(self._device)
        images = normalise(pixels, self._mean, self._std)
        return mix(images, labels, rule, self._classes, self._seed, k)


def normalise(pixels: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Bytes (B, C, S, S) to float32, each channel with its mean and deviation in 0..1 taken out."""
    scale = torch.tensor([1 / (255 * s) for s in std], device=pixels.device)[:, None, None]
    shift = torch.tensor([m / s for m, s in zip(mean, std, strict=True)], device=pixels.device)
    return pixels * scale - shift[:, None, None]


def evaluation_indices(count: int, *, limit: int | None, seed: int) -> NDArray[np.int64]:
    """All of so many images in order; with `limit`, only the first so many of a seeded order."""
    if limit is None or limit >= count:
        return np.arange(count)
    order = permute(np.arange(limit, dtype=np.uint64), count, counter_random(seed))
    return np.sort(order.astype(np.int64))


def evaluation_batches(
    images: Images,
    *,
    batch_size: int,
    mean: Sequence[float],
    std: Sequence[float],
    limit: int | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Iterator[tuple[Tensor, Tensor]]:
    """Normalised images, float32 (b, 3, S, S), and classes, int64 (b,): the same every time.

    They are those of `evaluation_indices`, the last batch with what is left.
    """
    chosen = evaluation_indices(len(images), limit=limit, seed=seed)
    for first in range(0, len(chosen), batch_size):
        part = chosen[first : first + batch_size]
        pixels = images.batch(part, device=device)
        yield normalise(pixels, mean, std), images.labels[part].to(device)


class Batched(Protocol):
    """Anything with numbered batches."""

    def batch(self, k: int) -> tuple[Tensor, Tensor]:
        """Batch k."""
        ...


class Ahead:
    """Batches of which the next is made in a thread while one is being learnt from.

    Which one comes out is what was asked for, whatever was made ahead.
    """

    def __init__(self, batches: Batched) -> None:
        self._batches = batches
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ahead")
        self._next: tuple[int, Future[tuple[Tensor, Tensor]]] | None = None

    def batch(self, k: int) -> tuple[Tensor, Tensor]:
        """Batch k; the making of the one after it has begun."""
        number, future = self._next or (None, None)
        if number != k or future is None:
            future = self._thread.submit(self._batches.batch, k)
        self._next = k + 1, self._thread.submit(self._batches.batch, k + 1)
        return future.result()

    def close(self) -> None:
        """Wait for what is being made, and end the thread."""
        self._thread.shutdown(cancel_futures=True)
