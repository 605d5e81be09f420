"""A classifier at work: on images that people have, and on a whole split of its data."""

import contextlib
import itertools
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maquette.blueprint.blueprint import ImageBlueprint
from maquette.data.image.batches import evaluation_batches, evaluation_indices, normalise
from maquette.data.image.decoders import Decoders
from maquette.data.image.decoding import Encoded, Pixels
from maquette.data.image.folder import ENDINGS
from maquette.data.image.pixels import Images
from maquette.models.convnext import ConvNeXt
from maquette.training.classify import Answers, Classified, answers, judge, probabilities

BATCH = 64
"""Images computed together; fewer are also decoded here, sooner than processes have started."""


@dataclass(frozen=True, slots=True)
class Given:
    """An image to look at, and what it is called; or a `problem` in its place."""

    name: str
    image: Encoded | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What a classifier said of an image: classes with their probabilities, the likeliest first.

    `problem` says why an image couldn't be read; then it said nothing.
    """

    name: str
    classes: tuple[tuple[str, float], ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """A classifier judged by a split: figures, and what it said of each image.

    `indices` (N,) say which images of the split these are.
    """

    result: Classified
    answers: Answers
    indices: NDArray[np.int64]

    def mistakes(self, most: int) -> list[int]:
        """Rows of images that it told wrong, those it was surest of first."""
        found = self.answers
        wrong = torch.nonzero(found.said != found.true)[:, 0]
        order = found.confidence[wrong].argsort(descending=True, stable=True)
        return [int(row) for row in wrong[order][:most]]


def find_images(paths: Iterable[Path]) -> Iterator[Given]:
    """Files as they are given; of folders, and those inside, all images by name, as they are found.

    What isn't there, and a folder without an image, comes as a problem.
    """
    for path in paths:
        if not path.is_dir():
            yield find_image(path)
            continue
        empty = True
        for found in _inside(path):
            empty = False
            yield found
        if empty:
            yield Given(str(path), problem=f"holds no image ({' '.join(sorted(ENDINGS))})")


def _inside(folder: Path) -> Iterator[Given]:
    refused: list[OSError] = []
    for place, folders, files in os.walk(folder, onerror=refused.append):
        folders.sort()
        for name in sorted(files):
            if os.path.splitext(name)[1].lower() in ENDINGS:  # noqa: PTH122 - a name, no path
                yield find_image(Path(place, name))
    for error in refused:
        yield Given(str(error.filename), problem=_cause(error))


def find_image(path: Path) -> Given:
    """One image file, or why there is none."""
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError) as error:  # a name may hold what no name may
        cause = _cause(error) if isinstance(error, OSError) else f"can't be read: {error}"
        return Given(str(path), problem=cause)
    if not regular:
        return Given(str(path), problem="is no file; what a program writes comes through `-`")
    return Given(str(path), (str(path), 0, 0))


def _cause(error: OSError) -> str:
    return f"can't be read: {(error.strerror or str(error)).lower()}"


def classify(
    model: ConvNeXt,
    blueprint: ImageBlueprint,
    images: Iterable[Given],
    *,
    top: int = 5,
    flip: bool = False,
    autocast: contextlib.AbstractContextManager[object] | None = None,
) -> Iterator[Said]:
    """What the model says of images, in their order; few of them are in memory at a time.

    `flip` looks at their mirror images too. Raises FloatingPointError if the weights are broken.
    """
    rest = iter(images)
    first = list(itertools.islice(rest, BATCH))
    waiting: deque[list[Given]] = deque()

    def parts() -> Iterator[list[tuple[Encoded, None]]]:
        part = first
        while part:
            waiting.append(part)
            yield [(one.image, None) for one in part if one.image is not None]
            part = list(itertools.islice(rest, BATCH))

    with Decoders(0 if len(first) < BATCH else None) as decoders:
        for pixels, broken in decoders.stream(parts(), blueprint.shape.image_size):
            sound = np.delete(pixels, list(broken), axis=0)
            shares = _shares(model, blueprint, sound, flip=flip, autocast=autocast)
            row = 0
            for one in waiting.popleft():
                problem = one.problem
                if problem is None:
                    problem, row = broken.get(row), row + 1
                if problem is not None:
                    yield Said(one.name, problem=problem)
                else:
                    yield Said(one.name, _likeliest(next(shares), blueprint.facts.classes, top))


def _shares(
    model: ConvNeXt,
    blueprint: ImageBlueprint,
    pixels: Pixels,
    *,
    flip: bool,
    autocast: contextlib.AbstractContextManager[object] | None,
) -> Iterator[Tensor]:
    """The probability of each class, (K,), of images (B, S, S, 3) one after another."""
    if not len(pixels):
        return iter(())
    facts = blueprint.facts
    batch = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(model.head.fc.weight.device)
    inputs = normalise(batch, facts.mean, facts.std)
    said = probabilities(model, inputs, autocast=autocast or contextlib.nullcontext(), flip=flip)
    shares = said.exp().cpu()
    if not shares.isfinite().all():
        raise FloatingPointError("the probabilities are not finite")
    return iter(shares)


def _likeliest(shares: Tensor, classes: Sequence[str], top: int) -> tuple[tuple[str, float], ...]:
    values, places = shares.topk(min(top, len(classes)))
    return tuple(
        (classes[place], value)
        for place, value in zip(places.tolist(), values.tolist(), strict=True)
    )


def judge_split(
    model: ConvNeXt,
    blueprint: ImageBlueprint,
    images: Images,
    *,
    autocast: contextlib.AbstractContextManager[object],
    flip: bool = False,
    limit: int | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Judged:
    """Judge a model by a split's images, or by `limit` of them in a seeded order.

    `progress` is called with images done and in all. Raises DataError, and FloatingPointError if
    the weights are broken.
    """
    facts, seed = blueprint.facts, blueprint.seed
    indices = evaluation_indices(len(images), limit=limit, seed=seed)
    batches = evaluation_batches(
        images, batch_size=BATCH, mean=facts.mean, std=facts.std, limit=limit, seed=seed
    )

    def watched() -> Iterator[tuple[Tensor, Tensor]]:
        done = 0
        for inputs, classes in batches:
            yield inputs, classes
            done += len(classes)
            progress(done, len(indices))

    device = model.head.fc.weight.device
    found = answers(model, watched(), device=device, autocast=autocast, flip=flip)
    if not found.confidence.isfinite().all():
        raise FloatingPointError("the probabilities are not finite")
    return Judged(judge(found, classes=len(facts.classes)), found, indices)
