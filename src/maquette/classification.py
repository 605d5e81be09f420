"""A classifier at work: on images that people have, and on a whole split of its data."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from maquette.blueprint.blueprint import ImageBlueprint
from maquette.data.image.batches import evaluation_batches, normalise
from maquette.data.image.decoding import BrokenError, Encoded, decode
from maquette.data.image.prepare import PreparedImages
from maquette.errors import DataError
from maquette.models.convnext import ConvNeXt
from maquette.training.classify import Classified, answers, judge, probabilities

BATCH = 64
"""Images computed together."""
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm")
"""What is taken for an image in a folder."""


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
    """A classifier judged by a split: figures, and what it said of each image, in their order.

    `said` are log-probabilities (N, K), `true` classes (N,).
    """

    result: Classified
    said: Tensor
    true: Tensor


def find_images(paths: Sequence[Path]) -> list[Path]:
    """Files as they are given; of folders, all images in them, by name.

    Raises DataError where there is none.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in ENDINGS)
            if not inside:
                raise DataError(f"{path} holds no image", hint=f"these count: {', '.join(ENDINGS)}")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise DataError(f"{path}: there is no such file")
    return found


def classify(
    model: ConvNeXt,
    blueprint: ImageBlueprint,
    images: Sequence[tuple[str, Encoded]],
    *,
    top: int = 5,
    flip: bool = False,
    autocast: contextlib.AbstractContextManager[object] | None = None,
) -> Iterator[Said]:
    """What the model says of images, each a name and an image file, in their order.

    `flip` looks at their mirror images too.
    """
    facts, size = blueprint.facts, blueprint.shape.image_size
    device = model.head.fc.weight.device
    for start in range(0, len(images), BATCH):
        part = images[start : start + BATCH]
        pixels, problems = [], {}
        for row, (_, image) in enumerate(part):
            try:
                pixels.append(decode(image, size))
            except BrokenError as error:
                problems[row] = str(error)
        shares: Iterator[Tensor] = iter(())
        if pixels:
            batch = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).to(device)
            inputs = normalise(batch, facts.mean, facts.std)
            plain = autocast or contextlib.nullcontext()
            shares = iter(probabilities(model, inputs, autocast=plain, flip=flip).exp().cpu())
        for row, (name, _) in enumerate(part):
            if row in problems:
                yield Said(name, problem=problems[row])
            else:
                yield Said(name, _likeliest(next(shares), facts.classes, top))


def _likeliest(shares: Tensor, classes: Sequence[str], top: int) -> tuple[tuple[str, float], ...]:
    values, places = shares.topk(min(top, len(classes)))
    return tuple(
        (classes[place], value)
        for place, value in zip(places.tolist(), values.tolist(), strict=True)
    )


def judge_split(
    model: ConvNeXt,
    blueprint: ImageBlueprint,
    prepared: PreparedImages,
    split: str,
    *,
    autocast: contextlib.AbstractContextManager[object],
    flip: bool = False,
    limit: int | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Judged:
    """Judge a model by a split, or by `limit` images of it in a seeded order.

    `progress` is called with images done and in all. Raises DataError.
    """
    facts = blueprint.facts
    images = prepared.images(split)
    total = min(len(images), limit or len(images))
    batches = evaluation_batches(
        images, batch_size=BATCH, mean=facts.mean, std=facts.std, limit=limit, seed=blueprint.seed
    )

    def watched() -> Iterator[tuple[Tensor, Tensor]]:
        done = 0
        for inputs, classes in batches:
            yield inputs, classes
            done += len(classes)
            progress(done, total)

    device = model.head.fc.weight.device
    said, true = answers(model, watched(), device=device, autocast=autocast, flip=flip)
    return Judged(judge(said, true, classes=len(facts.classes)), said, true)
