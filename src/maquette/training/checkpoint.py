"""What a checkpoint holds, as safetensors and JSON: no pickle, so loading one runs no code."""

import base64
import dataclasses
import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from maquette.errors import CheckpointError
from maquette.training.loop import TrainState
from maquette.training.optimizer import Optimizer

MODEL, OPTIMIZER, TRAINER = "model.safetensors", "optimizer.safetensors", "trainer.json"
_RAW = "weights:"
_POSITIONS = "position_embedding.weight"


def save_training(
    folder: Path,
    model: nn.Module,
    optimizers: Sequence[Optimizer],
    scaler: torch.amp.GradScaler,
    state: TrainState,
    average: AveragedModel | None = None,
) -> None:
    """Write model, optimizer and trainer files into a folder: everything that a resume needs.

    The model file holds the weights to use: the average where there is one. Those that training
    goes on from are then with the optimizer's tensors, as `weights:...`.
    """
    tensors = _optimizer_tensors(model, optimizers)
    if average is not None:
        tensors |= {f"{_RAW}{name}": tensor for name, tensor in _weights(model).items()}
    save_file(_weights(model if average is None else average.module), folder / MODEL)
    save_file(tensors, folder / OPTIMIZER)
    trainer = {
        "state": dataclasses.asdict(state),
        "scaler": scaler.state_dict(),
        "random": _random_states(),
    }
    (folder / TRAINER).write_text(json.dumps(trainer), encoding="utf-8")
    for name in (MODEL, OPTIMIZER):  # safetensors makes files of mode 0600, whatever the umask
        shutil.copymode(folder / TRAINER, folder / name)


def load_training(
    folder: Path,
    model: nn.Module,
    optimizers: Sequence[Optimizer],
    scaler: torch.amp.GradScaler,
    average: AveragedModel | None = None,
) -> TrainState:
    """Put back all that `save_training` wrote. Raises CheckpointError."""
    path = folder / OPTIMIZER
    tensors = _read(path)
    load_weights(folder, model if average is None else average.module)
    if average is not None:
        raw = {k.removeprefix(_RAW): t for k, t in tensors.items() if k.startswith(_RAW)}
        _copy(raw, model, path)
    names = {id(p): name for name, p in model.named_parameters()}
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            for p in group["params"]:
                prefix = f"{names[id(p)]}:"
                found = {
                    k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)
                }
                # a fused optimizer wants its step count beside the weights
                optimizer.state[p] = {key: tensor.to(p.device) for key, tensor in found.items()}
    trainer = json.loads((folder / TRAINER).read_text(encoding="utf-8"))
    state = TrainState(**trainer["state"])
    if average is not None:
        average.n_averaged.fill_(state.step)
    if scaler.is_enabled():
        scaler.load_state_dict(trainer["scaler"])
    _set_random_states(trainer["random"])
    return state


def seed_generators(seed: int) -> None:
    """Set every generator whose state a checkpoint holds, so that it follows from the seed."""
    random.seed(seed)
    np.random.seed([seed & 0xFFFFFFFF, seed >> 32])
    torch.manual_seed(seed)  # on every device


def load_weights(folder: Path, model: nn.Module, *, shorter: bool = False) -> None:
    """Copy a checkpoint's weights into a model of the same shape. Raises CheckpointError.

    A `shorter` model may have a shorter context: of learned positions it takes the first ones.
    """
    tensors = _read(folder / MODEL)
    if shorter and _POSITIONS in tensors:
        tensors[_POSITIONS] = tensors[_POSITIONS][: len(_weights(model)[_POSITIONS])]
    _copy(tensors, model, folder / MODEL)


