"""A ConvNeXt as timm (github.com/huggingface/pytorch-image-models) keeps its models."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from maquette.errors import RunError, UsageError
from maquette.runs import durable
from maquette.shapes import CONVNEXT_VARIANTS, ConvNeXtShape, Variant

WEIGHTS, CONFIG = "model.safetensors", "config.json"
_PUBLISHED_STEM = 4
_BY_CONVOLUTION: tuple[Variant, ...] = ("atto", "femto", "pico", "nano")
"""Variants whose linear layers timm has as convolutions of one pixel: the same arithmetic."""


def export_timm(
    folder: Path,
    weights: Mapping[str, Tensor],
    shape: ConvNeXtShape,
    *,
    classes: Sequence[str],
    mean: Sequence[float],
    spread: Sequence[float],
) -> None:
    """Write a model with its config into a new folder: `timm.create_model("local-dir:FOLDER",
    pretrained=True)` loads it.

    `weights` are a model's state dict; `mean` and `spread`, of red, green and blue, normalise an
    image whose values go from 0 to 1. Raises UsageError for a model that timm can't build, and
    RunError if the folder is there already.
    """
    variant = _variant(shape)
    if shape.stem_stride == 2:
        raise UsageError(
            "timm has no ConvNeXt with a stem of 2 pixels like this one: its own halves the map"
            " once more after that",
            hint="models with model.stem_stride 1 or 4 can be exported to timm",
        )
    assert len(classes) == shape.classes
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    if variant in _BY_CONVOLUTION:
        for name, tensor in tensors.items():
            if ".mlp." in name and name.endswith(".weight"):
                tensors[name] = tensor[:, :, None, None]
    config = _config(variant, shape, list(classes), list(mean), list(spread))

    def fill(temporary: Path) -> None:
        save_file(tensors, temporary / WEIGHTS, metadata={"format": "pt"})
        durable.write_json(temporary / CONFIG, config)
        (temporary / WEIGHTS).chmod((temporary / CONFIG).stat().st_mode)  # not safetensors' 0600

    if not durable.create_folder(folder, fill):
        raise RunError(f"can't write {folder}: it is there already", hint="choose another name")


def _variant(shape: ConvNeXtShape) -> Variant:
    for variant, sizes in CONVNEXT_VARIANTS.items():
        if sizes == (shape.depths, shape.widths):
            return variant
    raise UsageError("timm has no ConvNeXt of these depths and widths")


def _config(
    variant: Variant,
    shape: ConvNeXtShape,
    classes: list[str],
    mean: list[float],
    spread: list[float],
) -> dict[str, Any]:
    stem = {} if shape.stem_stride == _PUBLISHED_STEM else {"patch_size": shape.stem_stride}
    last_map = (shape.image_size // shape.stem_stride) >> (len(shape.depths) - 1)
    return {
        "architecture": f"convnext_{variant}",
        "num_classes": shape.classes,
        "num_features": shape.widths[-1],
        "global_pool": "avg",
        "label_names": classes,
        "model_args": {**stem, "norm_eps": shape.norm_epsilon},
        "pretrained_cfg": {
            "num_classes": shape.classes,
            "input_size": [3, shape.image_size, shape.image_size],
            "fixed_input_size": False,
            "pool_size": [last_map, last_map],
            "interpolation": "bicubic",
            "crop_pct": 1.0,
            "crop_mode": "center",
            "mean": mean,
            "std": spread,
            "first_conv": "stem.0",
            "classifier": "head.fc",
        },
    }
