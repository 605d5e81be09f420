"""One split's files in the cache, written image by image."""

import hashlib
import json
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from maquette.data.image.files import encoded
from maquette.data.image.source import Stored
from maquette.errors import DataError
from maquette.facts import ImageSplitFacts

COUNTED = 64  # images whose values are counted at once


class SplitWriter:
    """Writes the images of one split, as pixels or as they are, and counts as it goes."""

    def __init__(self, place: Path, split: str, classes: int, *, as_pixels: bool) -> None:
        self._place, self._split, self._as_pixels = place, split, as_pixels
        self._file: BinaryIO | None = None
        self._labels: list[int] = []
        self._hashes: list[int] = []
        self._names: list[str] = []
        self._paths: list[str] = []
        self._ends: list[int] = []
        self._digest = hashlib.sha256()
        self._uncounted: list[NDArray[np.uint8]] = []
        self._seen = np.zeros((3, 256), dtype=np.int64)  # how often each value is in each channel
        self.per_class = [0] * classes
        self.broken = 0

    def add(self, image: Stored, pixels: NDArray[np.uint8], label: int, name: str) -> None:
        """One more image: as the source has it, and its pixels, (S, S, 3)."""
        data = np.ascontiguousarray(pixels).tobytes()
        self._digest.update(data)
        self._hashes.append(int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little"))
        if self._split != "train":
            self._names.append(name)
        self._labels.append(label)
        self.per_class[label] += 1
        if self._split == "train":
            self._uncounted.append(pixels)
            if len(self._uncounted) == COUNTED:
                self._count()
        if self._as_pixels:
            self._open("pixels").write(data)
        elif isinstance(image, Path) and not self._ends:
            self._paths.append(str(image.absolute()))
        elif self._paths:
            raise DataError(f"{name} is no file of its own, and others are")
        else:
            content = image.read_bytes() if isinstance(image, Path) else encoded(image)
            assert isinstance(content, bytes), "only paths are encoded as places"
            self._ends.append((self._ends or [0])[-1] + len(content))
            self._open("packed").write(content)

    def moments(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel, in 0..1, of a train split; exact."""
        self._count()
        values = np.arange(256) / 255
        weights = self._seen / self._seen.sum(1, keepdims=True)
        means = weights @ values
        stds = np.sqrt((weights * (values - means[:, None]) ** 2).sum(1))
        # A channel that never changes would be divided by 0.
        return tuple(means.tolist()), tuple(np.maximum(stds, 1 / 255).tolist())

    def _count(self) -> None:
        if self._uncounted:
            pixels = np.stack(self._uncounted)
            for channel in range(3):
                values = pixels[..., channel].ravel()
                self._seen[channel] += np.bincount(values, minlength=256)
            self._uncounted.clear()

    def copies_of(self, train: "SplitWriter") -> tuple[int, int, str | None]:
        """How many images have pixels that train has too, of how many, and the name of one."""
        assert self._split != "train", "which has no names kept"
        known = set(train._hashes)
        copies = [i for i, found in enumerate(self._hashes) if found in known]
        return len(copies), len(self._hashes), self._names[copies[0]] if copies else None

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._file is not None:
            self._file.close()

    def finish(self) -> ImageSplitFacts:
        """Write what is left, and say what was written."""
        self.close()
        labels = np.array(self._labels, dtype="<u2").tobytes()
        (self._place / f"{self._split}.labels").write_bytes(labels)
        self._digest.update(labels)
        if self._paths:
            (self._place / f"{self._split}.paths").write_text(json.dumps(self._paths))
        if self._ends:
            ends = np.array(self._ends, dtype="<i8").tobytes()
            (self._place / f"{self._split}.ends").write_bytes(ends)
        return ImageSplitFacts(
            images=len(self._labels),
            per_class=tuple(self.per_class),
            broken=self.broken,
            sha256=self._digest.hexdigest(),
        )

    def _open(self, kind: str) -> BinaryIO:
        if self._file is None:
            self._file = (self._place / f"{self._split}.{kind}").open("wb")
        return self._file
