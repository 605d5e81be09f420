"""Images that stay files, decoded by worker processes when they are wanted."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maquette.augmentation import Crop
from maquette.data.image.decoders import Decoders
from maquette.data.image.decoding import Encoded
from maquette.data.image.pixels import read_labels
from maquette.errors import DataError


class FileImages:
    """Images in files of their own, or one behind another in a file of ours.

    What comes out depends neither on the number of worker processes nor on their order.
    """

    def __init__(
        self,
        paths: Sequence[str] | Path,
        ends: NDArray[np.int64] | None,
        labels: Path,
        size: int,
        *,
        workers: int | None = None,
    ) -> None:
        """`paths` are those of the images, or the one file that holds all, cut at `ends`.

        `workers` decode; None is one for each core, and with 0 it is done here.
        """
        self._paths, self._ends, self._size = paths, ends, size
        self.labels = read_labels(labels)
        self._decoders = Decoders(workers)

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
        """Some of them, uint8 (B, 3, S, S); with `crops`, these parts of them. Raises DataError."""
        wanted = [int(index) for index in indices]
        parts: list[Crop | None] = [None] * len(wanted) if crops is None else list(crops)
        tasks = list(zip(map(self._where, wanted), parts, strict=True))
        pixels, broken = self._decoders.decode(tasks, self._size)
        for row, why in broken.items():
            raise DataError(
                f"{self._where(wanted[row])[0]}: {why}",
                hint="it was whole when the data was prepared; prepare it again",
            )
        return torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2)

    def close(self) -> None:
        """End the worker processes."""
        self._decoders.close()

    def _where(self, index: int) -> tuple[str, int, int]:
        if self._ends is None:
            assert not isinstance(self._paths, Path), "without ends, each image has its file"
            return self._paths[index], 0, 0
        start = int(self._ends[index - 1]) if index else 0
        return str(self._paths), start, int(self._ends[index]) - start


def encoded(image: "Path | bytes | NDArray[np.uint8]") -> Encoded:
    """An image of a source as what a process can decode; pixels as a PNG."""
    if isinstance(image, bytes):
        return image
    if isinstance(image, Path):
        return str(image), 0, 0
    import io

    from PIL import Image

    png = io.BytesIO()
    Image.fromarray(image).save(png, "png")
    return png.getvalue()
