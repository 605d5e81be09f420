"""Small images and sets of them to test with."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maquette.data.image.source import Split, Stored

Pixels = NDArray[np.uint8]


def picture(seed: int, width: int = 8, height: int = 8) -> Pixels:
    """Smooth colours that no other seed has, (H, W, 3)."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BILINEAR))


def file_bytes(image: Pixels | Image.Image, kind: str = "png", **options: Any) -> bytes:
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(
        file, kind, **options
    )
    return file.getvalue()


def save(path: Path, image: Pixels | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(image if isinstance(image, bytes) else file_bytes(image))
    return path


class Made:
    """A source of what it is given: split -> images and labels."""

    validation_fraction = 0.25

    def __init__(
        self, splits: dict[str, tuple[list[Stored], list[int]]], classes: tuple[str, ...]
    ) -> None:
        self._splits, self.classes = splits, classes
        self.notes: list[str] = []
        self.version = 0
        self.reads: list[str] = []

    def fingerprint(self) -> dict[str, Any]:
        return {"kind": "made", "version": self.version}

    def splits(self) -> tuple[str, ...]:
        return tuple(self._splits)

    def split(self, name: str) -> Split:
        images, labels = self._splits[name]

        def read() -> Iterator[Stored]:
            self.reads.append(name)
            return iter(images)

        return Split(np.array(labels, dtype=np.int64), read, lambda row: f"{name}-{row}.png")

    def remarks(self) -> list[str]:
        return self.notes


def made(
    counts: dict[str, int],
    classes: int = 2,
    image: Callable[[int], Stored] = picture,
) -> Made:
    """So many images of each split, all different, classes in turn."""
    splits, start = {}, 0
    for split, count in counts.items():
        images = [image(start + i) for i in range(count)]
        splits[split] = images, [i % classes for i in range(count)]
        start += count
    return Made(splits, tuple(f"class{i}" for i in range(classes)))


def pixels_of(split: Split) -> Pixels:
    """The images of a split that come as pixels, (N, H, W, 3)."""
    return np.stack([image for image in split.images() if isinstance(image, np.ndarray)])
