"""How well a classifier tells images apart.

B images in a batch, K classes.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

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
