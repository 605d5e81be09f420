"""Learning to tell images apart: images, and the class of each."""

import contextlib
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from maquette.augmentation import Augmentation
from maquette.data.image.batches import Ahead, ImageBatches, evaluation_batches
from maquette.data.image.pixels import Images
from maquette.events import Evaluated
from maquette.training.classify import evaluate_classifier

EVALUATION_IMAGES = 256
"""Images judged together: enough to keep a machine busy."""


class ClassifierTask:
    """What a classifier is trained on, and what it is judged by.

    `images` are by split, of so many classes; `mean` and `std` of each channel are in 0..1. An
    evaluation looks at `evaluate_images` of those held out, or at all, with `flip` at their mirror
    images too.
    """

    def __init__(
        self,
        images: Mapping[str, Images],
        *,
        classes: int,
        batch_size: int,
        seed: int,
        mean: Sequence[float],
        std: Sequence[float],
        augmentation: Augmentation,
        evaluate_images: int | None,
        flip: bool,
        device: torch.device,
        autocast: contextlib.AbstractContextManager[object],
    ) -> None:
        self._classes, self._seed, self._mean, self._std = classes, seed, mean, std
        self._evaluate_images, self._flip = evaluate_images, flip
        self._device, self._autocast = device, autocast
        self._held_out = images["validation"]
        self._batches = Ahead(
            ImageBatches(
                images["train"],
                batch_size=batch_size,
                seed=seed,
                classes=classes,
                mean=mean,
                std=std,
                augmentation=augmentation,
                device=device,
            )
        )

    def batch(self, k: int) -> tuple[Tensor, Tensor]:
        """Images (B, 3, S, S) and targets of step k + 1, classes (B,) or shares of them (B, K)."""
        return self._batches.batch(k)

    def evaluate(self, model: nn.Module, step: int) -> Evaluated:
        """Loss and accuracy on the validation images, the same ones every time."""
        batches = evaluation_batches(
            self._held_out,
            batch_size=EVALUATION_IMAGES,
            mean=self._mean,
            std=self._std,
            limit=self._evaluate_images,
            seed=self._seed,
        )
        result = evaluate_classifier(
            model,
            batches,
            classes=self._classes,
            device=self._device,
            autocast=self._autocast,
            flip=self._flip,
        )
        return Evaluated(
            step=step,
            split="validation",
            loss=result.loss,
            accuracy=result.accuracy,
            top5=result.top5,
        )
