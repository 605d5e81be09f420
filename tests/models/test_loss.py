"""The chunked loss against torch's on full logits."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from maquette.models.loss import IGNORE, linear_cross_entropy


def problem(rows: int = 37, width: int = 12, vocabulary: int = 101) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(rows, width, generator=generator, requires_grad=True)
    weight = torch.randn(vocabulary, width, generator=generator, requires_grad=True)
    targets = torch.randint(vocabulary, (rows,), generator=generator)
    return x, weight, targets


@pytest.mark.parametrize("rows", [1, 8, 37, 64])
@pytest.mark.parametrize("ignored", [[], [0], [3, 4, 36], list(range(8))])
def test_equals_cross_entropy_of_full_logits(rows: int, ignored: list[int]) -> None:
    x, weight, targets = problem()
    targets[ignored] = IGNORE
    loss = linear_cross_entropy(x, weight, targets, rows=rows)
    gradients = torch.autograd.grad(3 * loss, (x, weight))
    wide = x.detach().double().requires_grad_(), weight.detach().double().requires_grad_()
    expected = F.cross_entropy(wide[0] @ wide[1].t(), targets, ignore_index=IGNORE)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    for ours, theirs in zip(gradients, torch.autograd.grad(3 * expected, wide), strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_under_autocast_stays_near_and_keeps_types(dtype: torch.dtype) -> None:
    x, weight, targets = problem()
    exact = F.cross_entropy(x @ weight.t(), targets)
    with torch.autocast("cpu", dtype):
        loss = linear_cross_entropy(x, weight, targets, rows=10)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.dtype == torch.float32
    assert x.grad is not None
    assert weight.grad is not None
    assert x.grad.dtype == weight.grad.dtype == torch.float32
    assert loss.item() == pytest.approx(exact.item(), rel=0.01)
    gradient = torch.autograd.grad(exact, weight)[0]
    assert F.cosine_similarity(weight.grad.flatten(), gradient.flatten(), dim=0) > 0.9999


def test_an_unlikely_target_has_a_finite_loss_in_half_precision() -> None:
    x, weight, targets = torch.ones(1, 1), torch.tensor([[60.0], [0.0]]), torch.tensor([1])
    with torch.autocast("cpu", torch.float16):
        assert linear_cross_entropy(x, weight, targets).item() == pytest.approx(60)


def test_without_gradients_it_is_the_same_loss() -> None:
    x, weight, targets = problem()
    learning = linear_cross_entropy(x, weight, targets, rows=8)
    with torch.no_grad():
        assert linear_cross_entropy(x, weight, targets, rows=8).item() == learning.item()
