"""From images to pixels: files, folders of them, and what is held out.

Made by `maquette eject` (maquette 0.1.0) from the spec shapes; blueprint 3a970b328c340935.
"""

import hashlib
import io
import math
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional as F

from errors import DataError

# How images are changed while a classifier learns, as plain numbers. Standard library only.

Policy = Literal["none", "trivial", "rand"]


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What `data.image.augment` does to a batch, in this order; the defaults change nothing.

    `crop_scale` is the least share of an image's area that a random crop keeps, scaled up to the
    whole size (1: no crop). `flip` mirrors every other image. `pad_crop` moves an image by up to so
    many pixels, what comes in being its own reflection. `policy` is one operation of random
    strength (`trivial`) or two of a set strength (`rand`). `erase` is the chance that a rectangle
    is blanked. `mixup` and `cutmix` are the alphas of Beta distributions that say how much of
    another image comes in (0: none); with both, each is used for half of the batches.
    `label_smoothing` is the share of a target that is spread over all classes.
    """

    crop_scale: float = 1.0
    flip: bool = False
    pad_crop: int = 0
    policy: Policy = "none"
    erase: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    label_smoothing: float = 0.0

    @property
    def soft(self) -> bool:
        """Whether targets are shares of classes rather than classes."""
        return self.mixup > 0 or self.cutmix > 0 or self.label_smoothing > 0


@dataclass(frozen=True, slots=True)
class Crop:
    """A random resized crop (Szegedy et al. 2014, arXiv:1409.4842), before the image is known.

    `area` is the share of the image that is kept and `ratio` its width by its height; `x` and `y`,
    in 0..1, say where it lies in the room that is left.
    """

    area: float
    ratio: float
    x: float
    y: float

    def box(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Left, top, right and bottom in pixels of an image of this size."""
        pixels = self.area * width * height
        w = min(width, math.sqrt(pixels * self.ratio))
        h = min(height, math.sqrt(pixels / self.ratio))
        left, top = self.x * (width - w), self.y * (height - h)
        return left, top, left + w, top + h


def centre_box(width: int, height: int) -> tuple[float, float, float, float]:
    """The largest square in the middle of an image: left, top, right, bottom."""
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


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

    def splits(self) -> tuple[str, ...]:
        """The splits that it has by itself."""
        ...

    def split(self, name: str) -> Split:
        """The images of one of its splits."""
        ...

    def remarks(self) -> list[str]:
        """What was passed over, in lines for people."""
        ...


def listed(names: Sequence[object], most: int = 5) -> str:
    """`a, b, c and 4 more`."""
    shown = ", ".join(str(name) for name in names[:most])
    shown = shown.encode(errors="backslashreplace").decode()  # file names may be any bytes
    return shown + (f" and {len(names) - most:,} more" if len(names) > most else "")


def is_or_are(names: Sequence[object]) -> str:
    """The verb for so many."""
    return "is" if len(names) == 1 else "are"


# Images that can't be read: how many are too many, and what is said of them.

MOST_BROKEN = 0.01
"""Share of a split's images."""
NAMED_BROKEN = 10
"""So many may be found before too many stop it, so that they can be mended together."""


def left_out(broken: Sequence[str], total: int, split: str) -> str:
    """A line about the few that are broken; each is a name and a reason."""
    return f"left out {len(broken):,} of {total:,} images of {split}: {listed(broken, 3)}"


def too_many(broken: Sequence[str], images: str, split: str) -> DataError:
    """The error for more than that, among so many images of a split."""
    return DataError(
        f"{len(broken):,} of {images} in {split} {is_or_are(broken)} broken: "
        f"{listed(broken, NAMED_BROKEN)}",
        hint="up to 1 % are left out; mend or remove them",
    )


Pixels = NDArray[np.uint8]
Encoded = bytes | tuple[str, int, int]
"""The bytes of an image file, or where they are: a path, an offset and a length (0: to the end)."""
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""No others are read: anybody may have made a file, and Pillow runs a program for some (EPS)."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # what EXIF's orientation asks for; from 5 on, width and height change places
_UNKNOWN_RANGE = "its pixels are numbers of 32 bits, and nothing says which is white"


class BrokenError(Exception):
    """An image can't be read; the message says why, without its name."""


