"""What a source of images gives: labels at once, images one after another."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from maquette.errors import DataError

Stored = Path | bytes | NDArray[np.uint8]
"""An image as a file, as the bytes of one, or as pixels (H, W, 3)."""


@dataclass(frozen=True)
class Split:
    """N images of one split: `labels` count into the source's classes, shape (N,).

    `images()` yields the N images in that order, anew at each call; `name(i)` is what people call
    one of them.
    """

    labels: NDArray[np.int64]
    images: Callable[[], Iterator[Stored]]
    name: Callable[[int], str]


class ImageSource(Protocol):
    """Labelled images in splits: `train`, and `validation` and `test` where there are such."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes by name; labels count into these."""
        ...

    @property
    def validation_fraction(self) -> float:
        """Share of each class to hold out where there is no validation split."""
        ...

    def fingerprint(self) -> Mapping[str, Any]:
        """What the images depend on, cheaply: another fingerprint, other images. JSON-ready."""
        ...

    def splits(self) -> tuple[str, ...]:
        """The splits that it has by itself."""
        ...

    def split(self, name: str) -> Split:
        """The images of one of its splits."""
        ...

    def remarks(self) -> list[str]:
        """What was passed over, in lines for people."""
        ...


def class_labels(
    values: Sequence[Any], names: Sequence[str] | None, where: str
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The classes of a column, and the label of each of its values.

    Numbers count into `names`, where there are any; else each number or text that occurs is a
    class, in order. Raises DataError for a value that is no class.
    """
    kinds = {type(value) for value in values}
    if not kinds <= {int, bool} and kinds != {str}:
        odd = next(i for i, value in enumerate(values) if not isinstance(value, int | str))
        raise DataError(
            f"{where}: the label of row {odd:,} is {values[odd]!r}"
            if kinds - {int, bool, str}
            else f"{where}: labels are numbers and text at once",
            hint="a label is a whole number or a name",
        )
    if names is None:
        found = sorted(set(values))
        if found and found[0] == -1:
            raise _unlabelled(where)
        place = {value: label for label, value in enumerate(found)}
        labels = np.array([place[value] for value in values], dtype=np.int64)
        return tuple(str(value) for value in found), labels
    if kinds == {str}:
        place = {name: label for label, name in enumerate(names)}
        missing = sorted({value for value in values if value not in place})
        if missing:
            raise DataError(f"{where}: {listed(missing)} {is_or_are(missing)} no class of train")
        return tuple(names), np.array([place[value] for value in values], dtype=np.int64)
    labels = np.array(values, dtype=np.int64)
    wrong = np.flatnonzero((labels < 0) | (labels >= len(names)))
    if len(wrong):
        value = int(labels[wrong[0]])
        if value == -1:
            raise _unlabelled(where)
        raise DataError(
            f"{where}: the label of row {wrong[0]:,} is {value}, and there are "
            f"{len(names):,} classes, counted from 0"
        )
    return tuple(names), labels


def _unlabelled(where: str) -> DataError:
    return DataError(
        f"{where}: holds images without a class (label -1)",
        hint="leave that split out: nothing can be measured on it",
    )


def listed(names: Sequence[object], most: int = 5) -> str:
    """`a, b, c and 4 more`."""
    shown = ", ".join(str(name) for name in names[:most])
    shown = shown.encode(errors="backslashreplace").decode()  # file names may be any bytes
    return shown + (f" and {len(names) - most:,} more" if len(names) > most else "")


def is_or_are(names: Sequence[object]) -> str:
    """The verb for so many."""
    return "is" if len(names) == 1 else "are"
