"""An image classifier to train: the model, its batches, and what it is judged by."""

import contextlib
from pathlib import Path

import torch
from torch import Tensor, nn

from maquette.blueprint.blueprint import ImageBlueprint
from maquette.data.image.batches import Ahead, ImageBatches, evaluation_batches
from maquette.data.image.prepare import PreparedImages
from maquette.events import Evaluated
from maquette.models.convnext import ConvNeXt
from maquette.training.checkpoint import MODEL
from maquette.training.classify import evaluate_classifier
from maquette.training.pretrained import load_pretrained, read_weights

EVALUATION_IMAGES = 256
"""Images judged together: enough to keep a machine busy."""


class ImageTask:
    """Learning to tell images apart."""

    def __init__(
        self,
        blueprint: ImageBlueprint,
        prepared: PreparedImages,
        *,
        device: torch.device,
        autocast: contextlib.AbstractContextManager[object],
    ) -> None:
        """The model's first weights are drawn from the global generator."""
        self._blueprint, self._device, self._autocast = blueprint, device, autocast
        self._model = ConvNeXt(blueprint.shape).to(device)
        self.model: nn.Module = self._model
        plan, facts = blueprint.train, blueprint.facts
        self._batches = Ahead(
            ImageBatches(
                prepared.images("train"),
                batch_size=plan.batch_size,
                seed=blueprint.seed,
                classes=len(facts.classes),
                mean=facts.mean,
                std=facts.std,
                augmentation=plan.augmentation,
                device=device,
            )
        )
        self._held_out = prepared.images("validation")

    def batch(self, k: int) -> tuple[Tensor, Tensor]:
        """Images (B, 3, S, S) and targets of step k + 1, classes (B,) or shares of them (B, K)."""
        return self._batches.batch(k)

    def begin_from(self, weights: Path) -> list[str]:
        """Take the weights in a checkpoint's folder or a file; what they didn't fit, in words.

        Raises CheckpointError.
        """
        file = weights / MODEL if weights.is_dir() else weights
        return load_pretrained(self._model, read_weights(file), source=str(weights))

    def notes(self) -> list[str]:
        """What was decided for this training that its spec doesn't say."""
        shape = self._blueprint.shape
        if shape.stem_stride == 4:
            return []
        return [
            f"stem: {shape.stem_stride} pixels for images of {shape.image_size}; the published 4 "
            f"would leave {shape.image_size // 32} a side at the end (model.stem_stride)"
        ]

    def evaluate(self, model: nn.Module, step: int) -> Evaluated:
        """Loss and accuracy on the validation images, the same ones every time."""
        plan, facts = self._blueprint.train, self._blueprint.facts
        result = evaluate_classifier(
            model,
            evaluation_batches(
                self._held_out,
                batch_size=EVALUATION_IMAGES,
                mean=facts.mean,
                std=facts.std,
                limit=plan.evaluate_windows,
                seed=self._blueprint.seed,
            ),
            classes=len(facts.classes),
            device=self._device,
            autocast=self._autocast,
            flip=plan.evaluate_flip,
        )
        return Evaluated(
            step=step,
            split="validation",
            loss=result.loss,
            accuracy=result.accuracy,
            top5=result.top5,
        )

    def sample(self, model: nn.Module, step: int) -> None:
        """A classifier makes nothing that could be shown."""
