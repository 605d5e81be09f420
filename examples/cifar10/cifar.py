"""CIFAR's images, from the files that its authors publish.

Made by `maquette eject` (maquette 0.1.0) from the spec cifar10; blueprint 5afd7e32ddb7ccf0.
"""

import hashlib
import io
import pickle
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from errors import DataError
from images import Split, class_labels, unreadable

IMAGES = {"train": 50_000, "test": 10_000}
PIXELS = 32 * 32 * 3


@dataclass(frozen=True)
class Edition:
    """One of the two: its classes, how the hub names it, and the published files by split.

    `python` are pickles with their published MD5 sums, `binary` records of `label_bytes` bytes,
    the last of which is the class, and 3,072 of pixels. `archives` are the published ones.
    """

    name: str
    kind: str
    classes: tuple[str, ...]
    dataset: str
    image: str
    label: str
    python: Mapping[str, Mapping[str, str]]
    binary: Mapping[str, tuple[str, ...]]
    label_key: bytes
    label_bytes: int
    archives: Mapping[str, str]


_TEN = "airplane automobile bird cat deer dog frog horse ship truck"

CIFAR10 = Edition(
    name="CIFAR-10",
    kind="cifar10",
    classes=tuple(_TEN.split()),
    dataset="uoft-cs/cifar10",
    image="img",
    label="label",
    python={
        "train": {
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        },
        "test": {"test_batch": "40351d587109b95175f43aff81a1287e"},
    },
    binary={
        "train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
        "test": ("test_batch.bin",),
    },
    label_key=b"labels",
    label_bytes=1,
    archives={
        "cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a",
        "cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530",
    },
)


class Reader(Protocol):
    """Where the images come from."""

    def split(self, name: str) -> Split:
        """Train or test."""
        ...


class Cifar:
    """50,000 images to train on, of which a part of each class is held out, and 10,000 for test.

    `where` says where its reader finds them.
    """

    def __init__(
        self, edition: Edition, reader: Reader, where: str, *, validation_fraction: float
    ) -> None:
        self.classes = edition.classes
        self.validation_fraction = validation_fraction
        self._edition, self._reader, self._where = edition, reader, where

    def splits(self) -> tuple[str, ...]:
        """Train and test, as published."""
        return ("train", "test")

    def split(self, name: str) -> Split:
        """One of them, whole."""
        split = self._reader.split(name)
        expected = IMAGES[name]
        if len(split.labels) != expected:
            raise DataError(
                f"{self._where}: has {len(split.labels):,} {name} images instead of the "
                f"{expected:,} of {self._edition.name}",
                hint="fetch it again, or read it as what it is: parquet or imagefolder",
            )
        return split

    def remarks(self) -> list[str]:
        """Nothing is passed over."""
        return []


def published_cifar(edition: Edition, path: str, *, validation_fraction: float = 0.1) -> Cifar:
    """Read from a folder with the published batches, python or binary, or a published archive.

    Pickles and archives must have their published MD5. Raises DataError.
    """
    place, hint = Path(path).expanduser(), expected_files(edition)
    reader = published_batches(edition, place, hint=hint)
    return Cifar(edition, reader, path, validation_fraction=validation_fraction)


def published_batches(edition: Edition, place: Path, *, hint: str) -> Reader:
    """The batches in a folder or an archive. Raises DataError, with what is expected for a hint."""
    if place.is_file():
        return _Batches(edition, place, *_layout(edition, _members(edition, place, hint)))
    if not place.is_dir():
        raise DataError(f"{place}: no such folder", hint=hint)
    names = {p.name: p for p in sorted(place.rglob("*")) if p.is_file()}
    try:
        return _Batches(edition, place, *_layout(edition, names))
    except KeyError as error:
        raise DataError(f"{place}: has no {error.args[0]}", hint=hint) from None


def expected_files(edition: Edition) -> str:
    """What is looked for, in words."""
    files = [*edition.python["train"], *edition.python["test"]]
    archives = " or ".join(edition.archives)
    return f"expected {', '.join(files)} (with .bin: binary), or {archives}"


