"""What must hold of the model and its training, whatever is changed."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn

from model import SHAPE, ConvNeXt
from train import Optimizer, TrainState, follow, load_checkpoint, make_muon, save_checkpoint

SMALL = dataclasses.replace(SHAPE, depths=(1,) * len(SHAPE.depths), drop_path=0.0)
IMAGES = torch.randn(4, 3, SHAPE.image_size, SHAPE.image_size, generator=torch.manual_seed(0))
CLASSES = torch.arange(4) % SHAPE.classes


def small_model() -> ConvNeXt:
    torch.manual_seed(0)
    return ConvNeXt(SMALL)


def optimizers(model: nn.Module) -> list[Optimizer]:
    return make_muon(
        model,
        learning_rate=1e-3,
        weight_decay=0.05,
        beta1=0.9,
        beta2=0.95,
        epsilon=1e-08,
        muon_learning_rate=0.02,
        momentum=0.95,
        arithmetic=torch.float32,
    )


def steps(model: ConvNeXt, made: list[Optimizer], shifts: Iterable[int]) -> list[float]:
    losses = []
    for shift in shifts:
        _, loss = model(IMAGES.roll(shift, -1), CLASSES)
        assert loss is not None
        loss.backward()
        for optimizer in made:
            optimizer.step()
        model.zero_grad()
        losses.append(loss.item())
    return losses


def test_every_image_gets_a_logit_for_each_class() -> None:
    logits, _ = small_model().eval()(IMAGES)
    assert logits is not None
    assert logits.shape == (4, SHAPE.classes)


def test_an_image_is_judged_by_itself_alone() -> None:
    model = small_model().eval()
    together, alone = model(IMAGES)[0], model(IMAGES[:1])[0]
    assert together is not None
    assert alone is not None
    assert torch.allclose(together[:1], alone, atol=1e-4)


def test_one_batch_can_be_learned_by_heart() -> None:
    model = small_model()
    losses = steps(model, optimizers(model), [0] * 12)
    assert losses[-1] < losses[0] - 0.1


def test_a_training_goes_on_from_a_checkpoint_as_if_without_a_break(tmp_path: Path) -> None:
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    model = small_model()
    made = optimizers(model)
    steps(model, made, range(2))
    save_checkpoint(tmp_path / "c.pt", model, made, scaler, TrainState(step=2), follow(model, 0.9))
    expected = steps(model, made, range(2, 4))
    torch.manual_seed(1)
    other = ConvNeXt(SMALL)
    others = optimizers(other)
    state = load_checkpoint(tmp_path / "c.pt", other, others, scaler, follow(other, 0.9))
    assert state.step == 2
    assert steps(other, others, range(2, 4)) == expected
