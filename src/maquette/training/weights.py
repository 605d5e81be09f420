"""Weights in a file that torch alone reads; loading one runs no code."""

import contextlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from maquette.errors import CheckpointError


def save_model(file: Path, model: nn.Module) -> None:
    """Write a model's weights."""
    write_file(file, model.state_dict())


def load_model(file: Path, model: nn.Module) -> None:
    """Read a model's weights. Raises CheckpointError."""
    fill(model, read_file(file), file)


def write_file(file: Path, value: dict[str, Any]) -> None:
    """Write tensors and plain values, and then give the file its name. Raises CheckpointError."""
    unfinished = file.with_name(f"{file.name}.unfinished")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.save(value, unfinished)
        unfinished.replace(file)
    except (OSError, RuntimeError) as error:  # torch makes the latter of a full disk
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        hint = "is there room, and may you write there?"
        raise CheckpointError(f"{file} can't be written: {error}", hint=hint) from None


def read_file(file: Path) -> dict[str, Any]:
    """What `write_file` wrote. Raises CheckpointError."""
    try:
        content: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{file}: no such file", hint="a training writes weights") from None
    except Exception as error:  # pickle, zipfile and torch have errors of their own
        raise CheckpointError(f"{file} can't be read: {error}") from None
    return content


def fill(model: nn.Module, weights: dict[str, Tensor], file: Path) -> None:
    """Copy the weights in a file into a model. Raises CheckpointError."""
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"{file} is of another model: {error}") from None
