"""From a run on disk to the model that it trained."""

import torch

from maquette.blueprint.blueprint import Blueprint, ImageBlueprint
from maquette.errors import DamagedError
from maquette.generation.decode import arrange_for_decoding
from maquette.models.convnext import ConvNeXt
from maquette.models.gpt import GPT
from maquette.reading import image_blueprint, language_blueprint
from maquette.runs.manifest import digest, read_manifest
from maquette.runs.store import Checkpoint, Run
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
    blueprint = language_blueprint(run)
    tokenizer = load_tokenizer(run.tokenizer_path)
    if tokenizer.vocabulary != blueprint.shape.vocabulary:
        raise DamagedError(
            f"{run.tokenizer_path} has {tokenizer.vocabulary} ids,"
            f" but the run's model {blueprint.shape.vocabulary}",
            hint="it is not the tokenizer that this run was trained with",
        )
    known = read_manifest(checkpoint.path).get("tokenizer")
    if known not in (None, digest(run.tokenizer_path)):
        raise DamagedError(f"{run.tokenizer_path} is damaged: its checksum differs")
    with torch.random.fork_rng(devices=[]):  # first weights are drawn, and nobody needs them
        model = GPT(blueprint.shape)
    load_weights(checkpoint.path, model)
    if place.type == "cpu":
        arrange_for_decoding(model)
    return model.to(place).eval(), tokenizer, blueprint


def load_classifier(
    run: Run, checkpoint: Checkpoint, *, device: str = "auto"
) -> tuple[ConvNeXt, ImageBlueprint]:
    """The classifier of a checkpoint, ready to use, not to train.

    Raises RunError, CheckpointError, DeviceError.
    """
    place = choose_device(device)
    blueprint = image_blueprint(run)
    with torch.random.fork_rng(devices=[]):
        model = ConvNeXt(blueprint.shape)
    load_weights(checkpoint.path, model)
    return model.to(place).eval(), blueprint