def decode(encoded: Encoded, size: int, crop: Crop | None = None) -> Pixels:
    """The image as (size, size, 3): its shorter side brought to `size`, and the middle of it.

    With a crop, that part of it brought to `size` instead. Raises BrokenError.
    """
    with _quiet(), _opened(encoded) as image:
        try:
            return _fitted(image, size, crop)
        except Exception as error:  # Pillow's readers raise whatever a bad file trips over
            raise BrokenError(_reason(error)) from error


def fit(pixels: Pixels, size: int, crop: Crop | None = None) -> Pixels:
    """Pixels (H, W, 3) as (size, size, 3), by the same rule as `decode`."""
    if crop is None and pixels.shape == (size, size, 3):
        return pixels
    return _fitted(Image.fromarray(pixels), size, crop)


def rgb(image: Image.Image) -> Image.Image:
    """Any mode as 8-bit RGB, what is transparent laid on white.

    Raises ValueError for numbers that may mean anything: fractions, and more than 16 bits.
    """
    if image.mode.startswith("I;16") or image.mode == "I":  # Pillow would cut, not scale
        values = np.asarray(image)
        if values.min(initial=0) < 0 or values.max(initial=0) > 0xFFFF:
            raise ValueError(_UNKNOWN_RANGE)
        return Image.fromarray((values >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ValueError(_UNKNOWN_RANGE)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        if image.mode == "La":
            image = image.convert("LA")
        whole = image.convert("RGBA")
        white = Image.new("RGBA", whole.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, whole).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _fitted(image: Image.Image, size: int, crop: Crop | None) -> Pixels:
    turn = _turn(image)
    width, height = _upright(image, turn)
    box = centre_box(width, height) if crop is None else crop.box(width, height)
    # A JPEG is decoded at a half, a quarter or an eighth where that is still large enough.
    scale = size / min(box[2] - box[0], box[3] - box[1])
    if scale < 0.5:
        image.draft(None, (int(image.width * scale) + 1, int(image.height * scale) + 1))
    image.load()
    image = rgb(image)
    if turn is not None:
        image = image.transpose(_TURNS[turn])
    x, y = image.width / width, image.height / height
    box = (box[0] * x, box[1] * y, min(box[2] * x, image.width), min(box[3] * y, image.height))
    if image.size != (size, size) or box != (0, 0, size, size):
        image = image.resize((size, size), Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)
    return np.asarray(image)


def _upright(image: Image.Image, turn: int | None) -> tuple[int, int]:
    width, height = image.size
    return (width, height) if turn is None or turn < 5 else (height, width)


def _turn(image: Image.Image) -> int | None:
    if image.format == "TIFF":  # Pillow turns these by itself, and tells their size as turned
        return None
    try:
        turn = image.getexif().get(0x0112)
    except Exception:  # damaged EXIF says nothing of the picture
        return None
    return turn if turn in _TURNS else None


def _opened(encoded: Encoded) -> Image.Image:
    try:
        return Image.open(io.BytesIO(_read(encoded)), formats=FORMATS)
    except Exception as error:  # Pillow's readers raise whatever a bad file trips over
        raise BrokenError(_reason(error)) from error


def _read(encoded: Encoded) -> bytes:
    if isinstance(encoded, bytes):
        return encoded
    path, offset, length = encoded
    with Path(path).open("rb") as file:
        file.seek(offset)
        return file.read(length or -1)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "is no image"
    if isinstance(error, Image.DecompressionBombWarning | Image.DecompressionBombError):
        return f"has more than {Image.MAX_IMAGE_PIXELS:,} pixels"
    if isinstance(error, OSError) and error.strerror:
        return f"can't be read: {error.strerror.lower()}"
    return f"can't be read: {error or type(error).__name__}"


class _quiet(warnings.catch_warnings):
    """Pillow's warnings say nothing that stops a picture, but for one about its size."""

    def __enter__(self) -> None:
        super().__enter__()
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)


# Which images are held out for validation: the same share of every class.


def held_out_rows(
    splits: Mapping[str, Split], classes: Sequence[str], *, fraction: float, seed: int
) -> dict[str, NDArray[np.bool_] | None]:
    """Which rows of train are held out for want of a validation split; None of other splits.

    Raises DataError unless every split knows every class.
    """
    if not 2 <= len(classes) <= 1 << 16:
        count = f"{len(classes):,} class" + "es" * (len(classes) != 1)
        raise DataError(f"has {count}, and 2 to 65,536 can be told apart")
    for name, split in splits.items():
        counts = np.bincount(split.labels, minlength=len(classes))
        missing = [label for label, count in zip(classes, counts, strict=True) if not count]
        if missing:
            raise DataError(
                f"its {name} split has no image of {listed(missing)}",
                hint="every class has to be in every split",
            )
    held_out: dict[str, NDArray[np.bool_] | None] = dict.fromkeys(splits)
    if "validation" not in splits:
        train = splits["train"]
        names = (train.name(row) for row in range(len(train.labels)))
        held_out["train"] = hold_out(train.labels, names, classes, fraction=fraction, seed=seed)
    return held_out


def hold_out(
    labels: NDArray[np.int64],
    names: Iterable[str],
    classes: Sequence[str],
    *,
    fraction: float,
    seed: int,
) -> NDArray[np.bool_]:
    """True for about `fraction` of each class's images, (N,): those with the least seeded hash.

    The hash is of an image's name, so that adding images moves few others. At least one of each
    class is held out, and one is left. Raises DataError for a class that has but one.
    """
    key = seed.to_bytes(8, "little")
    hashes = np.frombuffer(
        b"".join(
            hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=8, key=key).digest()
            for name in names
        ),
        dtype="<u8",
    )
    counts = np.bincount(labels, minlength=len(classes))
    single = [name for name, count in zip(classes, counts, strict=True) if count == 1]
    if single:
        raise DataError(
            f"has a single image of {listed(single)}, and one has to be held out for validation",
            hint="add images, or give it a validation split",
        )
    wanted = np.clip(np.rint(counts * fraction).astype(np.int64), 1, counts - 1)
    order = np.lexsort((hashes, labels))
    rank = np.empty(len(labels), dtype=np.int64)  # an image's place among those of its class
    rank[order] = np.arange(len(labels)) - (np.cumsum(counts) - counts)[labels[order]]
    held: NDArray[np.bool_] = rank < wanted[labels]
    return held


