"""How well the model tells images apart that it wasn't trained on: `python eval.py`.

Made by `maquette eject` (maquette 0.1.0) from the spec cifar10; blueprint 5afd7e32ddb7ccf0.
"""

import argparse
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from data import MEAN, STD, class_names, evaluation_batches, read_all, shape_for
from device import autocast, choose_device, choose_precision
from errors import run
from model import WEIGHTS, ConvNeXt, load_model

# How well a classifier tells images apart.
#
# B images in a batch, K classes.

CALIBRATION_BINS = 15
"""As many bins of confidence as the papers take."""


@dataclass(frozen=True, slots=True)
class Classified:
    """What a classifier said of N images. `confusion` (K, K) counts true class by said class.

    `loss` is the mean cross entropy in nats. `top5` is the share whose class is among the five
    likeliest (all of them where there are fewer), `calibration_error` how far confidence is from
    accuracy (expected calibration error: Guo et al. 2017, arXiv:1706.04599).
    """

    images: int
    loss: float
    confusion: Tensor
    top5: float
    calibration_error: float

    @property
    def accuracy(self) -> float:
        """Share whose class is the likeliest."""
        return float(self.confusion.diagonal().sum()) / self.images

    @property
    def class_accuracy(self) -> list[float | None]:
        """Of each class, the share of its images that were told; None where it has none."""
        counts, right = self.confusion.sum(1).tolist(), self.confusion.diagonal().tolist()
        return [r / n if n else None for r, n in zip(right, counts, strict=True)]


class Answers(NamedTuple):
    """What a classifier said of N images, a row each: no more than judging it takes.

    `true` and `said` are classes (N,), `confidence` the probability of what it said, `nats` the
    cross entropy, and `in_five` whether the class is among the five likeliest.
    """

    true: Tensor
    said: Tensor
    confidence: Tensor
    nats: Tensor
    in_five: Tensor


@torch.no_grad()
def probabilities(
    model: nn.Module,
    images: Tensor,
    *,
    autocast: AbstractContextManager[object],
    flip: bool = False,
) -> Tensor:
    """Images (B, 3, H, W) -> log-probabilities (B, K) in float32.

    With `flip` those of the mean over each image and its mirror image.
    """
    with autocast:
        logits, _ = model(images)
        said = F.log_softmax(logits, -1)
        if flip:
            logits, _ = model(images.flip(-1))
            said = (
                torch.stack([said, F.log_softmax(logits, -1)]).logsumexp(0) - torch.tensor(2).log()
            )
    return said


def evaluate_classifier(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    classes: int,
    device: torch.device,
    autocast: AbstractContextManager[object],
    flip: bool = False,
) -> Classified:
    """Judge a model by batches of images (B, 3, H, W) and classes int64 (B,), one at least.

    What is skipped or dropped in training isn't meanwhile.
    """
    return judge(
        answers(model, batches, device=device, autocast=autocast, flip=flip), classes=classes
    )


@torch.no_grad()
def answers(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    device: torch.device,
    autocast: AbstractContextManager[object],
    flip: bool = False,
) -> Answers:
    """What a model says of all images of batches, on the CPU."""
    was_training = model.training
    model.eval()
    parts = []
    for images, true in batches:
        said = probabilities(model, images.to(device), autocast=autocast, flip=flip)
        parts.append(answer(said.cpu(), true.cpu()))
    model.train(was_training)
    return Answers(*(torch.cat(columns) for columns in zip(*parts, strict=True)))


def answer(said: Tensor, true: Tensor) -> Answers:
    """Log-probabilities (B, K) beside classes (B,)."""
    confidence, best = said.max(1)
    likeliest = said.topk(min(5, said.size(1)), 1).indices
    return Answers(
        true=true,
        said=best,
        confidence=confidence.exp(),
        nats=-said.gather(1, true[:, None])[:, 0],
        in_five=(likeliest == true[:, None]).any(1),
    )


def judge(found: Answers, *, classes: int) -> Classified:
    """What a classifier said, in figures."""
    pairs = torch.bincount(found.true * classes + found.said, minlength=classes * classes)
    return Classified(
        images=len(found.true),
        loss=float(found.nats.double().mean()),
        confusion=pairs.view(classes, classes),
        top5=float(found.in_five.double().mean()),
        calibration_error=_calibration_error(found.confidence, found.said == found.true),
    )


def _calibration_error(confidence: Tensor, right: Tensor) -> float:
    """|accuracy - confidence| of each bin of confidence, weighted by how many fall into it."""
    confidence = confidence.double()
    bins = (confidence * CALIBRATION_BINS).ceil().long().clamp(1, CALIBRATION_BINS) - 1
    gaps = torch.zeros(CALIBRATION_BINS, dtype=torch.float64)
    gaps.index_add_(0, bins, right.double() - confidence)
    return float(gaps.abs().sum() / len(right))


BATCH_IMAGES = 256


def main() -> None:
    """Print loss and accuracy, and the accuracy of each class."""
    parser = argparse.ArgumentParser(description="Evaluate the model.")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="default: %(default)s")
    parser.add_argument("--data", metavar="FOLDER|shapes", help="other images")
    parser.add_argument("--split", default="validation", help="train, validation or test")
    parser.add_argument("--flip", action="store_true", help="look at mirror images too")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    options = parser.parse_args()
    device = choose_device(options.device)
    classes = class_names(options.weights)
    model = ConvNeXt(shape_for(classes)).to(device)
    load_model(options.weights, model)
    collection = read_all(options.data)
    if options.split not in collection.images:
        parser.error(f"--split {options.split}: there are {', '.join(collection.images)}")
    if list(collection.classes) != classes:
        parser.error(f"--data has other classes than the model: {', '.join(collection.classes)}")
    result = evaluate_classifier(
        model,
        evaluation_batches(
            collection.images[options.split], batch_size=BATCH_IMAGES, mean=MEAN, std=STD
        ),
        classes=len(classes),
        device=device,
        autocast=autocast(device, choose_precision("auto", device)),
        flip=options.flip,
    )
    print(f"loss {result.loss:.4f}, accuracy {result.accuracy:.2%}, top 5 {result.top5:.2%}")
    for name, share in zip(classes, result.class_accuracy, strict=True):
        print(f"{name}: {'no images' if share is None else f'{share:.2%}'}")


if __name__ == "__main__":
    run(main)
