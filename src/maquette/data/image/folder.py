"""A folder of images with a folder for each class."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from maquette.data.image.source import Split, listed
from maquette.data.text.reading import unreadable
from maquette.errors import DataError

_ENDINGS = ".avif .bmp .gif .jfif .jpe .jpeg .jpg .pbm .pgm .png .pnm .ppm .tif .tiff .webp"
ENDINGS = frozenset(_ENDINGS.split())
_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}  # what the folder of a split may be called


class Found(NamedTuple):
    """An image: where it is, below the folder, and what tells whether it has changed."""

    path: str
    label: str
    size: int
    changed_ns: int


class Skipped:
    """What lies in the folders and isn't an image of a class."""

    def __init__(self) -> None:
        self.hidden: list[str] = []
        self.others: list[str] = []
        self.loose: list[str] = []
        self.loops: list[str] = []
        self.unlabelled: list[str] = []

    def remarks(self) -> list[str]:
        """A line for each kind that there is."""
        lines = (
            (self.others, "no images, by their names"),
            (self.hidden, "hidden"),
            (self.loose, "in no class's folder"),
            (self.loops, "folders that lead back to one above or were read already"),
            (self.unlabelled, "folders of a split without a folder for any class"),
        )
        return [
            f"passed over {len(paths):,}: {why} ({listed(sorted(paths), 3)})"
            for paths, why in lines
            if paths
        ]


class ImageFolder:
    """Images in a folder for each class, any sizes, nested as you like; other files are skipped.

    Where the folder holds `train` and nothing but splits (`val` or `validation` or `valid`, and
    `test`), the classes are in these. Without a validation folder, about `validation_fraction` of
    each class is held out. Raises DataError, which names the folder.
    """

    def __init__(self, path: str, *, validation_fraction: float = 0.1) -> None:
        self.validation_fraction = validation_fraction
        self._root = Path(path).expanduser()
        if not self._root.is_dir():
            what = "is a file" if self._root.exists() else "no such folder"
            raise DataError(
                f"{self._root}: {what}",
                hint="path is the folder that holds a folder for each class",
            )
        self._skipped = Skipped()
        self._found = {
            split: self._read(folder, split) for split, folder in self._split_folders().items()
        }
        if not self._found.get("test", True):
            del self._found["test"]
        self.classes = self._checked()

    def fingerprint(self) -> dict[str, Any]:
        """The folder, and a hash of each split's names, sizes and times."""
        prints = {}
        for split, found in self._found.items():
            digest = hashlib.sha256()
            for image in found:
                digest.update(repr(tuple(image)).encode())
            prints[split] = [len(found), digest.hexdigest()]
        return {"kind": "imagefolder", "path": str(self._root.resolve()), "splits": prints}

    def splits(self) -> tuple[str, ...]:
        """Train, and validation and test if there are folders for them."""
        return tuple(self._found)

    def split(self, name: str) -> Split:
        """The images of a split, by their paths in order."""
        found = self._found[name]
        place = {label: i for i, label in enumerate(self.classes)}
        return Split(
            np.array([place[image.label] for image in found], dtype=np.int64),
            lambda: (self._root / image.path for image in found),
            lambda row: found[row].path,
        )

    def remarks(self) -> list[str]:
        """What was passed over."""
        return self._skipped.remarks()

    def _split_folders(self) -> dict[str, Path]:
        """The folders of the splits: the folder itself unless it holds `train` and only splits."""
        inner = [entry for entry in _entries(self._root) if entry.is_dir() and not _hidden(entry)]
        splits = {_SPLITS.get(entry.name.lower()) for entry in inner}
        if "train" not in splits or None in splits:
            return {"train": self._root}
        folders: dict[str, Path] = {}
        for entry in sorted(inner, key=lambda entry: entry.name):
            split = _SPLITS[entry.name.lower()]
            if split in folders:
                raise DataError(
                    f"{self._root}: has two folders for {split}: {folders[split].name} and "
                    f"{entry.name}",
                    hint="keep one of them there",
                )
            folders[split] = Path(entry.path)
        return {
            split: folders[split] for split in ("train", "validation", "test") if split in folders
        }

    def _read(self, folder: Path, split: str) -> list[Found]:
        """The images below the folders of the classes, in order of their paths."""
        labels = sorted(e.name for e in _entries(folder) if e.is_dir() and not _hidden(e))
        if not labels and split == "test":  # often given without its answers
            self._skipped.unlabelled.append(folder.name)
            return []
        if not labels:
            raise DataError(
                f"{folder}: holds no folder, and each class has to have one",
                hint="move the images of each class into a folder that is named after it",
            )
        for entry in _entries(folder):
            if _hidden(entry) or not entry.is_dir():
                self._skip(entry, loose=True)
        found: list[Found] = []
        for label in labels:
            images = sorted(self._below(folder / label, label))
            if not images:
                raise DataError(
                    f"{folder / label}: holds no image",
                    hint="a class needs images; remove the folder if it is none",
                )
            found += images
        return found

    def _below(self, folder: Path, label: str) -> Iterator[Found]:
        """The images in a folder and those below it; one that links lead to twice is read once."""
        above = folder.parent.resolve()
        seen = {_identity(place) for place in (above, *above.parents)}
        waiting = [folder]
        while waiting:
            place = waiting.pop()
            if _identity(place) in seen:
                self._skipped.loops.append(self._relative(place))
                continue
            seen.add(_identity(place))
            for entry in _entries(place):
                if _hidden(entry):
                    self._skipped.hidden.append(self._relative(entry))
                elif entry.is_dir():
                    waiting.append(Path(entry.path))
                elif not self._skip(entry):
                    about = entry.stat()
                    path = self._relative(entry)
                    yield Found(path, label, about.st_size, about.st_mtime_ns)

    def _skip(self, entry: os.DirEntry[str], *, loose: bool = False) -> bool:
        """Whether a file is none of ours; then it is noted."""
        if _hidden(entry):
            self._skipped.hidden.append(self._relative(entry))
        elif Path(entry.name).suffix.lower() not in ENDINGS or not entry.is_file():
            self._skipped.others.append(self._relative(entry))
        elif loose:
            self._skipped.loose.append(self._relative(entry))
        else:
            return False
        return True

    def _relative(self, place: "os.DirEntry[str] | Path") -> str:
        return Path(place).relative_to(self._root).as_posix()

    def _checked(self) -> tuple[str, ...]:
        """The classes, which have to be the same in all splits."""
        classes = {split: {f.label for f in found} for split, found in self._found.items()}
        for split, labels in classes.items():
            for one, other, here in ((labels, "train", split), (classes["train"], split, "train")):
                missing = sorted(one - classes[other])
                if missing:
                    raise DataError(
                        f"{self._root}: {here} has folders that {other} hasn't: {listed(missing)}",
                        hint="every class has to be in every split",
                    )
        return tuple(sorted(classes["train"]))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise unreadable(folder, error) from error


def _identity(folder: Path) -> tuple[int, int]:
    stat = folder.stat()
    return stat.st_dev, stat.st_ino


def _hidden(entry: os.DirEntry[str]) -> bool:
    return entry.name.startswith((".", "__MACOSX"))
