import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from maquette.errors import CheckpointError
from maquette.events import CheckpointDue, StepDone
from maquette.training.checkpoint import (
    MODEL,
    OPTIMIZER,
    TRAINER,
    first_difference,
    load_weights,
)
from tests.training.tiny import tiny_spec, tiny_training

MUON = {"kind": "muon"}


def run_all(folder: Path, spec: Any) -> tuple[list[float], dict[str, torch.Tensor]]:
    training = tiny_training(folder, spec)
    losses = [e.loss for e in training.events() if isinstance(e, StepDone)]
    return losses, training.model.state_dict()


@pytest.mark.parametrize(
    "train",
    [{}, {"optimizer": MUON, "accumulation": 2}, {"precision": "bf16"}, {"precision": "fp16"}],
)
def test_a_resumed_training_repeats_the_whole_one_bit_by_bit(
    tmp_path: Path, train: dict[str, Any]
) -> None:
    spec = tiny_spec(tmp_path, model={"dropout": 0.1}, checkpoint={"every": 5}, **train)
    losses, weights = run_all(tmp_path, spec)

    first = tiny_training(tmp_path, spec)
    folder = tmp_path / "saved"
    for event in first.events():
        if isinstance(event, CheckpointDue) and event.step == 5:
            folder.mkdir()
            first.save(folder)
            break
    random.seed(99)
    np.random.seed(99)
    torch.manual_seed(99)
    second = tiny_training(tmp_path, spec)
    second.load(folder)
    assert second.state.step == 5
    rest = [e.loss for e in second.events() if isinstance(e, StepDone)]
    assert rest == losses[5:]
    for name, value in second.model.state_dict().items():
        assert torch.equal(value, weights[name]), name


def test_tied_weights_are_saved_once_and_no_file_is_a_pickle(tmp_path: Path) -> None:
    from safetensors import safe_open

    training = tiny_training(tmp_path)
    training.save(tmp_path)
    with safe_open(tmp_path / MODEL, "pt") as file:
        names = set(file.keys())
    assert "token_embedding.weight" in names
    assert "output.weight" not in names
    assert json.loads((tmp_path / "trainer.json").read_text())["state"]["step"] == 0


def test_random_states_come_back(tmp_path: Path) -> None:
    training = tiny_training(tmp_path)
    training.save(tmp_path)
    expected = random.random(), np.random.rand(), torch.rand(1).item()
    training.load(tmp_path)
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == expected


def test_every_generator_follows_from_the_seed(tmp_path: Path) -> None:
    def first_draws(seed: int) -> tuple[float, float, float]:
        spec = tiny_spec(tmp_path).model_copy(update={"seed": seed})
        random.seed()
        np.random.seed()
        torch.seed()
        tiny_training(tmp_path, spec)
        return random.random(), float(np.random.rand()), torch.rand(1).item()

    large = 2**63 - 1
    one, again, other = first_draws(5), first_draws(5), first_draws(large)
    assert one == again
    assert all(a != b for a, b in zip(one, other, strict=True))
    assert other[1] != first_draws(large % 2**32)[1]  # NumPy's takes 32 bits at a time


def test_a_new_training_is_a_function_of_the_spec(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        tiny_training(tmp_path).save(tmp_path / name)
    for file in (MODEL, OPTIMIZER, TRAINER):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()


def test_what_differs_between_two_checkpoints_is_named(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    training = tiny_training(tmp_path)
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
        training.save(folder)
    assert first_difference(one / MODEL, other / MODEL) == "nothing but how it is written"
    assert first_difference(one / TRAINER, other / TRAINER) == "nothing but how it is written"
    tensors = load_file(one / MODEL)
    gain = tensors["blocks.1.attention_norm.weight"]
    gain[2] = -0.0
    save_file(tensors, one / MODEL)
    gain[2] = 0.0  # a bit more than nothing
    save_file(tensors, other / MODEL)
    found = first_difference(one / MODEL, other / MODEL)
    assert found.startswith("blocks.1.attention_norm.weight: 1 of 16 values differ")
    del tensors["blocks.1.attention_norm.weight"]
    save_file(tensors, other / MODEL)
    assert "blocks.1.attention_norm.weight is in one" in first_difference(
        one / MODEL, other / MODEL
    )
    training.state.tokens = 64
    training.save(other)
    assert first_difference(one / TRAINER, other / TRAINER) == "state.tokens: 0 and 64"
    torch.rand(1)
    training.state.tokens = 0
    training.save(other)
    assert first_difference(one / TRAINER, other / TRAINER) == "random.torch"


def test_weights_of_another_model_are_refused_by_name(tmp_path: Path) -> None:
    tiny_training(tmp_path).save(tmp_path)
    wider = tiny_training(tmp_path, tiny_spec(tmp_path, model={"width": 32}))
    with pytest.raises(CheckpointError, match=r"is \(16, 16\), the model's \(32, 32\)"):
        load_weights(tmp_path, wider.model)
    deeper = tiny_training(tmp_path, tiny_spec(tmp_path, model={"depth": 3}))
    with pytest.raises(CheckpointError, match=r"lacks blocks\.2\."):
        load_weights(tmp_path, deeper.model)
    shallow = tiny_training(tmp_path, tiny_spec(tmp_path, model={"depth": 1}))
    with pytest.raises(CheckpointError, match=r"unknown blocks\.1\."):
        load_weights(tmp_path, shallow.model)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    training = tiny_training(tmp_path)
    (tmp_path / MODEL).write_bytes(b"not safetensors")
    with pytest.raises(CheckpointError, match=r"model\.safetensors can't be read"):
        load_weights(tmp_path, training.model)