class Images(Protocol):
    """N labelled square images of S pixels a side."""

    @property
    def labels(self) -> Tensor:
        """The class of each, int64 (N,)."""
        ...

    def __len__(self) -> int:
        """N."""
        ...

    def batch(
        self,
        indices: Sequence[int] | NDArray[np.int64],
        *,
        crops: Sequence[Crop] | None = None,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Some of them, uint8 (B, 3, S, S) with channels last in memory.

        With `crops`, one an image, that part of each at the whole size.
        """
        ...


class ArrayImages:
    """Images as bytes, (N, S, S, 3), in memory or mapped into it, and their labels, int64 (N,)."""

    def __init__(self, pixels: NDArray[np.uint8], labels: Tensor) -> None:
        assert len(pixels) == len(labels), "as many labels as images"
        self._pixels = pixels
        self.labels = labels

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
        """Some of them, uint8 (B, 3, S, S); with `crops`, these parts of them."""
        pixels = torch.from_numpy(self._pixels[np.asarray(indices, dtype=np.int64)])
        images = pixels.to(device).permute(0, 3, 1, 2)
        return images if crops is None else cut(images, crops)


def cut(images: Tensor, crops: Sequence[Crop]) -> Tensor:
    """A part of each image, scaled up to the size of the whole: uint8 (B, C, H, W) as it came."""
    height, width = images.shape[-2:]
    boxes = torch.tensor([crop.box(width, height) for crop in crops])
    left, top, right, bottom = (boxes / torch.tensor([width, height] * 2) * 2 - 1).T
    zero = torch.zeros_like(left)
    across = torch.stack((right - left, zero, right + left), 1) / 2
    down = torch.stack((zero, bottom - top, bottom + top), 1) / 2
    maps = torch.stack((across, down), 1).to(images.device)
    grid = F.affine_grid(maps, list(images.shape), align_corners=False)
    sampled = F.grid_sample(
        images.float(), grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return sampled.round().to(torch.uint8).contiguous(memory_format=torch.channels_last)


# All images of a source in memory, by split.

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


def unreadable(path: Path, error: OSError) -> DataError:
    """The error to raise for a file that the system won't let us read."""
    return DataError(f"{path}: can't be read: {error.strerror or error}")


# A folder of images with a folder for each class.

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
