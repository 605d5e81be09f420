"""Beside the real timm and torchvision: the same weights give the same logits."""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from maquette.models.convnext import ConvNeXt, drop_path_rates
from maquette.models.convnext_layouts import to_layout
from maquette.shapes import ConvNeXtShape, Variant
from maquette.training.pretrained import load_pretrained
from tests.models import reference
from tests.models.small_images import TINY, enliven, variant

SLOW = pytest.mark.slow
TIMM: list[object] = [
    ("atto", 32, 4),
    ("femto", 32, 4),
    ("pico", 32, 4),
    ("atto", 32, 1),
    ("atto", 224, 4),
    *(
        pytest.param((name, size, 4), marks=SLOW)
        for name in ("atto", "femto", "pico", "nano", "tiny", "small", "base")
        for size in (32, 224)
    ),
    pytest.param(("tiny", 75, 1), marks=SLOW),
    pytest.param(("base", 33, 4), marks=SLOW),
]


def of_timm(shape: ConvNeXtShape, name: Variant, drop_path: float = 0.0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        model: nn.Module = reference.timm().create_model(
            f"convnext_{name}",
            num_classes=shape.classes,
            patch_size=shape.stem_stride,
            drop_path_rate=drop_path,
        )
    return model


def compare(ours: ConvNeXt, theirs: nn.Module, size: int) -> None:
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(size))
    with torch.no_grad():
        expected: Tensor = theirs.eval()(images)
        found, _ = ours.eval()(images)
    assert found.shape == expected.shape
    assert expected.std() > 0.1, "the logits differ from image to image and class to class"
    assert (found - expected).abs().max() <= 1e-5 * max(1.0, float(expected.abs().max()))


@pytest.mark.parametrize("case", TIMM, ids=str)
def test_timm_gives_the_same_logits(case: tuple[Variant, int, int]) -> None:
    name, size, stem_stride = case
    shape = variant(name, classes=10, image_size=size, stem_stride=stem_stride)
    theirs = of_timm(shape, name)
    enliven(theirs)
    ours = ConvNeXt(shape)
    weights = theirs.state_dict()
    assert weights.keys() == ours.state_dict().keys()
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in weights.values())
    assert load_pretrained(ours, weights, source="timm") == []
    compare(ours, theirs, size)


@pytest.mark.parametrize(
    "name", ["atto", "tiny", *(pytest.param(name, marks=SLOW) for name in ("large", "xlarge"))]
)
def test_timm_has_the_same_shapes(name: Variant) -> None:
    shape = variant(name, classes=1000)
    with torch.device("meta"):
        theirs, ours = of_timm(shape, name).state_dict(), ConvNeXt(shape).state_dict()
    assert theirs.keys() == ours.keys()
    for key, tensor in ours.items():
        # timm has the small variants' linear layers as convolutions of one pixel
        same = theirs[key].flatten(1) if ".mlp.fc" in key and tensor.ndim == 2 else theirs[key]
        assert same.shape == tensor.shape, key


@pytest.mark.parametrize("name", ["atto", "tiny"])
def test_timm_skips_blocks_as_often(name: Variant) -> None:
    shape = dataclasses.replace(variant(name), drop_path=0.37)
    with torch.device("meta"):
        theirs = of_timm(shape, name, drop_path=0.37)
    rates = [
        getattr(theirs.get_submodule(f"stages.{stage}.blocks.{block}").drop_path, "drop_prob", 0.0)
        for stage, depth in enumerate(shape.depths)
        for block in range(depth)
    ]
    assert [r for stage in drop_path_rates(shape) for r in stage] == pytest.approx(rates)


@pytest.mark.parametrize("name", ["atto", pytest.param("tiny", marks=SLOW)])
def test_timm_gives_the_same_gradients(name: Variant) -> None:
    shape = variant(name)
    theirs, ours = of_timm(shape, name), ConvNeXt(shape)
    enliven(theirs)
    load_pretrained(ours, theirs.state_dict(), source="timm")
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([3, 8])
    nn.functional.cross_entropy(theirs(images), targets).backward()  # type: ignore[no-untyped-call]
    ours(images, targets)[1].backward()
    expected = {name: p.grad for name, p in theirs.named_parameters()}
    for key, p in ours.named_parameters():
        gradient = expected[key]
        assert gradient is not None
        assert p.grad is not None
        error = (p.grad - gradient.view_as(p)).abs().max() / gradient.abs().max()
        assert error < 1e-4, key


@pytest.mark.parametrize(
    ("name", "size"),
    [
        (None, 64),
        *(
            pytest.param(name, size, marks=SLOW)
            for name in ("tiny", "small", "base", "large")
            for size in (32, 224)
        ),
    ],
)
def test_torchvision_gives_the_same_logits(name: Variant | None, size: int) -> None:
    models = reference.torchvision().models
    with torch.random.fork_rng(devices=[]):
        if name is None:
            shape = TINY
            after = (*shape.widths[1:], None)
            theirs = models.convnext.ConvNeXt(
                list(map(models.convnext.CNBlockConfig, shape.widths, after, shape.depths)),
                num_classes=shape.classes,
            )
        else:
            shape = variant(name, classes=7)
            theirs = getattr(models, f"convnext_{name}")(num_classes=7)
        ours = ConvNeXt(shape)
    enliven(theirs)
    assert load_pretrained(ours, theirs.state_dict(), source="torchvision") == []
    compare(ours, theirs, size)
    back = to_layout(ours.state_dict(), "torchvision")
    for key, tensor in theirs.state_dict().items():
        assert torch.equal(back.pop(key), tensor), key
    assert not back


def test_the_reference_is_where_make_puts_it() -> None:
    makefile = (Path(__file__).parents[2] / "Makefile").read_text(encoding="utf-8")
    assert f"--target .venv/{reference.FOLDER.name} " in makefile
