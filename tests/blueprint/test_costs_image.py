import dataclasses
import re

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from maquette.blueprint import costs_image
from maquette.blueprint.blueprint import OptimizerPlan, SchedulePlan, TrainPlan
from maquette.models.convnext import ConvNeXt
from maquette.shapes import CONVNEXT_VARIANTS, ConvNeXtShape, Variant
from tests.models.small_images import TINY, variant

# Parameters with 1000 and 10 classes, those of torchvision's four with 1000 exact in its own list;
# 10^9 multiplications at 224 pixels by timm (results/benchmark-infer-amp-nhwc-pt240-cu124), which
# counts norms too, and by torchvision.
PUBLISHED: dict[Variant, tuple[int, int, float, float | None]] = {
    "atto": (3_695_520, 3_377_730, 0.55, None),
    "femto": (5_217_784, 4_836_634, 0.79, None),
    "pico": (9_045_672, 8_537_802, 1.37, None),
    "nano": (15_593_560, 14_958_970, 2.46, None),
    "tiny": (28_589_128, 27_827_818, 4.47, 4.456),
    "small": (50_223_688, 49_462_378, 8.71, 8.684),
    "base": (88_591_464, 87_576_714, 15.38, 15.355),
    "large": (197_767_336, 196_245_706, 34.40, 34.361),
    "xlarge": (350_196_968, 348_168_458, 60.98, None),
}
ODD = dataclasses.replace(TINY, image_size=27, stem_stride=2, depths=(1, 0, 2), widths=(8, 12, 24))


def test_every_variant_has_published_figures() -> None:
    assert set(PUBLISHED) == set(CONVNEXT_VARIANTS)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_parameters_and_operations(name: Variant) -> None:
    of_1000, of_10, billions, exact_billions = PUBLISHED[name]
    shape = variant(name, classes=1000, image_size=224)
    assert costs_image.parameters(shape)["total"] == of_1000
    assert costs_image.parameters(variant(name, classes=10))["total"] == of_10
    found = costs_image.multiplications_per_image(shape) / 1e9
    assert found == pytest.approx(billions, rel=0.015)
    if exact_billions is not None:
        assert round(found, 3) == exact_billions


@pytest.mark.parametrize(
    "shape",
    [TINY, ODD, *(variant(name, classes=7, stem_stride=1) for name in PUBLISHED)],
    ids=["small", "odd", *PUBLISHED],
)
def test_parameters_are_those_of_the_model(shape: ConvNeXtShape) -> None:
    counts = costs_image.parameters(shape)
    with torch.device("meta"):
        sizes = {name: p.numel() for name, p in ConvNeXt(shape).named_parameters()}
    parts = {
        "stem": r"stem\.0",
        "depthwise": r"conv_dw",
        "mlp": r"mlp",
        "layer_scale": r"gamma",
        "downsampling": r"downsample\.1",
        "norms": r"norm|stem\.1|downsample\.0",
        "head": r"head\.fc",
    }
    for part, words in parts.items():
        found = sum(size for name, size in sizes.items() if re.search(words, name))
        assert counts[part] == found, part
    assert counts["total"] == sum(sizes.values())


@pytest.mark.parametrize("shape", [TINY, ODD, variant("tiny", classes=1000, image_size=224)])
def test_operations_are_what_torch_counts(shape: ConvNeXtShape) -> None:
    with torch.device("meta"):  # counts without computing
        model = ConvNeXt(shape)
        images = torch.zeros(2, 3, shape.image_size, shape.image_size)
        targets = torch.zeros(2, dtype=torch.int64)
    with FlopCounterMode(display=False) as forward:
        _, loss = model(images, targets)
    assert forward.get_total_flops() == 2 * 2 * costs_image.multiplications_per_image(shape)
    with FlopCounterMode(display=False) as backward:
        loss.backward()
    both = forward.get_total_flops() + backward.get_total_flops()
    # torch counts a depthwise kernel's gradient as though it went from each channel to each one.
    side = shape.image_size // shape.stem_stride
    too_many = sum(
        2 * (side >> stage) ** 2 * depth * 49 * width * (width - 1)
        for stage, (depth, width) in enumerate(zip(shape.depths, shape.widths, strict=True))
    )
    assert both == 2 * (costs_image.flops_per_image(shape) + too_many)


def test_operations_worked_out_by_hand() -> None:
    # A map of 4 x 4 in stage 0 and 2 x 2 in stage 1; blocks 49 C + 8 C^2 a pixel.
    shape = dataclasses.replace(
        TINY, image_size=16, stem_stride=4, depths=(1, 2), widths=(8, 16), classes=3
    )
    stem = 16 * 48 * 8
    blocks = 16 * (49 * 8 + 8 * 64) + 4 * 2 * (49 * 16 + 8 * 256)
    rest = 4 * 4 * 8 * 16 + 16 * 3
    assert costs_image.multiplications_per_image(shape) == stem + blocks + rest
    assert costs_image.flops_per_image(shape) == 2 * (2 * stem + 3 * (blocks + rest))


@pytest.mark.parametrize("drop_path", [0.0, 0.2])
@pytest.mark.parametrize("stem_stride", [1, 2, 4])
def test_activations_are_near_what_autograd_keeps(stem_stride: int, drop_path: float) -> None:
    shape = dataclasses.replace(TINY, stem_stride=stem_stride, drop_path=drop_path)
    model = ConvNeXt(shape)
    own = {t.untyped_storage().data_ptr() for t in [*model.parameters(), *model.buffers()]}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = tensor
        return tensor

    images, targets = torch.randn(8, 3, 32, 32), torch.zeros(8, dtype=torch.int64)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(images, targets)
    measured = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    assert costs_image.activations_bytes(shape, 8) == pytest.approx(measured, rel=0.15)


def plan(kind: str, average: float) -> TrainPlan:
    optimizer = OptimizerPlan(kind, 1e-3, 0.05, 0.9, 0.99, 1e-8, None, None)  # type: ignore[arg-type]
    fields = {field.name: 0 for field in dataclasses.fields(TrainPlan)}
    fields |= {"batch_size": 12, "accumulation": 3, "tokens": 1200}
    schedule = SchedulePlan("cosine", 100, 10, 90, 0.0)
    return TrainPlan(**{**fields, "optimizer": optimizer, "schedule": schedule, "average": average})  # type: ignore[arg-type]


def test_bytes_and_operations_of_a_run() -> None:
    adamw = costs_image.costs(TINY, plan("adamw", 0))
    muon = costs_image.costs(TINY, plan("muon", 0))
    averaged = costs_image.costs(TINY, plan("muon", 0.9))
    total = costs_image.parameters(TINY)["total"]
    with torch.device("meta"):
        matrices = sum(
            p.numel()
            for name, p in ConvNeXt(TINY).named_parameters()
            if re.search("fc..weight", name)
        )
    assert adamw.weights_bytes == adamw.gradients_bytes == 4 * total
    assert adamw.optimizer_bytes == 8 * total
    assert muon.optimizer_bytes == 8 * total - 4 * matrices
    assert averaged.optimizer_bytes == muon.optimizer_bytes + 4 * total
    assert adamw.flops == 1200 * costs_image.flops_per_image(TINY)
    assert adamw.activations_bytes == costs_image.activations_bytes(TINY, 4)
