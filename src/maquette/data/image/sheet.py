"""A contact sheet: images of every class as they are, and as training sees them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from maquette.augmentation import Augmentation
from maquette.data.image.augment import change_pixels, draw_crops, mix
from maquette.data.image.batches import normalise
from maquette.data.image.paper import (
    FAINT,
    INK,
    LINE,
    MARGIN,
    PAPER,
    enlarged,
    fitting,
    font,
    scaled,
)
from maquette.data.image.pixels import Images
from maquette.facts import ImageFacts

ROWS = 12
"""Classes that are shown; of more, as many spread evenly."""
COLUMNS = 6
TILE = 72  # pixels that an image has on the sheet, at least
GAP, NAMES, CAPTION = 6, 128, 15


def contact_sheet(
    images: Images,
    facts: ImageFacts,
    augmentation: Augmentation,
    *,
    title: str,
    seed: int = 0,
) -> Image.Image:
    """Rows of classes: at the left images as they are, at the right the same ones augmented.

    Where the augmentation mixes images, it stands below each what came in.
    """
    labels = images.labels.numpy()
    shown = _spread(len(facts.classes), ROWS)
    indices = [_chosen(labels, label, seed) for label in shown]
    flat = np.concatenate(indices)
    raw = images.batch(flat)
    changed, targets = _augmented(images, flat, facts, augmentation, seed)
    mixed = augmentation.mixup > 0 or augmentation.cutmix > 0
    page = _Page(facts.image_size, len(shown), captions=mixed)
    page.head(title, _summary(images, facts))
    for row, label in enumerate(shown):
        page.name(row, facts.classes[label], int((labels == label).sum()))
    pixels, after = _rows_of_pixels(raw), _rows_of_pixels(changed)
    place = 0
    for row, of_class in enumerate(indices):
        for column in range(len(of_class)):
            page.image(row, column, pixels[place], side=0)
            page.image(row, column, after[place], side=1)
            if mixed:
                page.caption(row, column, _came_in(targets[place], shown[row], facts.classes))
            place += 1
    return page.picture


def _spread(count: int, most: int) -> list[int]:
    return [int(i) for i in np.unique(np.linspace(0, count - 1, min(count, most)).round())]


def _chosen(labels: NDArray[np.int64], label: int, seed: int) -> NDArray[np.int64]:
    mine = np.flatnonzero(labels == label)
    rng = np.random.default_rng([seed, label])
    return np.sort(rng.permutation(mine)[:COLUMNS])


def _augmented(
    images: Images,
    indices: NDArray[np.int64],
    facts: ImageFacts,
    augmentation: Augmentation,
    seed: int,
) -> tuple[Tensor, Tensor]:
    """The images as a training batch has them, bytes again, and their targets as shares.

    They are taken in a random order, so that images of different classes are mixed. Smoothing is
    left out of the targets: it says nothing of an image.
    """
    augmentation = replace(augmentation, label_smoothing=0.0)
    order = np.random.default_rng(seed).permutation(len(indices))
    crops = draw_crops(augmentation, len(order), seed, 0)
    pixels = change_pixels(images.batch(indices[order], crops=crops), augmentation, seed, 0)
    labels = images.labels[indices[order]]
    floats = normalise(pixels, facts.mean, facts.std)
    floats, targets = mix(floats, labels, augmentation, len(facts.classes), seed, 0)
    if not augmentation.soft:
        targets = torch.nn.functional.one_hot(targets, len(facts.classes)).float()
    scale, shift = (torch.tensor(values)[:, None, None] for values in (facts.std, facts.mean))
    seen = ((floats * scale + shift) * 255).round().clamp(0, 255).to(torch.uint8)
    back = np.argsort(order)
    return seen[back], targets[back]


def _rows_of_pixels(images: Tensor) -> NDArray[np.uint8]:
    rows: NDArray[np.uint8] = images.permute(0, 2, 3, 1).contiguous().numpy()
    return rows


def _came_in(target: Tensor, label: int, classes: Sequence[str]) -> str:
    """What was mixed into an image of a class: `+ 30 % dog`."""
    others = target.clone()
    others[label] = 0
    largest = int(others.argmax())
    percent = round(100 * float(others[largest]))
    return f"+ {percent} % {classes[largest]}" if percent else ""


def _summary(images: Images, facts: ImageFacts) -> str:
    side = facts.image_size
    mean = ", ".join(f"{value:.3f}" for value in facts.mean)
    std = ", ".join(f"{value:.3f}" for value in facts.std)
    return (
        f"{len(images):,} images of {len(facts.classes):,} classes, {side} x {side} pixels"
        f"   ·   mean {mean}   ·   deviation {std}"
    )


class _Page:
    """The paper, and where things stand on it."""

    def __init__(self, size: int, rows: int, *, captions: bool) -> None:
        self._tile = enlarged(size, TILE, 112)
        self._row = self._tile + GAP + (CAPTION if captions else 0)
        self._half = COLUMNS * (self._tile + GAP) - GAP
        self._top = MARGIN + 84
        width = 2 * MARGIN + NAMES + 2 * self._half + MARGIN
        height = self._top + rows * self._row - GAP + MARGIN
        self.picture = Image.new("RGB", (width, height), PAPER)
        self._draw = ImageDraw.Draw(self.picture)
        self._left = (MARGIN + NAMES, MARGIN + NAMES + self._half + MARGIN)

    def head(self, title: str, summary: str) -> None:
        """The title, what there is to say, and what the halves show."""
        self._draw.text((MARGIN, MARGIN - 6), title, INK, font(24))
        self._draw.text((MARGIN, MARGIN + 27), summary, FAINT, font(13))
        y = self._top - 22
        for left, text in zip(self._left, ("as they are", "as training sees them"), strict=True):
            self._draw.text((left, y), text, INK, font(14))
            self._draw.line((left, self._top - 5, left + self._half, self._top - 5), LINE)

    def name(self, row: int, name: str, count: int) -> None:
        """What a row shows, and how many of it there are."""
        middle = self._top + row * self._row + self._tile / 2
        shown = fitting(name, NAMES - 14, 15)
        self._draw.text((MARGIN, middle - 17), shown, INK, font(15, shown))
        self._draw.text((MARGIN, middle + 3), f"{count:,}", FAINT, font(12))

    def image(self, row: int, column: int, pixels: NDArray[np.uint8], *, side: int) -> None:
        """One image, at the left (0) or the right (1)."""
        image = scaled(Image.fromarray(pixels), self._tile)
        self.picture.paste(image, self._place(row, column, side))

    def caption(self, row: int, column: int, text: str) -> None:
        """What stands below an image at the right."""
        x, y = self._place(row, column, 1)
        shown = fitting(text, self._tile, 10)
        self._draw.text((x, y + self._tile + 1), shown, FAINT, font(10, shown))

    def _place(self, row: int, column: int, side: int) -> tuple[int, int]:
        return self._left[side] + column * (self._tile + GAP), self._top + row * self._row
