import dataclasses
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maquette.models.convnext import ConvNeXt, drop_path_rates
from maquette.models.convnext_block import Block, Halving
from maquette.models.drop_path import DropPath
from maquette.shapes import ConvNeXtShape
from maquette.training.compilation import compile_blocks
from tests.models.small_images import TINY, enliven, small_convnext


def pictures(count: int, height: int = 32, width: int | None = None) -> Tensor:
    generator = torch.Generator().manual_seed(height)
    return torch.randn(count, 3, height, width or height, generator=generator)


def logits_of(model: ConvNeXt, images: Tensor) -> Tensor:
    logits, loss = model(images)
    assert logits is not None
    assert loss is None
    return logits  # type: ignore[no-any-return]


class Channels(nn.Module):
    """The paper's LayerNorm over channels, written out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(1, keepdim=True)
        x = (x - mean) / ((x - mean) ** 2).mean(1, keepdim=True).add(1e-6).sqrt()
        return x * self.weight[:, None, None] + self.bias[:, None, None]


class PaperBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = Channels(width)
        self.pwconv1, self.pwconv2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.dwconv(x)).movedim(1, -1)
        y = self.pwconv1(y)
        y = y * (1 + torch.erf(y / math.sqrt(2))) / 2
        return x + (self.gamma * self.pwconv2(y)).movedim(-1, 1)  # type: ignore[no-any-return]


class Paper(nn.Module):
    """ConvNeXt after figure 4 and appendix A of the paper, with the names of the original code."""

    def __init__(self, shape: ConvNeXtShape) -> None:
        super().__init__()
        stem = nn.Conv2d(3, shape.widths[0], shape.stem_stride, shape.stem_stride)
        self.downsample_layers = nn.ModuleList([nn.Sequential(stem, Channels(shape.widths[0]))])
        for before, width in zip(shape.widths, shape.widths[1:], strict=False):
            conv = nn.Conv2d(before, width, 2, 2)
            self.downsample_layers.append(nn.Sequential(Channels(before), conv))
        self.stages = nn.ModuleList(
            nn.Sequential(*(PaperBlock(width) for _ in range(depth)))
            for depth, width in zip(shape.depths, shape.widths, strict=True)
        )
        self.norm = nn.LayerNorm(shape.widths[-1], eps=1e-6)
        self.head = nn.Linear(shape.widths[-1], shape.classes)

    def forward(self, x: Tensor) -> Tensor:
        for down, stage in zip(self.downsample_layers, self.stages, strict=True):
            x = stage(down(x))
        return self.head(self.norm(x.mean((2, 3))))  # type: ignore[no-any-return]


def both(shape: ConvNeXtShape) -> tuple[ConvNeXt, Paper]:
    """A model and the paper's, with the same weights: they come in the same order."""
    ours, paper = small_convnext(shape), Paper(shape)
    with torch.no_grad():
        for mine, theirs in zip(in_order(ours), in_order(paper), strict=True):
            theirs.copy_(mine)
    return ours, paper


def in_order(model: ConvNeXt | Paper) -> list[Tensor]:
    """Weights as they meet an image; layer scale after the block's products."""
    if isinstance(model, ConvNeXt):
        downs = [model.stem, *(stage.get_submodule("downsample") for stage in model.stages)][:1]
        downs += [stage.get_submodule("downsample") for stage in list(model.stages)[1:]]
        stages = [stage.get_submodule("blocks") for stage in model.stages]
        end: list[nn.Module] = [model.head.norm, model.head.fc]
    else:
        downs, stages = list(model.downsample_layers), list(model.stages)
        end = [model.norm, model.head]
    tensors = [p for down in downs for p in down.parameters()]
    for stage in stages:
        for block in stage.children():
            named = dict(block.named_parameters())
            tensors += [p for name, p in named.items() if name != "gamma"] + [named["gamma"]]
    return [*tensors, *(p for module in end for p in module.parameters())]


@pytest.mark.parametrize("stem_stride", [1, 2, 4])
@pytest.mark.parametrize("size", [(32, 32), (37, 61), (32, 45)])
def test_logits_and_gradients_are_the_papers(stem_stride: int, size: tuple[int, int]) -> None:
    ours, paper = both(dataclasses.replace(TINY, stem_stride=stem_stride))
    images, targets = pictures(3, *size), torch.tensor([0, 3, 1])
    expected = paper(images)
    assert torch.allclose(logits_of(ours, images), expected, atol=2e-5)
    logits, loss = ours(images, targets)
    assert logits is None
    assert loss is not None
    expected_loss = F.cross_entropy(expected, targets)
    assert torch.allclose(loss, expected_loss, atol=2e-5)
    loss.backward()
    expected_loss.backward()  # type: ignore[no-untyped-call]
    for mine, theirs in zip(in_order(ours), in_order(paper), strict=True):
        assert mine.grad is not None
        assert theirs.grad is not None
        error = (mine.grad - theirs.grad).abs().max() / theirs.grad.abs().max()
        assert error < 2e-4, mine.shape


def test_a_loss_by_shares_of_classes() -> None:
    model, images = small_convnext(), pictures(4)
    shares = torch.rand(4, 5, generator=torch.Generator().manual_seed(3)).softmax(1)
    _, loss = model(images, shares)
    expected = -(shares * logits_of(model, images).log_softmax(1)).sum(1).mean()
    assert torch.allclose(loss, expected, atol=1e-6)
    targets = torch.tensor([0, 1, 2, 4])
    _, by_class = model(images, targets)
    _, by_share = model(images, F.one_hot(targets, 5).float())
    assert torch.allclose(by_class, by_share, atol=1e-6)


