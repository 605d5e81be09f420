"""How well a classifier tells images apart.

B images in a batch, K classes.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass

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
    said, true = answers(model, batches, device=device, autocast=autocast, flip=flip)
    return judge(said, true, classes=classes)


@torch.no_grad()
def answers(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    device: torch.device,
    autocast: AbstractContextManager[object],
    flip: bool = False,
) -> tuple[Tensor, Tensor]:
    """Log-probabilities (N, K) for all images of batches, and their classes (N,), on the CPU."""
    was_training = model.training
    model.eval()
    said, true = [], []
    for images, targets in batches:
        batch = probabilities(model, images.to(device), autocast=autocast, flip=flip)
        said.append(batch.cpu())
        true.append(targets.cpu())
    model.train(was_training)
    return torch.cat(said), torch.cat(true)


def judge(said: Tensor, true: Tensor, *, classes: int) -> Classified:
    """Log-probabilities (N, K) against classes (N,)."""
    best = said.argmax(1)
    pairs = torch.bincount(true * classes + best, minlength=classes * classes)
    likeliest = said.topk(min(5, classes), 1).indices
    return Classified(
        images=len(true),
        loss=float(F.nll_loss(said.double(), true)),
        confusion=pairs.view(classes, classes),
        top5=float((likeliest == true[:, None]).any(1).double().mean()),
        calibration_error=_calibration_error(said, best == true),
    )


def _calibration_error(said: Tensor, right: Tensor) -> float:
    """|accuracy - confidence| of each bin of confidence, weighted by how many fall into it."""
    confidence = said.amax(1).exp().double()
    bins = (confidence * CALIBRATION_BINS).ceil().long().clamp(1, CALIBRATION_BINS) - 1
    gaps = torch.zeros(CALIBRATION_BINS, dtype=torch.float64)
    gaps.index_add_(0, bins, right.double() - confidence)
    return float(gaps.abs().sum() / len(said))
