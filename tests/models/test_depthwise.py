import pytest
import torch
from torch.nn import functional as F

from maquette.models import depthwise
from maquette.models.depthwise import DepthwiseConv


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 2), (3, 4), (4, 4), (8, 8), (9, 20)])
@pytest.mark.parametrize("images", [1, 5])
@pytest.mark.parametrize("chunk", [1, 2**17])  # image by image, and all at once
def test_gradients_are_those_of_the_library(
    size: tuple[int, int], images: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(depthwise, "CHUNK", chunk)
    torch.manual_seed(0)
    layer = DepthwiseConv(6, 7)
    x = torch.randn(images, 6, *size, requires_grad=True)
    gradient = torch.randn(images, 6, *size)
    wanted = (x, layer.weight, layer.bias)
    y = layer(x)
    found = torch.autograd.grad(y, wanted, gradient)  # type: ignore[arg-type]
    expected_y = F.conv2d(x, layer.weight, layer.bias, padding=3, groups=6)
    expected = torch.autograd.grad(expected_y, wanted, gradient)  # type: ignore[arg-type]
    assert torch.allclose(y, expected_y, atol=1e-5)
    for mine, theirs in zip(found, expected, strict=True):
        assert torch.allclose(mine, theirs, atol=2e-5)


def test_gradients_are_those_of_finite_differences() -> None:
    torch.manual_seed(0)
    layer = DepthwiseConv(3, 5).double()
    x = torch.randn(2, 3, 4, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, weight, bias: torch.func.functional_call(
            layer, {"weight": weight, "bias": bias}, (x,)
        ),
        (x, *layer.parameters()),
    )


def test_in_bf16_the_sum_over_images_is_exact() -> None:
    torch.manual_seed(0)
    layer = DepthwiseConv(16, 7)
    x = torch.randn(256, 16, 8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = layer(x)
    assert y.dtype == torch.bfloat16
    (found,) = torch.autograd.grad(y.float().square().sum(), (layer.weight,))
    exact = F.conv2d(x, layer.weight, layer.bias, padding=3, groups=16)
    (expected,) = torch.autograd.grad(exact.square().sum(), (layer.weight,))
    assert found.dtype == torch.float32
    assert (found - expected).norm() / expected.norm() < 0.01


def test_only_what_is_asked_for_is_computed() -> None:
    layer = DepthwiseConv(4, 7).requires_grad_(False)
    x = torch.randn(2, 4, 6, 6, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad is not None
    assert layer.weight.grad is None
    assert layer.bias is not None
    assert layer.bias.grad is None
