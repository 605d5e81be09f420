"""From a run on disk to the model that it trained."""

from pathlib import Path

import torch

from maquette.blueprint import serial
from maquette.blueprint.blueprint import Blueprint
from maquette.errors import DamagedError, RunError
from maquette.generation.decode import arrange_for_decoding
from maquette.models.gpt import GPT
from maquette.runs import durable
from maquette.runs.store import Checkpoint, Run
from maquette.spec.schema import Spec
from maquette.tokenizers.base import Tokenizer
from maquette.tokenizers.load import load_tokenizer
from maquette.training.checkpoint import load_weights
from maquette.training.device import choose_device


def load_run_model(
    run: Run, *, checkpoint: int | str = "best", device: str = "auto"
) -> tuple[GPT, Tokenizer, Blueprint]:
    """The model of a run's checkpoint (`best`, `latest` or a step), ready to use, not to train.

    Every byte of the checkpoint is checked. Raises RunError, CheckpointError, DeviceError.
    """
    return load_checkpoint_model(run, run.checkpoint(checkpoint), device=device)


def load_checkpoint_model(
    run: Run, checkpoint: Checkpoint, *, device: str = "auto"
) -> tuple[GPT, Tokenizer, Blueprint]:
    """The model of a checkpoint that `run.checkpoint` found. Raises as `load_run_model`."""
    place = choose_device(device)
    blueprint = read_blueprint(run)
    tokenizer = load_tokenizer(run.tokenizer_path)
    if tokenizer.vocabulary != blueprint.shape.vocabulary:
        raise DamagedError(
            f"{run.tokenizer_path} has {tokenizer.vocabulary} ids,"
            f" but the run's model {blueprint.shape.vocabulary}",
            hint="it is not the tokenizer that this run was trained with",
        )
    known = durable.read_manifest(checkpoint.path).get("tokenizer")
    if known not in (None, durable.digest(run.tokenizer_path)):
        raise DamagedError(f"{run.tokenizer_path} is damaged: its checksum differs")
    with torch.random.fork_rng(devices=[]):  # first weights are drawn, and nobody needs them
        model = GPT(blueprint.shape)
    load_weights(checkpoint.path, model)
    if place.type == "cpu":
        arrange_for_decoding(model)
    return model.to(place).eval(), tokenizer, blueprint


def run_spec(run: Run) -> Spec:
    """The spec of a run with its overrides and absolute paths. Raises RunError."""
    if not run.meta.spec:
        raise RunError(
            f"{run.path / 'meta.json'} holds no spec: it is damaged",
            hint=f"the spec as written is in {run.spec_path}; a new run can be made from it",
        )
    try:
        return Spec.model_validate(run.meta.spec)
    except ValueError as error:
        raise RunError(f"{run.path / 'meta.json'} holds no spec: {error}") from None


def inherited_tokenizer(run: Run) -> Path | None:
    """The run's copy of the tokenizer that it took over; None if it has one of its own, or none."""
    inherited = run_spec(run).train.from_run is not None
    return run.tokenizer_path if inherited and run.tokenizer_path.exists() else None


def read_blueprint(run: Run) -> Blueprint:
    """What blueprint.json says. Raises RunError, which names it."""
    path = run.blueprint_path
    try:
        return serial.from_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        cause = (error.strerror or str(error)).lower()
        raise RunError(f"can't read {path}: {cause}") from None
    except UnicodeDecodeError as error:
        raise RunError(f"{path} is damaged: {error}") from None
    except RunError as error:
        raise RunError(f"{path}: {error.message}", hint=error.hint) from None
