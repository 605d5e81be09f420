"""All images of a source in memory, by split."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from maquette.data.image.broken import MOST_BROKEN, left_out, too_many
from maquette.data.image.decoding import BrokenError, Pixels, decode, fit
from maquette.data.image.holdout import held_out_rows
from maquette.data.image.pixels import ArrayImages
from maquette.data.image.source import ImageSource, Split, Stored
from maquette.errors import DataError

MOST_BYTES = 4 << 30


@dataclass(frozen=True, slots=True)
class Collection:
    """What a classifier looks at. `remarks` say what was left out."""

    classes: tuple[str, ...]
    images: Mapping[str, ArrayImages]
    remarks: tuple[str, ...]


def read_images(source: ImageSource, *, size: int, seed: int) -> Collection:
    """Read all images of a source, `size` pixels a side; `seed` chooses what is held out.

    Raises DataError.
    """
    splits = {name: source.split(name) for name in source.splits()}
    fraction = source.validation_fraction
    held_out = held_out_rows(splits, source.classes, fraction=fraction, seed=seed)
    total = sum(len(split.labels) for split in splits.values())
    if total * size * size * 3 > MOST_BYTES:
        raise DataError(
            f"{total:,} images of {size} x {size} pixels are more than the {MOST_BYTES >> 30} GiB "
            "that are kept in memory"
        )
    images: dict[str, ArrayImages] = {}
    remarks = list(source.remarks())
    for name, split in splits.items():
        pixels, broken = _split_pixels(split, size)
        if len(broken) > MOST_BROKEN * len(pixels):
            raise too_many([*broken.values()], f"{len(pixels):,} images", name)
        if broken:
            remarks.append(left_out([*broken.values()], len(pixels), name))
        whole = np.ones(len(pixels), dtype=np.bool_)
        whole[list(broken)] = False
        held = held_out[name]
        if held is None:
            images[name] = _some(pixels, split.labels, whole)
        else:
            images[name] = _some(pixels, split.labels, whole & ~held)
            images["validation"] = _some(pixels, split.labels, whole & held)
    return Collection(source.classes, images, tuple(remarks))


def _split_pixels(split: Split, size: int) -> tuple[Pixels, dict[int, str]]:
    """The pixels of a split, and of rows that are broken a name and why; these stay black."""
    pixels = np.zeros((len(split.labels), size, size, 3), dtype=np.uint8)
    broken = {}
    for row, image in enumerate(split.images()):
        try:
            pixels[row] = _pixels(image, size)
        except BrokenError as error:
            broken[row] = f"{split.name(row)} {error}"
    return pixels, broken


def _pixels(image: Stored, size: int) -> Pixels:
    if isinstance(image, np.ndarray):
        return fit(image, size)
    return decode((str(image), 0, 0) if isinstance(image, Path) else image, size)


def _some(
    pixels: NDArray[np.uint8], labels: NDArray[np.int64], chosen: NDArray[np.bool_]
) -> ArrayImages:
    if chosen.all():
        return ArrayImages(pixels, torch.from_numpy(labels))
    return ArrayImages(pixels[chosen], torch.from_numpy(labels[chosen]))
