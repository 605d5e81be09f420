"""Checkpoints in one file, which torch alone reads; loading one runs no code.

A training that goes on from one computes what it would have computed without a break.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from maquette.errors import CheckpointError
from maquette.training.loop import TrainState
from maquette.training.optimizer import Optimizer


def save_checkpoint(
    file: Path,
    model: nn.Module,
    optimizers: Sequence[Optimizer],
    scaler: torch.amp.GradScaler,
    state: TrainState,
    average: AveragedModel | None,
) -> None:
    """Write everything that a resume needs, and then give it its name."""
    checkpoint = {
        "model": model.state_dict(),
        "average": None if average is None else average.module.state_dict(),
        "optimizers": [[o.state[p] for p in _parameters(o)] for o in optimizers],
        "scaler": scaler.state_dict(),
        "state": dataclasses.asdict(state),
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }
    _write(file, checkpoint)


def load_checkpoint(
    file: Path,
    model: nn.Module,
    optimizers: Sequence[Optimizer],
    scaler: torch.amp.GradScaler,
    average: AveragedModel | None,
) -> TrainState:
    """Put back all that `save_checkpoint` wrote. Raises CheckpointError."""
    checkpoint = _read(file)
    _fill(model, checkpoint["model"], file)
    state = TrainState(**checkpoint["state"])
    if average is not None:
        _fill(average.module, checkpoint["average"], file)
        average.n_averaged.fill_(state.step)
    for optimizer, entries in zip(optimizers, checkpoint["optimizers"], strict=True):
        for p, entry in zip(_parameters(optimizer), entries, strict=True):
            optimizer.state[p] = {key: tensor.to(p.device) for key, tensor in entry.items()}
    if scaler.is_enabled():
        scaler.load_state_dict(checkpoint["scaler"])
    torch.set_rng_state(checkpoint["random"])
    if torch.cuda.is_available() and torch.cuda.device_count() == len(checkpoint["random_cuda"]):
        torch.cuda.set_rng_state_all(checkpoint["random_cuda"])
    return state


def save_model(file: Path, model: nn.Module) -> None:
    """Write a model's weights."""
    _write(file, model.state_dict())


def load_model(file: Path, model: nn.Module) -> None:
    """Read a model's weights. Raises CheckpointError."""
    _fill(model, _read(file), file)


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def _write(file: Path, value: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f"{file.name}.unfinished")
    torch.save(value, unfinished)
    unfinished.replace(file)


def _read(file: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{file}: no such file", hint="python train.py writes one") from None
    except Exception as error:  # pickle, zipfile and torch have errors of their own
        raise CheckpointError(f"{file} can't be read: {error}") from None
    return content


def _fill(model: nn.Module, weights: dict[str, Tensor], file: Path) -> None:
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"{file} is of another model: {error}") from None