class _Batches:
    """The published batches, python or binary, in a folder or an archive."""

    def __init__(
        self,
        edition: Edition,
        place: Path,
        files: dict[str, dict[str, "Path | bytes"]],
        binary: bool,
    ) -> None:
        self._edition, self._place, self._files, self._binary = edition, place, files, binary

    def split(self, name: str) -> Split:
        """All of a split's batches, read at once: 150 MB."""
        blocks, labels, where = [], [], []
        for file, content in self._files[name].items():
            data = content if isinstance(content, bytes) else _bytes(content)
            shown = f"{self._place}: {file}"
            if self._binary:
                pixels, found = _records(data, self._edition.label_bytes, shown)
            else:
                expected = self._edition.python[name][file]
                pixels, found = _pickled(data, self._edition.label_key, expected, shown)
            blocks.append(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
            labels += class_labels(found, self._edition.classes, shown)[1].tolist()
            where += [f"{file}, image {i:,}" for i in range(len(pixels))]

        def images() -> Iterator[NDArray[np.uint8]]:
            for block in blocks:
                yield from block

        return Split(np.array(labels, dtype=np.int64), images, where.__getitem__)


def _layout(
    edition: Edition, names: "Mapping[str, Path | bytes]"
) -> tuple[dict[str, dict[str, "Path | bytes"]], bool]:
    """The files of each split, and whether they are binary. Raises KeyError for one that lacks."""
    binary = all(name in names for files in edition.binary.values() for name in files)
    layout = edition.binary if binary else edition.python
    return {split: {name: names[name] for name in files} for split, files in layout.items()}, binary


def _members(edition: Edition, archive: Path, hint: str) -> dict[str, bytes]:
    """The batches in a published archive, by name; nothing is unpacked to the disk."""
    expected = edition.archives.get(archive.name)
    if expected is None:
        raise DataError(f"{archive}: is no archive of {edition.name}", hint=hint)
    data = _bytes(archive)
    _verify(data, expected, str(archive))
    wanted = {n for files in (*edition.python.values(), *edition.binary.values()) for n in files}
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as members:
        for member in members:
            name = Path(member.name).name
            content = members.extractfile(member) if name in wanted else None
            if content is not None:
                found[name] = content.read()
    return found


def _verify(data: bytes, expected: str, where: str) -> None:
    found = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if found != expected:
        raise DataError(
            f"{where} is not the published file: its MD5 is {found} instead of {expected}",
            hint="fetch it again from https://www.cs.toronto.edu/~kriz/cifar.html",
        )


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error


def _records(data: bytes, label_bytes: int, where: str) -> tuple[NDArray[np.uint8], list[int]]:
    size = label_bytes + PIXELS
    if not data or len(data) % size:
        raise DataError(
            f"{where}: has {len(data):,} bytes, which isn't a whole number of records of {size:,}"
        )
    records = np.frombuffer(data, dtype=np.uint8).reshape(-1, size)
    return records[:, label_bytes:], records[:, label_bytes - 1].tolist()


def _pickled(
    data: bytes, key: bytes, expected: str, where: str
) -> tuple[NDArray[np.uint8], list[int]]:
    _verify(data, expected, where)
    try:
        batch = {_as_bytes(k): v for k, v in _Unpickler(io.BytesIO(data)).load().items()}
        pixels, labels = batch[b"data"].pixels(), list(batch[key])
    except Exception as error:  # what an odd pickle can trip over has no end
        raise DataError(f"{where}: is no batch of images: {error}") from error
    if pixels.shape != (len(labels), PIXELS):
        raise DataError(f"{where}: has pixels {pixels.shape} for {len(labels):,} labels")
    return pixels, labels


def _as_bytes(key: Any) -> Any:
    return key.encode() if isinstance(key, str) else key


class _Array:
    """Stands for a NumPy array in a pickle: remembers its state, runs nothing of NumPy's."""

    state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def pixels(self) -> NDArray[np.uint8]:
        _, shape, kind, fortran, data = self.state
        assert isinstance(kind, _Kind), "no type of numbers"
        assert kind.name in (b"u1", "u1"), f"numbers of type {kind.name!r} instead of bytes"
        order: Any = "F" if fortran else "C"
        data = data.encode("latin1") if isinstance(data, str) else data
        return np.frombuffer(data, dtype=np.uint8).reshape(shape, order=order)


class _Kind:
    """Stands for a NumPy dtype in a pickle."""

    def __init__(self, name: Any, *_: Any) -> None:
        self.name = name

    def __setstate__(self, state: Any) -> None:
        """Byte order and the like: bytes have none."""


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Kind,
    ("numpy.core.multiarray", "_reconstruct"): lambda *_: _Array(),
    ("numpy._core.multiarray", "_reconstruct"): lambda *_: _Array(),
    ("_codecs", "encode"): lambda text, *_: text.encode("latin1"),
}
"""All that a batch names, each by a stand-in: nothing that a pickle could name is ever called."""


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, encoding="bytes")

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it names {module}.{name}") from None
