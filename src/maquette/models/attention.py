"""Causal self-attention, multi-head and grouped-query.

B batch, T tokens, C channels, H query heads, K key/value heads, D channels a head,
S keys: the T new ones after those of the cache.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BLOCK = 128
"""Queries per block on a CPU. Keys after a block's last query are masked, so they are not even
computed: half of the work for a long window. On other devices the fused kernel does this itself."""

_PRODUCTS_ON_CPU = (torch.bfloat16, torch.float16)
"""Types whose fused kernel on a CPU is 2 to 4 times slower than its own products one by one."""


class LayerCache:
    """Keys and values of one block's past tokens, (B, K, context, D), of which `length` are set.

    `mask` (B, 1, 1, S) is for sequences of different lengths: the keys that each one's query sees.
    """

    mask: Tensor | None = None

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        self.keys = keys
        self.values = values
        self.length = 0

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add T tokens, (B, K, T, D) each, and return all so far, (B, K, S, D) each."""
        end = self.length + keys.size(2)
        assert end <= self.keys.size(2), "the cache is full"
        self.keys[:, :, self.length : end] = keys
        self.values[:, :, self.length : end] = values
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]


def causal_attention(
    q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None, dropout: float = 0.0
) -> Tensor:
    """softmax(q kT / sqrt(D)) v in which a query sees no later key (Vaswani et al. 2017).

    q (B, H, T, D), k and v (B, K, S, D) -> (B, H, T, D). The last query belongs to the last key,
    or where T is 1 a `mask` says which keys are seen.
    """
    queries, past = q.size(2), k.size(2) - q.size(2)
    assert mask is None or queries == 1
    by_products = q.device.type == "cpu" and q.dtype in _PRODUCTS_ON_CPU
    whole = past == 0 and (q.device.type != "cpu" or (queries <= BLOCK and not by_products))
    if queries == 1 or whole:
        return F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=mask,
            is_causal=queries > 1,
            dropout_p=dropout,
            enable_gqa=q.size(1) != k.size(1),
        )
    attend = _by_products if by_products else _fused
    blocks = []
    for start in range(0, queries, BLOCK):
        stop = min(start + BLOCK, queries)
        keys = past + stop
        hidden = torch.ones(stop - start, keys, dtype=torch.bool, device=q.device)
        hidden = hidden.triu(past + start + 1)
        blocks.append(attend(q[:, :, start:stop], k[:, :, :keys], v[:, :, :keys], hidden, dropout))
    return torch.cat(blocks, dim=2) if len(blocks) > 1 else blocks[0]


def _fused(q: Tensor, k: Tensor, v: Tensor, hidden: Tensor, dropout: float) -> Tensor:
    return F.scaled_dot_product_attention(
        q, k, v, attn_mask=~hidden, dropout_p=dropout, enable_gqa=q.size(1) != k.size(1)
    )


def _by_products(q: Tensor, k: Tensor, v: Tensor, hidden: Tensor, dropout: float) -> Tensor:
    if q.size(1) != k.size(1):
        k, v = (x.repeat_interleave(q.size(1) // k.size(1), dim=1) for x in (k, v))
    mask = torch.zeros_like(hidden, dtype=q.dtype).masked_fill(hidden, -torch.inf)
    scores = (q / math.sqrt(q.size(3))) @ k.mT + mask  # (B, H, T, S)
    return F.dropout(scores.softmax(dim=-1), dropout) @ v


class Attention(nn.Module):
    """Self-attention over a (B, T, C) sequence; query heads share key/value heads in groups.

    Grouped-query attention: Ainslie et al. 2023, arXiv:2305.13245. `qk_norm` gives queries and
    keys unit RMS a head (Henry et al. 2020, arXiv:2010.04245), which bounds the scores. `rotate`
    turns them by where they stand.
    """

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        kv_heads: int,
        head_dim: int,
        bias: bool,
        qk_norm: bool,
        norm_epsilon: float,
        dropout: float,
        rotate: Callable[[Tensor, Tensor, Tensor], Tensor] | None,
    ) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, head_dim
        self.qk_norm, self.norm_epsilon = qk_norm, norm_epsilon
        self.dropout = dropout
        self.rotate = rotate
        self.qkv = nn.Linear(width, (heads + 2 * kv_heads) * head_dim, bias=bias)
        self.output = nn.Linear(heads * head_dim, width, bias=bias)

    def forward(
        self, x: Tensor, rotary: tuple[Tensor, Tensor] | None, cache: LayerCache | None = None
    ) -> Tensor:
        """(B, T, C) -> (B, T, C); `rotary` holds the table rows of these T positions."""
        B, T, _ = x.shape  # noqa: N806
        H, K, D = self.heads, self.kv_heads, self.head_dim  # noqa: N806
        qkv = self.qkv(x).view(B, T, H + 2 * K, D).transpose(1, 2)  # (B, H + 2K, T, D)
        qk, v = qkv.split((H + K, K), dim=1)  # queries and keys together: half as many calls
        if self.qk_norm:
            qk = F.rms_norm(qk, (D,), eps=self.norm_epsilon)
        if self.rotate is not None:
            assert rotary is not None
            qk = self.rotate(qk, *rotary)
        q, k = qk.split((H, K), dim=1)
        mask = None
        if cache is not None:
            k, v = cache.append(k, v)
            mask = cache.mask
        dropout = self.dropout if self.training else 0.0
        mixed = causal_attention(q, k, v, mask=mask, dropout=dropout)
        y: Tensor = self.output(mixed.transpose(1, 2).reshape(B, T, H * D))
        return y
