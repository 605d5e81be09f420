"""What must hold of the model and its training, whatever is changed."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from data import Batches
from model import GPT, SHAPE
from train import Optimizer, TrainState, follow, load_checkpoint, make_adamw, save_checkpoint

SMALL = dataclasses.replace(SHAPE, context=min(SHAPE.context, 32), depth=min(SHAPE.depth, 2))
TOKENS = np.random.default_rng(0).integers(1, SMALL.vocabulary, 4000)


def small_model() -> GPT:
    torch.manual_seed(0)
    return GPT(SMALL)


def optimizers(model: nn.Module) -> list[Optimizer]:
    return make_adamw(
        model,
        learning_rate=1e-2,
        weight_decay=0.1,
        beta1=0.9,
        beta2=0.95,
        epsilon=1e-08,
    )


def batches() -> Batches:
    return Batches([TOKENS], context=SMALL.context, batch_size=4, seed=0)


def steps(model: GPT, made: list[Optimizer], order: Iterable[int]) -> list[float]:
    losses = []
    for k in order:
        inputs, targets = batches().batch(k)
        _, loss = model(inputs, targets)
        assert loss is not None
        loss.backward()
        for optimizer in made:
            optimizer.step()
        model.zero_grad()
        losses.append(float(loss.detach()))
    return losses


def test_every_token_gets_a_logit_for_each_of_the_vocabulary() -> None:
    model = small_model().eval()
    logits, _ = model(torch.zeros(2, 5, dtype=torch.int64))
    assert logits is not None
    assert logits.shape == (2, 5, SMALL.vocabulary)


def test_no_token_is_told_what_comes_after_it() -> None:
    model = small_model().eval()
    inputs, _ = batches().batch(0)
    half = SMALL.context // 2
    changed = inputs.clone()
    changed[:, half:] = 0
    before, after = model(inputs)[0], model(changed)[0]
    assert before is not None
    assert after is not None
    assert torch.allclose(before[:, :half], after[:, :half], atol=1e-5)
    assert not torch.allclose(before[:, half:], after[:, half:], atol=1e-5)


def test_one_batch_can_be_learned_by_heart() -> None:
    model = small_model()
    losses = steps(model, optimizers(model), [0] * 10)
    assert losses[-1] < losses[0] - 0.1


def test_a_training_goes_on_from_a_checkpoint_as_if_without_a_break(tmp_path: Path) -> None:
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    model = small_model()
    made = optimizers(model)
    steps(model, made, range(3))
    save_checkpoint(tmp_path / "c.pt", model, made, scaler, TrainState(step=3), follow(model, 0.9))
    expected = steps(model, made, range(3, 6))
    torch.manual_seed(1)
    other = GPT(SMALL)
    others = optimizers(other)
    state = load_checkpoint(tmp_path / "c.pt", other, others, scaler, follow(other, 0.9))
    assert state.step == 3
    assert steps(other, others, range(3, 6)) == expected
