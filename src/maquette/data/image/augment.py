"""Change a batch of images while training, as its seed and number say and nothing else.

What is drawn at random is drawn on the CPU, so every device makes the same changes.
B images, C channels, S pixels a side, K classes.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from maquette.augmentation import Augmentation, Crop, Policy
from maquette.data.batches import counter_random
from maquette.data.image.operations import SPACE, magnitude

LEVELS = 30
"""Steps between no strength and all of it, for `trivial`."""
RAND_OPERATIONS = 2
RAND_STRENGTH = 0.3
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


def apply_policy(images: Tensor, rng: np.random.Generator, *, wide: bool) -> Tensor:
    """One operation on each image, all equally likely: of random strength if `wide`."""
    count = len(images)
    chosen = rng.integers(0, len(SPACE), count)
    levels = rng.integers(0, LEVELS + 1, count) / LEVELS
    signs = rng.choice(np.array([-1.0, 1.0]), count)
    order = np.argsort(chosen, kind="stable")  # images of one operation side by side
    strengths = torch.from_numpy((signs * (levels if wide else RAND_STRENGTH))[order]).float()
    strengths, place = strengths.to(images.device), torch.from_numpy(order).to(images.device)
    side_by_side = images.permute(0, 2, 3, 1).contiguous().index_select(0, place)
    ends = np.searchsorted(chosen[order], range(len(SPACE) + 1)).tolist()
    parts = []
    for (name, (operation, *_)), (first, last) in zip(SPACE.items(), pairwise(ends), strict=True):
        if first < last:
            part = side_by_side[first:last].permute(0, 3, 1, 2)
            amounts = magnitude(name, strengths[first:last], images.shape[-1], wide=wide)
            parts.append(operation(part, amounts).permute(0, 2, 3, 1))
    changed = torch.empty_like(side_by_side)
    changed[place] = torch.cat(parts)
    return changed.permute(0, 3, 1, 2)


def unchanged(images: Tensor, _: np.random.Generator) -> Tensor:
    """The images as they are."""
    return images


def trivial(images: Tensor, rng: np.random.Generator) -> Tensor:
    """TrivialAugment (Mueller & Hutter 2021, arXiv:2103.10158)."""
    return apply_policy(images, rng, wide=True)


def rand(images: Tensor, rng: np.random.Generator) -> Tensor:
    """RandAugment (Cubuk et al. 2019, arXiv:1909.13719)."""
    for _ in range(RAND_OPERATIONS):
        images = apply_policy(images, rng, wide=False)
    return images


POLICIES: dict[Policy, Callable[[Tensor, np.random.Generator], Tensor]] = {
    "none": unchanged,
    "trivial": trivial,
    "rand": rand,
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
