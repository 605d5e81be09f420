"""Images to pixels, once: memory-mapped files in the cache, made anew when anything changes.

    <cache>/data/<key>/
      manifest.json       what it was made from, size and SHA-256 of each file
      facts.json          classes, mean, images of each class and split, what was skipped or broken
      <split>.labels      classes, little-endian, 16 bits
      <split>.pixels      images of S pixels a side, 8 bits, (N, S, S, 3)
    or, where these would be more than PIXEL_BYTES, to be decoded when they are wanted:
      <split>.paths       where the images are, a list in JSON
      <split>.packed      image files one behind another, of sources that aren't files of images
      <split>.ends        where each of these ends, little-endian, 64 bits

An image's shorter side is brought to S, and its middle is kept. Every image is decoded here, so a
broken one is found now and not in the middle of training. The key is a hash of everything that the
files depend on.
"""

import contextlib
import hashlib
import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from maquette.data.cache import FACTS_FILE, cache_folder, preparing
from maquette.data.image.broken import MOST_BROKEN, NAMED_BROKEN, left_out, too_many
from maquette.data.image.decoders import Decoders
from maquette.data.image.decoding import BrokenError, fit, shorter_side
from maquette.data.image.files import FileImages, encoded
from maquette.data.image.holdout import held_out_rows
from maquette.data.image.pixels import Images, PixelImages
from maquette.data.image.source import ImageSource, Split, Stored, listed
from maquette.data.image.writing import SplitWriter
from maquette.data.source import naming
from maquette.errors import DamagedError, DataError, RunError
from maquette.facts import ImageFacts, ImageSplitFacts
from maquette.quantities import format_bytes
from maquette.runs import durable
from maquette.runs.manifest import read_manifest

FORMAT = 1
"""Part of the key: raise it when the same images would give other pixels or other files."""
PIXEL_BYTES = 4 << 30
"""Up to here the pixels of all splits are written; a larger set stays files."""
LARGEST_OWN_SIZE = 64
"""Images of one size up to here keep it; others are brought to DEFAULT_SIZE."""
DEFAULT_SIZE = 224
FEW = 2000  # images that are decoded sooner than processes have started
PART = 64  # images decoded at a time

Report = Callable[["ImageProgress"], None]


@dataclass(frozen=True, slots=True)
class ImageProgress:
    """Where a preparation stands: so many images of `total` of a split that the source has."""

    stage: Literal["waiting", "images"]
    source: str
    split: str
    images: int
    total: int

    def __str__(self) -> str:
        if self.stage == "waiting":
            return "waiting for another process that prepares the same data"
        return f"preparing data: {self.source}, {self.split}"

    @property
    def done(self) -> tuple[int, int]:
        """Images read, and how many there are."""
        return self.images, self.total

    @property
    def read(self) -> str:
        """The same in words."""
        return f"{self.images:,} of {self.total:,} images"


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Images of a split whose pixels are also in train, and what one of them is called."""

    images: int
    of: int
    example: str | None


@dataclass(frozen=True, slots=True)
class PreparedImages:
    """Prepared images. `remarks` are what the source has to say, by its name: what it skipped."""

    folder: Path
    facts: ImageFacts
    reused: bool
    remarks: dict[str, list[str]] = field(default_factory=dict)
    duplicates: dict[str, Duplicates] = field(default_factory=dict)

    @property
    def on_the_fly(self) -> bool:
        """Whether images are decoded when they are wanted, for being too many to keep as pixels."""
        return not (self.folder / "train.pixels").exists()

    def images(self, split: str, *, workers: int | None = None) -> Images:
        """The images of a split. `workers` processes decode where they stay files; None: by cores.

        Raises DataError for a split that isn't there.
        """
        if split not in self.facts.splits:
            raise DataError(
                f"there is no {split} split", hint=f"there is {listed([*self.facts.splits])}"
            )
        labels, size = self.folder / f"{split}.labels", self.facts.image_size
        if not self.on_the_fly:
            return PixelImages(self.folder / f"{split}.pixels", labels, size)
        listing, packed = self.folder / f"{split}.paths", self.folder / f"{split}.packed"
        if listing.exists():
            return FileImages(json.loads(listing.read_bytes()), None, labels, size, workers=workers)
        ends = np.fromfile(self.folder / f"{split}.ends", dtype="<i8")
        return FileImages(packed, ends, labels, size, workers=workers)


def prepare_images(
    name: str,
    source: ImageSource,
    *,
    size: int | None = None,
    seed: int = 0,
    cache: Path | None = None,
    progress: Report | None = None,
) -> PreparedImages:
    """The images of a source: found in the cache, or decoded and put there.

    `size` is pixels a side; without it the images' own, if all have the same and at most
    LARGEST_OWN_SIZE, else DEFAULT_SIZE. `seed` chooses what is held out for validation where the
    source has no such split. `cache` takes the place of $MAQUETTE_CACHE. Two preparations of the
    same data wait for each other; one that is cut off leaves nothing that the next would take for
    whole. Raises DataError, which begins with the source's name.
    """
    report = progress or (lambda _: None)
    with naming(name):
        about = _about(name, source, size, seed)
    root = cache_folder() if cache is None else cache / "data"
    folder = root / _key(about)
    prepared = _open_if_whole(folder)
    if prepared is not None:
        return prepared
    try:
        durable.make_folder(root)
        with preparing(folder, lambda: report(ImageProgress("waiting", name, "", 0, 0))):
            prepared = _open_if_whole(folder)  # made while we waited
            if prepared is None:
                if folder.exists():
                    durable.remove_folder(folder)
                with naming(name):
                    _make(folder, _Job(name, source, size, seed, report), about)
    except (RunError, OSError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        reason = (isinstance(cause, OSError) and cause.strerror) or str(error)
        raise DataError(f"{root}: can't be written: {reason}", hint=_ELSEWHERE) from error
    return prepared or open_images(folder, reused=False)


def find_images(
    name: str,
    source: ImageSource,
    *,
    size: int | None = None,
    seed: int = 0,
    cache: Path | None = None,
) -> PreparedImages | None:
    """What `prepare_images` would find in the cache; None if it isn't there. Raises DataError."""
    with naming(name):
        about = _about(name, source, size, seed)
    root = cache_folder() if cache is None else cache / "data"
    return _open_if_whole(root / _key(about))