def test_features_are_what_the_head_reads() -> None:
    model, images = small_convnext(), pictures(2)
    features = model.features(images)
    assert features.shape == (2, 48)
    assert torch.equal(model.head.fc(features), logits_of(model, images))


@pytest.mark.parametrize("stem_stride", [1, 2, 4])
def test_the_smallest_image_and_one_smaller(stem_stride: int) -> None:
    model = small_convnext(stem_stride=stem_stride)
    assert model.shape.smallest_image == 8 * stem_stride
    assert logits_of(model, pictures(1, 8 * stem_stride)).isfinite().all()
    with pytest.raises(AssertionError, match="too small"):
        model(pictures(1, 8 * stem_stride - 1))


def test_how_images_lie_in_memory_changes_nothing() -> None:
    model, images = small_convnext(), pictures(3)
    lying = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(logits_of(model, images), logits_of(model, lying))
    transposed = images.transpose(2, 3).contiguous().transpose(2, 3)
    assert torch.equal(logits_of(model, images), logits_of(model, transposed))


def test_halving_by_patches_is_the_convolution() -> None:
    torch.manual_seed(0)
    halving = Halving(6, 10)
    for size in ((8, 8), (7, 5), (2, 3)):
        x = torch.randn(2, 6, *size)
        expected = F.conv2d(x, halving.weight, halving.bias, stride=2)
        assert torch.allclose(halving(x), expected, atol=1e-6)


def test_bf16_arithmetic_is_near_and_loss_and_logits_float32() -> None:
    model, images, targets = small_convnext(), pictures(8), torch.arange(8) % 5
    exact, exact_loss = logits_of(model, images), model(images, targets)[1]
    exact_gradients = torch.autograd.grad(exact_loss, list(model.parameters()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits, loss = logits_of(model, images), model(images, targets)[1]
    assert logits.dtype == loss.dtype == torch.float32
    assert F.cosine_similarity(logits, exact, dim=-1).min() > 0.99
    for found, expected in zip(
        torch.autograd.grad(loss, list(model.parameters())), exact_gradients, strict=True
    ):
        assert found.dtype == torch.float32
        assert F.cosine_similarity(found.flatten(), expected.flatten(), dim=0) > 0.97


def test_first_weights_are_as_published() -> None:
    torch.manual_seed(0)
    model = ConvNeXt(dataclasses.replace(TINY, widths=(48, 64, 96, 128)))
    for name, p in model.state_dict().items():
        if p.ndim > 1:
            assert abs(float(p.std()) / 0.02 - 1) < 0.15, name
            assert abs(float(p.mean())) < 0.002, name
        elif name.endswith("gamma"):
            assert (p == 1e-6).all(), name
        else:
            assert (p == (0 if name.endswith("bias") else 1)).all(), name
    logits = logits_of(model.eval(), pictures(16)).detach()
    targets = torch.arange(16) % 5
    assert abs(float(F.cross_entropy(logits, targets)) - math.log(5)) < 0.1


def test_stochastic_depth_rises_linearly_over_all_blocks() -> None:
    shape = dataclasses.replace(TINY, depths=(2, 1, 3, 1), drop_path=0.3)
    expected = [[0.0, 0.05], [0.1], [0.15, 0.2, 0.25], [0.3]]
    for found, rates in zip(drop_path_rates(shape), expected, strict=True):
        assert found == pytest.approx(rates)
    model = ConvNeXt(shape)
    rates = [float(m.rate) for m in model.modules() if isinstance(m, DropPath)]
    assert rates == pytest.approx([r for stage in expected for r in stage][1:])
    assert not any("rate" in name for name in model.state_dict())


def test_stochastic_depth_acts_in_training_only_and_follows_the_generator() -> None:
    images = pictures(8)
    model = small_convnext(drop_path=0.5)
    assert torch.equal(logits_of(model, images), logits_of(small_convnext(), images))
    model.train()
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first, second = logits_of(model, images), logits_of(model, images)
    assert not torch.equal(first, second)
    torch.set_rng_state(state)
    assert torch.equal(first, logits_of(model, images))


def test_drop_path_keeps_the_mean_and_whole_samples() -> None:
    torch.manual_seed(0)
    drop = DropPath(0.2)
    y = drop(torch.ones(5000, 2, 3))
    kept = y[:, 0, 0] > 0
    assert torch.allclose(y[kept], torch.tensor(1.25))
    assert (y[~kept] == 0).all()
    assert abs(float(kept.float().mean()) - 0.8) < 0.02


def test_blocks_are_what_gets_compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    compiled: list[nn.Module] = []
    monkeypatch.setattr(nn.Module, "compile", lambda module, **_: compiled.append(module))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    model = small_convnext()
    compile_blocks(model, cache=tmp_path)
    assert compiled == [m for m in model.modules() if isinstance(m, Block)]


def test_gradients_are_the_same_each_time() -> None:
    def gradients() -> list[Tensor]:
        torch.manual_seed(5)
        model = ConvNeXt(dataclasses.replace(TINY, drop_path=0.3, stem_stride=2))
        enliven(model)
        loss = model(pictures(8), torch.arange(8) % 5)[1]
        return list(torch.autograd.grad(loss, list(model.parameters())))

    assert all(map(torch.equal, gradients(), gradients()))
