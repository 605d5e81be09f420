from typing import Any

import pytest
import torch
from torch import Tensor, nn

from maquette.training.layer_decay import layer_scales
from maquette.training.optimizer import (
    AdamW,
    Muon,
    Optimizer,
    make_adamw,
    make_muon,
    orthogonalise,
    set_learning_rate,
)
from tests.models.small import GPT2, LLAMA, small_model
from tests.models.small_images import small_convnext

ADAMW = {
    "learning_rate": 1e-2,
    "weight_decay": 0.1,
    "beta1": 0.9,
    "beta2": 0.95,
    "epsilon": 1e-8,
}
MUON = {
    **ADAMW,
    "muon_learning_rate": 0.02,
    "momentum": 0.95,
    "arithmetic": torch.float32,
}


def optimizers(model: nn.Module, settings: dict[str, Any]) -> list[Optimizer]:
    make = make_muon if "momentum" in settings else make_adamw
    return make(model, **settings)


def random(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [(3, 8, 8), (2, 12, 8), (2, 8, 12), (1, 64, 16)])
def test_orthogonalise_brings_singular_values_near_one(size: tuple[int, ...]) -> None:
    matrices = random(*size)
    result = orthogonalise(matrices)
    values = torch.linalg.svdvals(result)
    assert result.shape == matrices.shape
    assert values.min() > 0.3  # of a square random matrix the least begins near 0
    assert values.max() < 1.3
    wide = orthogonalise(random(4, 8, 64))
    assert (torch.linalg.svdvals(wide) - 1).abs().max() < 0.35
    # The directions stay: the polar factor of each matrix is that of the result.
    u, _, vt = torch.linalg.svd(wide, full_matrices=False)
    u0, _, vt0 = torch.linalg.svd(random(4, 8, 64), full_matrices=False)
    assert torch.allclose(u @ vt, u0 @ vt0, atol=1e-3)


def test_orthogonalise_survives_zero() -> None:
    assert torch.equal(orthogonalise(torch.zeros(1, 4, 4)), torch.zeros(1, 4, 4))


@pytest.mark.parametrize("shapes", [[(8, 8)], [(16, 8), (8, 16)], [(8, 8), (24, 8), (8, 8)]])
def test_muon_is_torchs_in_its_arithmetic(shapes: list[tuple[int, int]]) -> None:
    settings: dict[str, Any] = {"lr": 0.02, "weight_decay": 0.1}
    first = [random(*shape, seed=i) for i, shape in enumerate(shapes)]
    ours, theirs = ([nn.Parameter(w.clone()) for w in first] for _ in range(2))
    muon = Muon([{"params": ours, **settings}], momentum=0.95, arithmetic=torch.bfloat16)
    reference = torch.optim.Muon(theirs, **settings, momentum=0.95)
    for step in range(4):
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            a.grad = random(*a.shape, seed=100 * step + i)
            b.grad = a.grad.clone()
        muon.step()
        reference.step()  # type: ignore[no-untyped-call]
    for a, b, before in zip(ours, theirs, first, strict=True):
        moved = (b - before).norm()
        assert (a - b).norm() < 0.02 * moved  # products of bfloat16 numbers, in another order


def test_muon_skips_what_has_no_gradient() -> None:
    still, moving = nn.Parameter(random(4, 4)), nn.Parameter(random(4, 4))
    before = still.detach().clone()
    moving.grad = random(4, 4, seed=1)
    group = {"params": [still, moving], "lr": 0.1, "weight_decay": 0.0}
    muon = Muon([group], momentum=0.9, arithmetic=torch.float32)
    muon.step()
    assert torch.equal(still, before)
    assert not torch.equal(moving, before)


@pytest.mark.parametrize("settings", [ADAMW, MUON], ids=["adamw", "muon"])
@pytest.mark.parametrize("shape", [LLAMA, GPT2], ids=["llama", "gpt2"])
def test_every_parameter_is_in_one_group_and_only_matrices_decay(
    settings: dict[str, Any], shape: Any
) -> None:
    model = small_model(shape)
    names = {id(p): name for name, p in model.named_parameters()}
    found: dict[str, tuple[type, float, float]] = {}
    for optimizer in optimizers(model, settings):
        for group in optimizer.param_groups:
            for p in group["params"]:
                assert names[id(p)] not in found
                found[names[id(p)]] = (type(optimizer), group["weight_decay"], group["peak"])
    assert set(found) == set(names.values())
    for name, p in model.named_parameters():
        matrix = p.ndim == 2
        muon = settings is MUON and matrix and name.startswith("blocks.")
        kind = Muon if muon else AdamW
        assert found[name] == (kind, 0.1 if matrix else 0.0, 0.02 if muon else 1e-2), name


