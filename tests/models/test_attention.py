import math

import pytest
import torch
from torch import Tensor

from maquette.models.attention import Attention, LayerCache, causal_attention


def explicit(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention as the paper writes it, in double precision, with a mask of minus infinity."""
    heads, queries, keys = q.size(1), q.size(2), k.size(2)
    k = k.repeat_interleave(heads // k.size(1), dim=1).double()
    v = v.repeat_interleave(heads // v.size(1), dim=1).double()
    scores = q.double() @ k.mT / math.sqrt(q.size(-1))
    for i in range(queries):
        scores[:, :, i, keys - queries + i + 1 :] = -math.inf
    return (scores.softmax(-1) @ v).float()


def random_qkv(heads: int, kv_heads: int, queries: int, past: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(queries + past)
    sizes = ((heads, queries), (kv_heads, queries + past), (kv_heads, queries + past))
    return tuple(2 * torch.randn(2, h, t, 8, generator=generator) for h, t in sizes)


@pytest.mark.parametrize("past", [0, 1, 60])
@pytest.mark.parametrize("queries", [1, 2, 5, 127, 128, 129, 300])
@pytest.mark.parametrize(("heads", "kv_heads"), [(4, 4), (4, 2), (3, 1)])
def test_it_is_a_masked_softmax(heads: int, kv_heads: int, queries: int, past: int) -> None:
    q, k, v = random_qkv(heads, kv_heads, queries, past)
    assert torch.allclose(causal_attention(q, k, v), explicit(q, k, v), atol=1e-5)


@pytest.mark.parametrize(("queries", "past"), [(5, 0), (129, 0), (5, 3)])
def test_gradients_are_those_of_a_masked_softmax(queries: int, past: int) -> None:
    ours = [t.requires_grad_() for t in random_qkv(4, 2, queries, past)]
    theirs = [t.detach().clone().requires_grad_() for t in ours]
    weights = torch.randn(2, 4, queries, 8, generator=torch.Generator().manual_seed(0))
    (causal_attention(*ours) * weights).sum().backward()  # type: ignore[no-untyped-call]
    (explicit(*theirs) * weights).sum().backward()  # type: ignore[no-untyped-call]
    for a, b in zip(ours, theirs, strict=True):
        assert a.grad is not None
        assert b.grad is not None
        assert torch.allclose(a.grad, b.grad, atol=1e-4)


@pytest.mark.parametrize("queries", [20, 200])
def test_dropout_leaves_the_mean_and_changes_with_the_draw(queries: int) -> None:
    q, k, _ = random_qkv(4, 4, queries, 0)
    v = torch.ones_like(k)
    torch.manual_seed(0)
    first, second = (causal_attention(q, k, v, dropout=0.5) for _ in range(2))
    assert not torch.equal(first, second)
    assert abs(float(first.mean()) - 1) < 0.1


def test_queries_and_keys_have_unit_size_with_qk_norm() -> None:
    def attend(scale: float) -> Tensor:
        torch.manual_seed(0)
        layer = Attention(
            width=16,
            heads=4,
            kv_heads=2,
            head_dim=4,
            bias=False,
            qk_norm=True,
            norm_epsilon=1e-12,
            dropout=0.0,
            rotate=None,
        )
        with torch.no_grad():
            layer.qkv.weight[: (4 + 2) * 4] *= scale  # queries and keys, not values
        return layer(torch.randn(1, 6, 16), None)  # type: ignore[no-any-return]

    assert torch.allclose(attend(1.0), attend(100.0), atol=1e-4)


def test_a_cache_gives_back_all_so_far_and_refuses_more_than_it_holds() -> None:
    cache = LayerCache(torch.empty(1, 2, 4, 3), torch.empty(1, 2, 4, 3))
    keys, values = torch.randn(1, 2, 4, 3), torch.randn(1, 2, 4, 3)
    cache.append(keys[:, :, :3], values[:, :, :3])
    k, v = cache.append(keys[:, :, 3:], values[:, :, 3:])
    assert torch.equal(k, keys)
    assert torch.equal(v, values)
    with pytest.raises(AssertionError, match="full"):
        cache.append(keys[:, :, :1], values[:, :, :1])
