"""An image classifier to train: the model, its batches, and what it is judged by."""

import contextlib
from pathlib import Path

import torch
from torch import Tensor, nn

from maquette.blueprint.blueprint import ImageBlueprint
from maquette.build.classifier import ClassifierTask
from maquette.data.image.prepare import PreparedImages
from maquette.events import Evaluated
from maquette.models.convnext import ConvNeXt
from maquette.training.checkpoint import MODEL
from maquette.training.pretrained import load_pretrained, read_weights


class ImageTask:
    """A blueprint's model, and its task."""

    def __init__(
        self,
        blueprint: ImageBlueprint,
        prepared: PreparedImages,
        *,
        device: torch.device,
        autocast: contextlib.AbstractContextManager[object],
    ) -> None:
        """The model's first weights are drawn from the global generator."""
        self._blueprint = blueprint
        self._model = ConvNeXt(blueprint.shape).to(device)
        self.model: nn.Module = self._model
        plan, facts = blueprint.train, blueprint.facts
        self._task = ClassifierTask(
            {split: prepared.images(split) for split in ("train", "validation")},
            classes=len(facts.classes),
            batch_size=plan.batch_size,
            seed=blueprint.seed,
            mean=facts.mean,
            std=facts.std,
            augmentation=plan.augmentation,
            evaluate_images=plan.evaluate_windows,
            flip=plan.evaluate_flip,
            device=device,
            autocast=autocast,
        )

    def batch(self, k: int) -> tuple[Tensor, Tensor]:
        """Images (B, 3, S, S) and targets of step k + 1, classes (B,) or shares of them (B, K)."""
        return self._task.batch(k)

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
        return self._task.evaluate(model, step)

    def sample(self, model: nn.Module, step: int) -> None:
        """A classifier makes nothing that could be shown."""
