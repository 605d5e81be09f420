"""Checkpoints in one file, which torch alone reads; loading one runs no code.

A training that goes on from one computes what it would have computed without a break.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from maquette.training.loop import TrainState
from maquette.training.optimizer import Optimizer
from maquette.training.weights import fill, read_file, write_file


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
    write_file(file, checkpoint)


def load_checkpoint(
    file: Path,
    model: nn.Module,
    optimizers: Sequence[Optimizer],
    scaler: torch.amp.GradScaler,
    average: AveragedModel | None,
) -> TrainState:
    """Put back all that `save_checkpoint` wrote. Raises CheckpointError."""
    checkpoint = read_file(file)
    fill(model, checkpoint["model"], file)
    state = TrainState(**checkpoint["state"])
    if average is not None:
        fill(average.module, checkpoint["average"], file)
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


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]
