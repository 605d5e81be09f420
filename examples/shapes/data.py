"""What the model looks at: its images, and batches of them.

Made by `maquette eject` (maquette 0.1.0) from the spec shapes; blueprint 3a970b328c340935.
"""

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from images import (
    Augmentation,
    Collection,
    Crop,
    ImageFolder,
    Images,
    ImageSource,
    Policy,
    read_images,
)
from model import SHAPE, ConvNeXtShape
from shapes import Shapes

# Images that are given by a word: a folder, or the built-in shapes.


def given_images(word: str) -> ImageSource:
    """`shapes`, or the images of a folder that has a folder for each class. Raises DataError."""
    return Shapes() if word == "shapes" else ImageFolder(word)


_MASK = 0xFFFFFFFFFFFFFFFF

_Bits = TypeVar("_Bits", int, NDArray[Any])


def _mix(value: _Bits) -> _Bits:
    """A bijective scramble of 64 bits (splitmix64's finaliser, Steele et al. 2014)."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)  # type: ignore[no-any-return]


def counter_random(seed: int, *counters: int) -> int:
    """64 random bits that depend on nothing but the seed and the counters."""
    state = seed & _MASK
    for counter in counters:
        state = _mix((state * 0x9E3779B97F4A7C15 + counter) & _MASK)
    return _mix(state)


def permute(index: NDArray[np.uint64], size: int, key: int) -> NDArray[np.uint64]:
    """Where each index of range(size) stands in a random order chosen by the key.

    A permutation without a table: a four-round Feistel network over the next power of four, in
    which results outside the range are permuted again (Black & Rogaway 2002, cycle walking).
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    low = (1 << half) - 1
    rounds = [counter_random(key, r) for r in range(4)]
    result = index.astype(np.uint64)
    walking = np.ones(result.shape, dtype=bool)
    while walking.any():
        left, right = result[walking] >> half, result[walking] & low
        for round_key in rounds:
            left, right = right, left ^ (_mix((right + round_key) & _MASK) & low)
        result[walking] = (left << half) | right
        walking = result >= size
    return result


ERASED_AREA = (0.02, 1 / 3)
"""Least and largest share of an image that is erased."""
_CROP, _PIXELS, _MIX = 1, 2, 3  # each kind of change has random numbers of its own


def generator(seed: int, step: int, kind: int) -> np.random.Generator:
    """Random numbers for one kind of change to one batch."""
    return np.random.Generator(np.random.PCG64(counter_random(seed, step, kind)))


def draw_crops(augmentation: Augmentation, count: int, seed: int, step: int) -> list[Crop] | None:
    """A part for each image of the batch; None if they stay whole."""
    if augmentation.crop_scale >= 1:
        return None
    rng = generator(seed, step, _CROP)
    area = rng.uniform(augmentation.crop_scale, 1, count)
    ratio = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3), count))
    place = rng.random((count, 2))
    return [Crop(*map(float, row)) for row in np.column_stack((area, ratio, place))]


def flip_and_move(images: Tensor, rng: np.random.Generator, *, flip: bool, most: int) -> Tensor:
    """Each image mirrored or not, and moved by up to `most` pixels; its reflection comes in."""
    count, _, height, width = images.shape
    mirrored = rng.random(count) < (0.5 if flip else 0)
    moves = rng.integers(-most, most + 1, (2, count, 1))
    rows = _reflected(np.arange(height) + moves[0], height)
    columns = _reflected(np.arange(width) + moves[1], width)
    columns = np.where(mirrored[:, None], width - 1 - columns, columns)
    where = rows[:, :, None] * width + columns[:, None, :]
    where += (np.arange(count) * (height * width))[:, None, None]
    index = torch.from_numpy(where.ravel()).to(images.device)
    picked = images.permute(0, 2, 3, 1).reshape(len(where.ravel()), -1).index_select(0, index)
    return picked.view(count, height, width, -1).permute(0, 3, 1, 2)


