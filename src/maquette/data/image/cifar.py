"""CIFAR-10 and CIFAR-100, wherever they are."""

from pathlib import Path
from typing import Any

from maquette.data.image.cifar_batches import (
    CIFAR10,
    CIFAR100,
    IMAGES,
    Cifar,
    Edition,
    Reader,
    expected_files,
    published_batches,
)
from maquette.data.image.hub import HubImages
from maquette.data.image.parquet import Table
from maquette.data.image.source import Split, class_labels


def cifar10(path: str | None = None, *, validation_fraction: float = 0.1) -> Cifar:
    """CIFAR-10: ten kinds of animals and vehicles. Where from, `open_cifar` says."""
    return open_cifar(CIFAR10, path, validation_fraction=validation_fraction)


def cifar100(path: str | None = None, *, validation_fraction: float = 0.1) -> Cifar:
    """CIFAR-100: a hundred kinds of things, by their fine labels."""
    return open_cifar(CIFAR100, path, validation_fraction=validation_fraction)


def open_cifar(
    edition: Edition, path: str | None = None, *, validation_fraction: float = 0.1
) -> Cifar:
    """Read from `path`, a folder with parquet files as on the hub or with the published batches
    (python or binary), or a published archive of these; without it, from the hub.

    Raises DataError.
    """
    where = f"hub data set {edition.dataset}" if path is None else path
    return Cifar(edition, _reader(edition, path), where, validation_fraction=validation_fraction)


def _reader(edition: Edition, path: str | None) -> Reader:
    if path is None:
        return HubImages(
            edition.dataset, test_split="test", image=edition.image, label=edition.label
        )
    place = Path(path).expanduser()
    tables = {
        split: [p for p in sorted(place.rglob(f"{split}*.parquet")) if p.is_file()]
        for split in IMAGES
    }
    if all(tables.values()):
        return _Parquet(edition, tables)
    return published_batches(edition, place, hint=_expected(edition))


def _expected(edition: Edition) -> str:
    return (
        f"{expected_files(edition)}, or train-*.parquet and test-*.parquet as on the hub; "
        "without path, the hub is asked"
    )


class _Parquet:
    """Parquet files in the hub's layout."""

    def __init__(self, edition: Edition, files: dict[str, list[Path]]) -> None:
        self._classes = edition.classes
        self._tables = {
            split: Table(paths, edition.image, edition.label) for split, paths in files.items()
        }

    def fingerprint(self) -> dict[str, Any]:
        return {split: table.identity() for split, table in self._tables.items()}

    def split(self, name: str) -> Split:
        table = self._tables[name]
        _, labels = class_labels(table.labels(), self._classes, str(table.files[0]))
        return Split(labels, table.images, table.name)
