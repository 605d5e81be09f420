"""Weights of a ConvNeXt from somebody else's file."""

import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from maquette.errors import CheckpointError
from maquette.models.convnext import ConvNeXt
from maquette.models.convnext_layouts import Layout, fits, layout_of, name_in
from maquette.shapes import CONVNEXT_VARIANTS, Variant

_SHOWN = 8
_WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model")  # averaged weights first
_PREFIXES = ("module.", "_orig_mod.")
_NOT_WEIGHTS = "give a .safetensors file, or a .pth file of a state dict"


def read_weights(path: Path) -> dict[str, Tensor]:
    """The named tensors of a safetensors or .pth file, whatever its ending.

    No code in it is run. Averaged weights are taken where a file has both. Raises CheckpointError.
    """
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        cause = (error.strerror or str(error)).lower()
        raise CheckpointError(f"can't read {path}: {cause}") from None
    if start.startswith((b"PK\x03\x04", b"\x80")):
        return _named_tensors(_read_pickle(path), path)
    if start[8:] != b"{":  # safetensors: 8 bytes with the length of the JSON that follows
        raise CheckpointError(f"{path} holds no weights: it is no checkpoint", hint=_NOT_WEIGHTS)
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None


def _read_pickle(path: Path) -> Any:
    try:
        with warnings.catch_warnings(action="ignore"):  # of a pickle that isn't torch's
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle may trip the reader over anything
        text = str(error)
        if re.search(r"(?i)unsupported (global|class)|trying to (call|instantiate)", text):
            raise CheckpointError(
                f"{path} holds more than weights, which might run code when read; it was not read",
                hint="if you trust whoever made it, load it with torch and save its state dict"
                " alone: torch.save(model.state_dict(), FILE)",
            ) from None
        cause = re.search(r"Unpickler error:\s+(.+)", text) or re.match(r"(.+?)(\. |$)", text)
        words = cause[1] if cause else "it ends too early"
        raise CheckpointError(f"{path} is damaged or cut off: {words}") from None


def _named_tensors(content: Any, path: Path) -> dict[str, Tensor]:
    if isinstance(content, Mapping):
        inner = next((content[key] for key in _WRAPPERS if content.get(key) is not None), content)
        if (
            isinstance(inner, Mapping)
            and inner
            and all(
                isinstance(name, str) and isinstance(tensor, Tensor)
                for name, tensor in inner.items()
            )
        ):
            weights = dict(inner)
            for prefix in _PREFIXES:
                if all(name.startswith(prefix) for name in weights):
                    weights = {name.removeprefix(prefix): t for name, t in weights.items()}
            return weights
    raise CheckpointError(f"{path} holds no state dict", hint=_NOT_WEIGHTS)


def load_pretrained(
    model: ConvNeXt, weights: Mapping[str, Tensor], *, source: str, layout: Layout | None = None
) -> list[str]:
    """Copy weights in a layout, by default the one that their names show, into a model.

    A head for another number of classes, and a stem of another stride, stay as they are; what is
    returned says so in words. `source` names the weights in messages. Raises CheckpointError.
    """
    found = layout_of(weights)
    if found is None:
        raise CheckpointError(f"{source} holds no ConvNeXt: {_listed(sorted(weights))}")
    if layout not in (None, found):
        raise CheckpointError(
            f"{source} has {found}'s names of weights, not {layout}'s", hint=f"use --from {found}"
        )
    own = model.state_dict()
    theirs = {name: name_in(found, name) for name in own}
    new, notes = _left_new(model, weights, theirs, source)
    shared = [name for name in own if theirs[name] in weights and name not in new]
    missing = [theirs[name] for name in own if theirs[name] not in weights]
    unknown = sorted(weights.keys() - set(theirs.values()))
    misshapen = [
        f"{theirs[name]} {_size(weights[theirs[name]])} for {_size(own[name])}"
        for name in shared
        if not fits(weights[theirs[name]], own[name].shape)
    ]
    if missing or unknown or misshapen:
        raise CheckpointError(
            f"{source} doesn't fit the model:"
            + "".join(
                f"\n  {len(names)} {problem}: {_listed(names)}"
                for problem, names in (
                    ("missing", missing),
                    ("unknown", unknown),
                    ("of another shape", misshapen),
                )
                if names
            ),
            hint=_why(weights, found, unknown),
        )
    with torch.no_grad():
        for name in shared:
            own[name].copy_(weights[theirs[name]].reshape(own[name].shape))
    return notes