def _reflected(index: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """An index outside as its mirror image inside: -1 is 1, and `size` is size - 2."""
    period = max(1, 2 * (size - 1))
    index = np.abs(index) % period
    return np.minimum(index, period - index) if size > 1 else np.zeros_like(index)


def unchanged(images: Tensor, _: np.random.Generator) -> Tensor:
    """The images as they are."""
    return images


POLICIES: dict[Policy, Callable[[Tensor, np.random.Generator], Tensor]] = {
    "none": unchanged,
}


def change_pixels(images: Tensor, augmentation: Augmentation, seed: int, step: int) -> Tensor:
    """Flip, move and apply the policy: uint8 (B, C, S, S) to the same."""
    rng = generator(seed, step, _PIXELS)
    if augmentation.flip or augmentation.pad_crop:
        images = flip_and_move(images, rng, flip=augmentation.flip, most=augmentation.pad_crop)
    return POLICIES[augmentation.policy](images, rng)


def mix(
    images: Tensor,
    labels: Tensor,
    augmentation: Augmentation,
    classes: int,
    seed: int,
    step: int,
) -> tuple[Tensor, Tensor]:
    """Erase, blend and paste: normalised images, float (B, C, S, S), which are changed in place.

    Targets are the labels, int64 (B,), or shares of the classes, float32 (B, K), where
    the augmentation is `soft`. An image's partner is the one as far from the batch's end.
    """
    rng = generator(seed, step, _MIX)
    if augmentation.erase > 0:
        erase(images, rng, augmentation.erase)
    if not augmentation.soft:
        return images, labels
    targets = F.one_hot(labels, classes).float()
    off = augmentation.label_smoothing / classes
    targets = targets * (1 - augmentation.label_smoothing) + off
    share = 1.0
    cutting = augmentation.cutmix > 0 and (augmentation.mixup <= 0 or rng.random() < 0.5)
    if cutting:
        share = paste(images, rng, augmentation.cutmix)
    elif augmentation.mixup > 0:
        share = float(rng.beta(augmentation.mixup, augmentation.mixup))
        images = images * share + images.flip(0) * (1 - share)
    return images, targets * share + targets.flip(0) * (1 - share)


def erase(images: Tensor, rng: np.random.Generator, chance: float) -> None:
    """Set a rectangle of some images to 0, the mean (Zhong et al. 2017, arXiv:1708.04896)."""
    count, _, height, width = images.shape
    erased = rng.random(count) < chance
    area = rng.uniform(*ERASED_AREA, count) * height * width
    ratio = np.exp(rng.uniform(np.log(0.3), np.log(1 / 0.3), count))
    high = np.clip(np.rint(np.sqrt(area * ratio)), 1, height) * erased
    wide = np.clip(np.rint(np.sqrt(area / ratio)), 1, width) * erased
    top = np.floor(rng.random(count) * (height - high + 1))
    left = np.floor(rng.random(count) * (width - wide + 1))
    images.masked_fill_(_rectangles(images, (top, high, left, wide)), 0)


def paste(images: Tensor, rng: np.random.Generator, alpha: float) -> float:
    """CutMix: a rectangle of each image from its partner; the share of the images that stays.

    One rectangle for the batch, cut off at the border (Yun et al. 2019, arXiv:1905.04899).
    """
    height, width = images.shape[-2:]
    side = np.sqrt(1 - rng.beta(alpha, alpha))
    y, x = rng.random(2) * (height, width)
    top, bottom = (int(np.clip(round(y + d * side * height / 2), 0, height)) for d in (-1, 1))
    left, right = (int(np.clip(round(x + d * side * width / 2), 0, width)) for d in (-1, 1))
    images[..., top:bottom, left:right] = images.flip(0)[..., top:bottom, left:right]
    return 1 - (bottom - top) * (right - left) / (height * width)


def _rectangles(images: Tensor, boxes: Sequence[NDArray[np.float64]]) -> Tensor:
    """Which pixels lie in each image's rectangle, of top, height, left and width: (B, 1, S, S)."""
    top, high, left, wide = (
        torch.from_numpy(b).to(images.device, torch.int64)[:, None] for b in boxes
    )
    y = torch.arange(images.shape[-2], device=images.device)
    x = torch.arange(images.shape[-1], device=images.device)
    rows, columns = (y >= top) & (y < top + high), (x >= left) & (x < left + wide)
    return (rows[:, :, None] & columns[:, None, :])[:, None]


# Batches of images: batch k is a pure function of (images, seed, k).
#
# N images, B of them a batch, S pixels a side, K classes.


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


SEED = 0
"""Decides which images are held out, first weights, the order of batches, and their changes."""
CLASSES = [
    "arrow",
    "bar",
    "bowtie",
    "circle",
    "crescent",
    "cross",
    "half",
    "heart",
    "ring",
    "square",
    "star",
    "triangle",
]
MEAN = (0.3642333603324143, 0.3640796760110295, 0.36496525141697306)
STD = (0.21658137909830086, 0.2163791785554473, 0.21615814923996943)
"""Of red, green and blue in the images to train on, in 0..1."""


def open_source(given: str | None = None) -> ImageSource:
    """The images that the model is made for, or what is given instead; see `given_images`."""
    if given is not None:
        return given_images(given)
    return Shapes(
        images=20000,
        seed=0,
    )


def read_all(given: str | None = None) -> Collection:
    """All of the images as pixels."""
    return read_images(open_source(given), size=SHAPE.image_size, seed=SEED)


def shape_for(classes: Sequence[str]) -> ConvNeXtShape:
    """The model's shape for so many classes."""
    return dataclasses.replace(SHAPE, classes=len(classes))


def class_names(weights: Path) -> list[str]:
    """The classes of a model, as written beside its weights."""
    file = weights.with_name("classes.json")
    return [str(name) for name in json.loads(file.read_text())] if file.exists() else CLASSES
