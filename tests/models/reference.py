"""The real timm and torchvision, where `make` has installed them beside the environment.

They are apart from it since torchvision has no build for the CPU build of torch: whoever finds it
there, as transformers does, fails. Here the two operators that it lacks are declared first.
"""

import functools
import importlib
import sys
import warnings
from pathlib import Path
from types import ModuleType

import pytest
import torch

FOLDER = Path(sys.prefix) / "reference"


@functools.cache
def _declare_operators() -> torch.library.Library:
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        schema = f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        library.define(schema)  # type: ignore[no-untyped-call]
    return library


def _import(name: str) -> ModuleType:
    if not (FOLDER / name).is_dir():
        pytest.skip(f"{name} is not installed (`make test` installs it)")
    _declare_operators()
    sys.path.append(str(FOLDER))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module("torchvision")
            return importlib.import_module(name)
    finally:
        sys.path.remove(str(FOLDER))


def timm() -> ModuleType:
    """The package, or a skipped test."""
    return _import("timm")


def torchvision() -> ModuleType:
    """The package, or a skipped test."""
    return _import("torchvision")