def _key(about: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]


_ELSEWHERE = "free some space, or set MAQUETTE_CACHE to a folder on another disk"


def open_images(folder: Path, *, reused: bool = True) -> PreparedImages:
    """The prepared images in a folder. Raises DamagedError when it isn't whole."""
    read_manifest(folder)
    path = folder / FACTS_FILE
    try:
        written = json.loads(path.read_bytes())
        facts = ImageFacts(
            classes=tuple(written["classes"]),
            image_size=written["image_size"],
            mean=tuple(written["mean"]),
            std=tuple(written["std"]),
            splits={
                split: ImageSplitFacts(**counts | {"per_class": tuple(counts["per_class"])})
                for split, counts in written["splits"].items()
            },
        )
        remarks = {name: list(lines) for name, lines in written["remarks"].items()}
        duplicates = {s: Duplicates(**found) for s, found in written["duplicates"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedError(f"{path} is damaged: {error}") from error
    return PreparedImages(folder, facts, reused, remarks, duplicates)


def _about(name: str, source: ImageSource, size: int | None, seed: int) -> dict[str, Any]:
    """Everything that the files depend on."""
    held_out = "validation" not in source.splits()
    return {
        "image_format": FORMAT,
        "library": metadata.version("pillow"),
        "size": size,
        "held_out": [source.validation_fraction, seed] if held_out else None,
        "sources": [[name, dict(source.fingerprint())]],
    }


def _open_if_whole(folder: Path) -> PreparedImages | None:
    try:
        return open_images(folder)
    except DamagedError:
        return None


@dataclass(frozen=True)
class _Job:
    """What to prepare."""

    name: str
    source: ImageSource
    size: int | None
    seed: int
    report: Report


def _make(folder: Path, job: _Job, about: dict[str, Any]) -> None:
    splits = {split: job.source.split(split) for split in job.source.splits()}
    classes = job.source.classes
    fraction = job.source.validation_fraction
    held_out = held_out_rows(splits, classes, fraction=fraction, seed=job.seed)
    size = job.size or _own_size(splits["train"])
    total = sum(len(split.labels) for split in splits.values())
    needed = total * size * size * 3
    as_pixels = needed <= PIXEL_BYTES
    if as_pixels:
        _check_space(folder.parent, needed)

    def fill(place: Path) -> None:
        names = ["train", "validation", *(["test"] if "test" in splits else [])]
        writers = {s: SplitWriter(place, s, len(classes), as_pixels=as_pixels) for s in names}
        remarks = list(job.source.remarks())
        with contextlib.ExitStack() as open_now:
            for writer in writers.values():
                open_now.callback(writer.close)
            decoders = open_now.enter_context(Decoders(None if total > FEW else 0))
            for split, held in held_out.items():
                remarks += _write(split, splits[split], held, size, writers, decoders, job)
        _check_full(writers, classes)
        written = asdict(_facts(writers, classes, size))
        written["remarks"] = {job.name: remarks} if remarks else {}
        written["duplicates"] = {
            split: asdict(Duplicates(*writer.copies_of(writers["train"])))
            for split, writer in writers.items()
            if split != "train"
        }
        (place / FACTS_FILE).write_text(json.dumps(written, indent=2) + "\n")

    durable.commit_folder(folder, fill, extra=about)


def _own_size(train: Split) -> int:
    """The images' own size where all share one that is small."""
    own = None
    for image in train.images():
        try:
            side = (
                min(image.shape[:2])
                if isinstance(image, np.ndarray)
                else shorter_side(encoded(image))
            )
        except BrokenError:
            continue
        if side > LARGEST_OWN_SIZE or own not in (None, side):
            return DEFAULT_SIZE
        own = side
    return own or DEFAULT_SIZE


def _check_space(root: Path, needed: int) -> None:
    free = shutil.disk_usage(root).free
    if needed > free:
        raise DataError(
            f"{root}: preparing needs {format_bytes(needed)}, and {format_bytes(free)} are free",
            hint=_ELSEWHERE,
        )


def _write(
    name: str,
    split: Split,
    held_out: NDArray[np.bool_] | None,
    size: int,
    writers: dict[str, SplitWriter],
    decoders: Decoders,
    job: _Job,
) -> list[str]:
    """Decode a split of the source into the files of one or two of ours; what was broken."""
    total, row, broken = len(split.labels), 0, []
    for images, pixels, bad in _decoded(split.images(), size, decoders):
        for i, image in enumerate(images):
            goes_to = name if held_out is None or not held_out[row] else "validation"
            if i in bad:
                broken.append(f"{split.name(row)} {bad[i]}")
                writers[goes_to].broken += 1
                if len(broken) > max(MOST_BROKEN * total, NAMED_BROKEN):
                    raise too_many(broken, f"the first {row + 1:,} images of {total:,}", name)
            else:
                writers[goes_to].add(image, pixels[i], int(split.labels[row]), split.name(row))
            row += 1
        job.report(ImageProgress("images", job.name, name, row, total))
    assert row == total, "as many images as labels"
    if len(broken) > MOST_BROKEN * total:
        raise too_many(broken, f"{total:,} images", name)
    return [left_out(broken, total, name)] if broken else []


def _decoded(
    images: Iterator[Stored], size: int, decoders: Decoders
) -> Iterator[tuple[list[Stored], NDArray[np.uint8], dict[int, str]]]:
    """Parts of the images, their pixels, and why some of these are broken."""
    waiting: list[list[Stored]] = []

    def parts() -> Iterator[list[Any]]:
        for part in _parts(images):
            waiting.append(part)
            yield [(encoded(image), None) for image in part]

    first = next(images, None)
    if first is None:
        return
    images = itertools.chain([first], images)
    if isinstance(first, np.ndarray):
        for part in _parts(images):
            yield part, np.stack([fit(np.asarray(image), size) for image in part]), {}
        return
    for pixels, broken in decoders.stream(parts(), size):
        yield waiting.pop(0), pixels, broken


def _parts(images: Iterator[Stored]) -> Iterator[list[Stored]]:
    while part := list(itertools.islice(images, PART)):
        yield part


def _check_full(writers: dict[str, SplitWriter], classes: tuple[str, ...]) -> None:
    for split, writer in writers.items():
        gone = [c for c, count in zip(classes, writer.per_class, strict=True) if not count]
        if gone:
            raise DataError(f"every {split} image of {listed(gone)} is broken")


def _facts(writers: dict[str, SplitWriter], classes: tuple[str, ...], size: int) -> ImageFacts:
    mean, std = writers["train"].moments()
    splits = {split: writer.finish() for split, writer in writers.items()}
    return ImageFacts(classes, size, mean, std, splits)
