"""The names that others give a ConvNeXt's weights.

Ours are timm's. Facebook's are those of the original code, torchvision's of its own model.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, get_args

from torch import Tensor

Layout = Literal["timm", "facebook", "torchvision"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)

# What to replace in one of timm's names, one after another.
_Rules = tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...]
_RULES: dict[Layout, _Rules] = {
    "timm": (),
    "facebook": (
        (r"^stem\.", "downsample_layers.0."),
        (r"^stages\.(\d+)\.downsample\.", r"downsample_layers.\1."),
        (r"\.blocks\.", "."),
        (r"\.conv_dw\.", ".dwconv."),
        (r"\.mlp\.fc", ".pwconv"),
        (r"^head\.norm\.", "norm."),
        (r"^head\.fc\.", "head."),
    ),
    "torchvision": (
        (r"^head\.norm\.", "classifier.0."),
        (r"^head\.fc\.", "classifier.2."),
        (r"^stem\.", "features.0."),
        (r"^stages\.(\d+)\.downsample\.", lambda found: f"features.{2 * int(found[1])}."),
        (r"^stages\.(\d+)\.blocks\.", lambda found: f"features.{2 * int(found[1]) + 1}."),
        (r"\.conv_dw\.", ".block.0."),
        (r"\.norm\.", ".block.2."),
        (r"\.mlp\.fc1\.", ".block.3."),
        (r"\.mlp\.fc2\.", ".block.5."),
        (r"\.gamma$", ".layer_scale"),
    ),
}
_SIGNS: dict[Layout, str] = {
    "timm": r"stages\.\d+\.blocks\.\d+\.conv_dw\.",
    "facebook": r"stages\.\d+\.\d+\.dwconv\.",
    "torchvision": r"features\.\d+\.\d+\.block\.0\.",
}


def name_in(layout: Layout, name: str) -> str:
    """What a layout calls the weight that timm calls `name`."""
    for pattern, replacement in _RULES[layout]:
        name = re.sub(pattern, replacement, name)
    return name


def layout_of(names: Iterable[str]) -> Layout | None:
    """The layout whose depthwise kernels are among the names; None for no ConvNeXt."""
    names = list(names)
    for layout, sign in _SIGNS.items():
        if any(re.match(sign, name) for name in names):
            return layout
    return None


def to_layout(weights: Mapping[str, Tensor], layout: Layout) -> dict[str, Tensor]:
    """Weights with timm's names -> those of a layout, shaped as it has them."""
    result = {name_in(layout, name): tensor for name, tensor in weights.items()}
    if layout == "torchvision":
        for name, tensor in result.items():
            if name.endswith(".layer_scale"):
                result[name] = tensor.view(-1, 1, 1)
    return result


def fits(tensor: Tensor, shape: Iterable[int]) -> bool:
    """Whether a weight is one of `shape`, but for ones at the end.

    Linear layers may be convolutions of one pixel, (C', C, 1, 1), and layer scale (C, 1, 1).
    """
    return _without_ones(tensor.shape) == _without_ones(shape)


def _without_ones(shape: Iterable[int]) -> tuple[int, ...]:
    sizes = tuple(shape)
    while sizes and sizes[-1] == 1:
        sizes = sizes[:-1]
    return sizes
