"""Shapes and models of image classifiers small enough for a test."""

import dataclasses
from typing import Any

import torch
from torch import nn

from maquette.models.convnext import ConvNeXt
from maquette.shapes import CONVNEXT_VARIANTS, ConvNeXtShape, Variant

TINY = ConvNeXtShape(
    classes=5,
    image_size=32,
    depths=(1, 1, 2, 1),
    widths=(16, 24, 32, 48),
    stem_stride=4,
    drop_path=0.0,
    layer_scale=1e-6,
    norm_epsilon=1e-6,
)


def variant(
    name: Variant, *, classes: int = 10, image_size: int = 32, stem_stride: int = 4
) -> ConvNeXtShape:
    depths, widths = CONVNEXT_VARIANTS[name]
    return ConvNeXtShape(
        classes=classes,
        image_size=image_size,
        depths=depths,
        widths=widths,
        stem_stride=stem_stride,
        drop_path=0.0,
        layer_scale=1e-6,
        norm_epsilon=1e-6,
    )


def small_convnext(shape: ConvNeXtShape = TINY, **changes: Any) -> ConvNeXt:
    """A model in eval mode with weights that let every part matter."""
    model = ConvNeXt(dataclasses.replace(shape, **changes))
    enliven(model)
    return model.eval()


@torch.no_grad()
def enliven(model: nn.Module) -> None:
    """Draw weights that let every part matter: layer scale near 1, biases and gains that differ."""
    generator = torch.Generator().manual_seed(1)
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        if p.ndim == 1 or "layer_scale" in name:
            p.copy_(0.2 * noise + (0 if name.endswith("bias") else 1))
        else:
            p.copy_(noise / p[0].numel() ** 0.5)