def first_difference(path: Path, other: Path) -> str:
    """What differs first between two files of a checkpoint of one name, in words."""
    if path.suffix == ".json":
        here, there = (json.loads(p.read_text(encoding="utf-8")) for p in (path, other))
        return _first_key(here, there) or "nothing but how it is written"
    tensors, others = _read(path), _read(other)
    for name in sorted(tensors.keys() | others.keys()):
        if name not in tensors or name not in others:
            return f"{name} is in one of the two only"
        a, b = tensors[name].flatten(), others[name].flatten()
        if a.shape != b.shape or a.dtype != b.dtype:
            return f"{name} has another shape or type"
        differing = (a.view(torch.uint8) != b.view(torch.uint8)).view(len(a), -1).any(1)
        if differing.any():
            largest = float((a.double() - b.double()).abs().max())
            count = f"{int(differing.sum())} of {len(a)} values differ"
            return f"{name}: {count}, by at most {largest:.3g}"
    return "nothing but how it is written"


def _first_key(here: Any, there: Any, name: str = "") -> str | None:
    """The name of the first entry that differs, with its values where these are short."""
    if isinstance(here, dict) and isinstance(there, dict):
        keys = sorted(here.keys() | there.keys())
        pairs = [(f"{name}.{k}" if name else k, here.get(k), there.get(k)) for k in keys]
        return next((found for k, a, b in pairs if (found := _first_key(a, b, k))), None)
    if here == there:
        return None
    values = f"{here!r} and {there!r}"
    return f"{name}: {values}" if len(values) < 80 else name


def _copy(tensors: dict[str, Tensor], model: nn.Module, path: Path) -> None:
    own = _weights(model)
    for problem, names in (
        ("lacks", sorted(own.keys() - tensors.keys())),
        ("has an unknown", sorted(tensors.keys() - own.keys())),
    ):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise CheckpointError(f"{path} {problem} {names[0]}{more}: it is of another model")
    with torch.no_grad():
        for name, tensor in tensors.items():
            if tensor.shape != own[name].shape:
                raise CheckpointError(
                    f"{path}: {name} is {tuple(tensor.shape)}, the model's {tuple(own[name].shape)}"
                )
            own[name].copy_(tensor)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} can't be read: {error}") from None


def _weights(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter and persistent buffer once: tied weights under their first name."""
    unique = {name for name, _ in model.named_parameters()}
    every = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    return {
        name: tensor.contiguous()
        for name, tensor in model.state_dict().items()
        if name in unique or name not in every
    }


def _optimizer_tensors(model: nn.Module, optimizers: Sequence[Optimizer]) -> dict[str, Tensor]:
    names = {id(p): name for name, p in model.named_parameters()}
    return {
        f"{names[id(p)]}:{key}": value.contiguous()
        for optimizer in optimizers
        for p, entries in optimizer.state.items()
        for key, value in entries.items()
    }


def _random_states() -> dict[str, Any]:
    version, numbers, gauss = random.getstate()
    numpy_state = np.random.get_state(legacy=False)
    assert isinstance(numpy_state, dict)
    inner = dict(numpy_state["state"])
    states: dict[str, Any] = {
        "python": [version, list(numbers), gauss],
        "numpy": {**numpy_state, "state": {**inner, "key": [int(n) for n in inner["key"]]}},
        "torch": _encode(torch.get_rng_state()),
    }
    if torch.cuda.is_available():
        states["cuda"] = [_encode(s) for s in torch.cuda.get_rng_state_all()]
    if torch.backends.mps.is_available():
        states["mps"] = _encode(torch.mps.get_rng_state())
    return states


def _set_random_states(states: dict[str, Any]) -> None:
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers), gauss))
    inner = states["numpy"]["state"]
    key = np.array(inner["key"], dtype=np.uint32)
    np.random.set_state({**states["numpy"], "state": {**inner, "key": key}})
    torch.set_rng_state(_decode(states["torch"]))
    if "cuda" in states and torch.cuda.device_count() == len(states["cuda"]):
        torch.cuda.set_rng_state_all([_decode(s) for s in states["cuda"]])
    if "mps" in states and torch.backends.mps.is_available():
        torch.mps.set_rng_state(_decode(states["mps"]))


def _encode(state: Tensor) -> str:
    return base64.b64encode(state.cpu().numpy().tobytes()).decode("ascii")


def _decode(text: str) -> Tensor:
    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.uint8)