def _left_new(
    model: ConvNeXt, weights: Mapping[str, Tensor], theirs: Mapping[str, str], source: str
) -> tuple[set[str], list[str]]:
    """Names of weights that keep their first values as the file's are for other sizes, and why."""
    new: set[str] = set()
    notes = []
    head = weights.get(theirs["head.fc.weight"])
    if head is not None and _classes(head, model) not in (None, model.shape.classes):
        new |= {"head.fc.weight", "head.fc.bias"}
        notes.append(
            f"{source} tells {len(head)} classes apart, this model {model.shape.classes}:"
            " the head starts anew"
        )
    stem, stride = weights.get(theirs["stem.0.weight"]), model.shape.stem_stride
    if stem is not None and _pixels(stem, model) not in (None, stride):
        new |= {"stem.0.weight", "stem.0.bias"}
        notes.append(
            f"{source} has a stem of {stem.size(-1)} pixels, this model one of {stride}:"
            " the stem starts anew"
        )
    return new, notes


def _classes(head: Tensor, model: ConvNeXt) -> int | None:
    """How many classes a head tells apart; None if it isn't one for this model's width."""
    return len(head) if head.ndim and fits(head, (len(head), model.shape.widths[-1])) else None


def _pixels(stem: Tensor, model: ConvNeXt) -> int | None:
    """The side of a stem's patches; None if it isn't one for this model's width."""
    square = (model.shape.widths[0], 3, *stem.shape[-1:] * 2)
    return stem.size(-1) if stem.shape == square else None


def ends_of(weights: Mapping[str, Tensor], *, source: str) -> tuple[int, int]:
    """How many classes the weights of a ConvNeXt tell apart, and the pixels of its stem.

    Raises CheckpointError.
    """
    layout = layout_of(weights)
    if layout is None:
        raise CheckpointError(f"{source} holds no ConvNeXt: {_listed(sorted(weights))}")
    names = [name_in(layout, name) for name in ("head.fc.weight", "stem.0.weight")]
    for name, dimensions in zip(names, ((2, 4), (4,)), strict=True):
        if name not in weights or weights[name].ndim not in dimensions:
            raise CheckpointError(
                f"{source} has no {name}" + (" of a shape that is known" * (name in weights)),
                hint="these are the weights of a ConvNeXt without its head or its stem",
            )
    head, stem = (weights[name] for name in names)
    if stem.size(-1) not in (1, 2, 4):
        raise CheckpointError(
            f"{source} has a stem of {stem.size(-1)} pixels; 1, 2 and 4 are known"
        )
    return len(head), stem.size(-1)


def variant_of(weights: Mapping[str, Tensor]) -> Variant | None:
    """The variant that weights in any layout are of; None if of no known one."""
    layout = layout_of(weights)
    if layout is None:
        return None
    for variant, (depths, widths) in CONVNEXT_VARIANTS.items():
        last = f"stages.{len(depths) - 1}.blocks"
        ends = [f"stages.{stage}.blocks.{depth - 1}" for stage, depth in enumerate(depths)]
        beyond = [f"stages.{stage}.blocks.{depth}" for stage, depth in enumerate(depths)]
        bias = weights.get(name_in(layout, f"{last}.0.conv_dw.bias"))
        if (
            bias is not None
            and len(bias) == widths[-1]
            and all(name_in(layout, f"{end}.conv_dw.bias") in weights for end in ends)
            and not any(name_in(layout, f"{end}.conv_dw.bias") in weights for end in beyond)
        ):
            return variant
    return None


def _why(weights: Mapping[str, Tensor], layout: Layout, unknown: Iterable[str]) -> str | None:
    """The likely cause of weights that don't fit, and what to do about it."""
    unknown = list(unknown)
    if any("grn" in name for name in unknown):
        return "these are a ConvNeXt V2's weights; only the first version is known here"
    if any(name.startswith("stages.0.downsample.") for name in unknown):
        return "timm halves the map once more after a stem of 2 pixels; a stem of 1 or 4 fits"
    variant = variant_of(weights)
    if variant is not None:
        return f"these are the weights of a ConvNeXt {variant}, in {layout}'s layout"
    return None


def _listed(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _size(tensor: Tensor) -> str:
    return re.sub(r"[(), ]+", "x", str(tuple(tensor.shape))).strip("x") or "1"