def test_adamw_is_torchs_bit_by_bit() -> None:
    ours, theirs = small_model(), small_model()
    [optimizer] = optimizers(ours, ADAMW)
    reference = torch.optim.AdamW(
        [
            {"params": [p for p in theirs.parameters() if p.ndim >= 2], "weight_decay": 0.1},
            {"params": [p for p in theirs.parameters() if p.ndim < 2], "weight_decay": 0.0},
        ],
        lr=1e-2,
        betas=(0.9, 0.95),
        eps=1e-8,
        fused=True,
    )
    pairs = list(zip(ours.parameters(), theirs.parameters(), strict=True))
    for step in range(5):
        for i, (a, b) in enumerate(pairs):
            absent = (i + step) % 7 == 0  # parameters come and go; each counts its own steps
            a.grad = None if absent else random(*a.shape, seed=step * 50 + i)
            b.grad = None if a.grad is None else a.grad.clone()
        set_learning_rate([optimizer], 0.3 * step)
        for group in reference.param_groups:
            group["lr"] = 1e-2 * (0.3 * step)
        optimizer.step()
        reference.step()
    for a, b in pairs:
        assert torch.equal(a, b)
        assert optimizer.state[a].keys() == reference.state[b].keys()
        for key, tensor in optimizer.state[a].items():
            assert torch.equal(tensor, reference.state[b][key]), key


def test_adamw_is_torchs_with_decay_on_matrices_alone() -> None:
    ours, theirs = small_model(), small_model()
    [optimizer] = optimizers(ours, ADAMW)
    matrices = [p for p in theirs.parameters() if p.ndim == 2]
    vectors = [p for p in theirs.parameters() if p.ndim < 2]
    common = {"lr": 1e-2, "betas": (0.9, 0.95), "eps": 1e-8, "foreach": False, "fused": False}
    references = [
        torch.optim.AdamW(matrices, weight_decay=0.1, **common),  # type: ignore[arg-type]
        torch.optim.AdamW(vectors, weight_decay=0.0, **common),  # type: ignore[arg-type]
    ]
    for step in range(3):
        for i, (a, b) in enumerate(zip(ours.parameters(), theirs.parameters(), strict=True)):
            a.grad = random(*a.shape, seed=step * 50 + i)
            b.grad = a.grad.clone()
        optimizer.step()
        for reference in references:
            reference.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("settings", [ADAMW, MUON], ids=["adamw", "muon"])
def test_a_model_without_matrices_or_vectors_has_its_optimizers_all_the_same(
    settings: dict[str, Any],
) -> None:
    for model in (nn.LayerNorm(4), nn.Linear(4, 4, bias=False)):
        [optimizer] = optimizers(model, settings)
        before = [p.detach().clone() for p in model.parameters()]
        for p in model.parameters():
            p.grad = torch.ones_like(p)
        optimizer.step()
        assert all((a != b).all() for a, b in zip(before, model.parameters(), strict=True))


def test_the_rate_of_each_group_is_a_share_of_its_own_peak() -> None:
    made = optimizers(small_model(), MUON)
    assert set_learning_rate(made, 0.5) == pytest.approx(5e-3)
    assert set_learning_rate(made, 0.1) == pytest.approx(1e-3)  # of the peak, not of the last
    rates = [group["lr"] for optimizer in made for group in optimizer.param_groups]
    assert rates == pytest.approx([1e-3, 1e-3, 2e-3])


# Blocks of (1, 1, 2, 1) in the stages: seven layers with stem and head, and 0.5 for each one above.
SHARES = {
    "stem.": 1 / 64,
    "stages.0.blocks.0.": 1 / 32,
    "stages.1.downsample.": 1 / 16,
    "stages.1.blocks.0.": 1 / 16,
    "stages.2.downsample.": 1 / 8,
    "stages.2.blocks.0.": 1 / 8,
    "stages.2.blocks.1.": 1 / 4,
    "stages.3.downsample.": 1 / 2,
    "stages.3.blocks.0.": 1 / 2,
    "head.": 1.0,
}


@pytest.mark.parametrize("settings", [ADAMW, MUON], ids=["adamw", "muon"])
def test_lower_layers_learn_more_slowly(settings: dict[str, Any]) -> None:
    model = small_convnext()
    names = {id(p): name for name, p in model.named_parameters()}
    scales = layer_scales([name for name, _ in model.named_parameters()], 0.5)
    made = optimizers(model, {**settings, "scales": scales})
    found: dict[str, float] = {}
    for optimizer in made:
        full = 0.02 if isinstance(optimizer, Muon) else 1e-2
        for group in optimizer.param_groups:
            for p in group["params"]:
                assert names[id(p)] not in found
                found[names[id(p)]] = group["peak"] / full
                muon = settings is MUON and p.ndim == 2 and ".blocks." in names[id(p)]
                assert isinstance(optimizer, Muon) == muon
                assert group["weight_decay"] == (0.1 if p.ndim >= 2 else 0.0)
    assert found.keys() == set(names.values())
    for name, share in found.items():
        [expected] = [share for start, share in SHARES.items() if name.startswith(start)]
        assert share == pytest.approx(expected), name
    assert set_learning_rate(made, 0.5) == pytest.approx(5e-3)  # the head's


def test_the_layers_of_a_published_model_follow_their_numbers() -> None:
    names = [f"stages.2.blocks.{i}.norm.weight" for i in range(12)]
    scales = layer_scales(["head.fc.bias", "stem.0.bias", *names], 0.9)
    assert scales[names[11]] == pytest.approx(0.9)
    assert scales[names[2]] == pytest.approx(0.9**10)  # the third of them, not the fourth: 10 < 2
    assert scales["stem.0.bias"] == pytest.approx(0.9**13)


def test_without_layer_decay_all_learn_at_one_rate() -> None:
    [optimizer] = optimizers(small_convnext(), ADAMW)
    assert [group["peak"] for group in optimizer.param_groups] == [1e-2, 1e-2]
