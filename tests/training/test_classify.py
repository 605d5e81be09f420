import contextlib
import math

import pytest
import torch
from torch import Tensor, nn

from maquette.training.classify import Classified, answer, evaluate_classifier, probabilities
from maquette.training.classify import judge as judge_answers


def judge(said: Tensor, true: Tensor, *, classes: int) -> Classified:
    return judge_answers(answer(said, true), classes=classes)


def test_three_images_worked_out_by_hand() -> None:
    said = torch.tensor([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.1, 0.1, 0.8]]).log()
    result = judge(said, torch.tensor([0, 1, 2]), classes=3)
    assert result.confusion.tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 1]]
    assert result.accuracy == pytest.approx(2 / 3)
    assert result.class_accuracy == [1.0, 0.0, 1.0]
    assert result.top5 == 1.0
    assert result.loss == pytest.approx(-(math.log(0.7) + math.log(0.3) + math.log(0.8)) / 3)
    # Three bins with one image each: 0.3 short, 0.5 too sure, 0.2 short.
    assert result.calibration_error == pytest.approx((0.3 + 0.5 + 0.2) / 3)


def test_a_bin_counts_by_its_mean() -> None:
    said = torch.tensor([[0.75, 0.25]] * 4).log()
    assert judge(said, torch.tensor([0, 0, 0, 1]), classes=2).calibration_error < 1e-6
    assert judge(said, torch.tensor([0, 0, 0, 0]), classes=2).calibration_error == pytest.approx(
        0.25
    )


def test_the_five_likeliest_of_many_and_a_class_without_images() -> None:
    said = torch.arange(8.0).log_softmax(0).expand(8, 8)
    result = judge(said, torch.arange(8), classes=8)
    assert (result.top5, result.accuracy) == (5 / 8, 1 / 8)
    assert judge(said[:1], torch.tensor([7]), classes=8).class_accuracy == [None] * 7 + [1.0]


class Brightness(nn.Module):
    """Tells by the left edge; drops everything while training."""

    def forward(self, images: Tensor) -> tuple[Tensor, None]:
        left = images[:, :, :, 0].mean((1, 2))
        return torch.stack([left, -left], 1) * (0 if self.training else 1), None


def test_a_mirror_image_is_judged_too() -> None:
    images = torch.zeros(1, 3, 4, 4)
    images[:, :, :, 0] = 2.0
    plain = contextlib.nullcontext()
    model = Brightness().eval()
    first = torch.tensor([2.0, -2.0]).softmax(0)
    both = (first + 0.5) / 2
    assert probabilities(model, images, autocast=plain).exp()[0].tolist() == pytest.approx(
        first.tolist()
    )
    assert probabilities(model, images, autocast=plain, flip=True).exp()[
        0
    ].tolist() == pytest.approx(both.tolist())


def test_batches_count_together_and_training_goes_on_after_it() -> None:
    images, true = torch.randn(10, 3, 4, 4), torch.arange(10) % 2
    model = Brightness().train()

    def judged(size: int) -> tuple[float, list[list[int]]]:
        result = evaluate_classifier(
            model,
            zip(torch.split(images, size), torch.split(true, size), strict=True),
            classes=2,
            device=torch.device("cpu"),
            autocast=contextlib.nullcontext(),
        )
        return result.loss, result.confusion.tolist()

    assert judged(3) == judged(10)
    assert judged(10)[0] != pytest.approx(math.log(2))  # it was judged as it is in use
    assert model.training
