"""The model: a GPT of 3,213,568 parameters.

Made by `maquette eject` (maquette 0.1.0) from the spec fast; blueprint 22a45636cf069141.
"""

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from errors import CheckpointError

Position = Literal["learned", "rope"]
Norm = Literal["layer", "rms"]
Mlp = Literal["gelu", "swiglu", "relu2"]


@dataclass(frozen=True, slots=True)
class GPTShape:
    """A decoder-only transformer: the numbers that a `GPT` obeys.

    `vocabulary` token ids, `context` tokens a window, `depth` blocks of `width` channels,
    `heads` query heads of `head_dim` channels sharing `kv_heads` key/value heads, and a
    feed-forward of `hidden` channels.
    """

    vocabulary: int
    context: int
    depth: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    hidden: int
    position: Position
    norm: Norm
    mlp: Mlp
    qk_norm: bool
    bias: bool
    tie_embeddings: bool
    dropout: float
    rope_base: float
    norm_epsilon: float


# Causal self-attention, multi-head and grouped-query.
#
# B batch, T tokens, C channels, H query heads, K key/value heads, D channels a head,
# S keys: the T new ones after those of the cache.

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
        B, T, _ = x.shape
        H, K, D = self.heads, self.kv_heads, self.head_dim
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


def relu2(x: Tensor) -> Tensor:
    """Squared ReLU (So et al. 2021, arXiv:2109.08668), cheap and sparse."""
    h = F.relu(x)
    return h * h  # not square(): its gradient takes three passes more


BENDS: dict[Mlp, tuple[Callable[[Tensor], Tensor], int]] = {
    "relu2": (relu2, 1),
}
"""Each bend, and how many times `hidden` channels it takes to give `hidden`."""


class FeedForward(nn.Module):
    """(B, T, width) -> (B, T, width) through `hidden` channels."""

    def __init__(self, *, width: int, hidden: int, kind: Mlp, bias: bool) -> None:
        super().__init__()
        self.bend, inputs = BENDS[kind]
        self.input = nn.Linear(width, inputs * hidden, bias=bias)
        self.output = nn.Linear(hidden, width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        y: Tensor = self.output(self.bend(self.input(x)))
        return y


IGNORE = -100
"""A target that doesn't count."""


def whole_cross_entropy(x: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy in nats of softmax(x weightT), x (N, C), weight (V, C), targets (N,).

    Targets equal to IGNORE don't count; where none does, the loss is 0.
    """
    loss = F.cross_entropy(F.linear(x, weight).float(), targets, ignore_index=IGNORE)
    return torch.where((targets == IGNORE).all(), loss.new_zeros(()), loss)


LOSSES: dict[bool, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    False: whole_cross_entropy,
}
"""By whether the vocabulary is large, so that all logits would take most of the memory."""


def layer_norm(width: int, epsilon: float, bias: bool) -> nn.Module:
    """LayerNorm (Ba et al. 2016, arXiv:1607.06450)."""
    return nn.LayerNorm(width, eps=epsilon, bias=bias)


NORMS: dict[Norm, Callable[[int, float, bool], nn.Module]] = {
    "layer": layer_norm,
}


# Rotary position embedding (Su et al. 2021, arXiv:2104.09864).


class RotaryPositions(nn.Module):
    """Tells attention where tokens stand, by how far queries and keys are turned."""

    cosines: Tensor
    sines: Tensor

    def __init__(self, *, positions: int, head_dim: int, base: float) -> None:
        super().__init__()
        cosines, sines = rotary_table(positions, head_dim, base)
        self.register_buffer("cosines", cosines, persistent=False)
        self.register_buffer("sines", sines, persistent=False)

    def forward(self, x: Tensor, where: slice | Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Embeddings (B, T, C) as they are, and the rows of the table for attention.

        `where` the tokens stand: a slice of positions, or those of each sequence, (B, T).
        """
        # (1, T, D) or (B, 1, T, D): the same for every head
        return x, (self.cosines[where].unsqueeze(-3), self.sines[where].unsqueeze(-3))


def rotary_table(positions: int, head_dim: int, base: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines of every position's angles, each (positions, head_dim).

    Channel i and channel i + head_dim/2 form a pair that turns by position * base^(-2i/head_dim):
    the half-rotation layout of Llama, in which each angle stands twice in a row of the table.
    """
    exponent = torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim
    angles = torch.outer(torch.arange(positions, dtype=torch.float32), base**-exponent)
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Turn each channel pair of queries or keys: x (B, H, T, D), table rows (T, D)."""
    first, second = x.chunk(2, dim=-1)
    turned = torch.cat((-second, first), dim=-1)
    return (x * cosines + turned * sines).to(x.dtype)


def rope(shape: GPTShape) -> nn.Module:
    """An angle for each place."""
    return RotaryPositions(positions=shape.context, head_dim=shape.head_dim, base=shape.rope_base)


POSITIONS: dict[Position, Callable[[GPTShape], nn.Module]] = {
    "rope": rope,
}
ROTATIONS: dict[Position, Callable[[Tensor, Tensor, Tensor], Tensor] | None] = {
    "rope": rotate,
}


# GPT: a decoder-only transformer.
#
# B batch, T tokens, C channels, V vocabulary.


class Block(nn.Module):
    """Pre-norm block: x + attention(norm(x)), then x + feed_forward(norm(x))."""

    def __init__(self, shape: GPTShape) -> None:
        super().__init__()
        s = shape
        self.attention_norm = NORMS[s.norm](s.width, s.norm_epsilon, s.bias)
        self.attention = Attention(
            width=s.width,
            heads=s.heads,
            kv_heads=s.kv_heads,
            head_dim=s.head_dim,
            bias=s.bias,
            qk_norm=s.qk_norm,
            norm_epsilon=s.norm_epsilon,
            dropout=s.dropout,
            rotate=ROTATIONS[s.position],
        )
        self.feed_forward_norm = NORMS[s.norm](s.width, s.norm_epsilon, s.bias)
        self.feed_forward = FeedForward(width=s.width, hidden=s.hidden, kind=s.mlp, bias=s.bias)
        self.dropout = nn.Dropout(s.dropout)

    def forward(
        self, x: Tensor, rotary: tuple[Tensor, Tensor] | None, cache: LayerCache | None = None
    ) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        x = x + self.dropout(self.attention(self.attention_norm(x), rotary, cache))
        x = x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
        return x


class GPT(nn.Module):
    """Token ids to logits, and to the loss where targets are given."""

    def __init__(self, shape: GPTShape) -> None:
        super().__init__()
        self.shape = shape
        self.token_embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.position_embedding = POSITIONS[shape.position](shape)
        self.dropout = nn.Dropout(shape.dropout)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.depth))
        self.norm = NORMS[shape.norm](shape.width, shape.norm_epsilon, shape.bias)
        self.output = nn.Linear(shape.width, shape.vocabulary, bias=False)
        if shape.tie_embeddings:
            self.output.weight = self.token_embedding.weight
        initialise(self, depth=shape.depth, tied=shape.tie_embeddings)

    def forward(
        self, tokens: Tensor, targets: Tensor | None = None, cache: list[LayerCache] | None = None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Tokens (B, T) -> logits (B, T, V), or with targets (B, T) only the mean loss.

        With a cache the tokens continue those that it holds. Targets equal to IGNORE don't count;
        where none does, the loss is 0. Logits and loss are float32.
        """
        x = self.features(tokens, cache)
        if targets is None:
            return self.output(x).float(), None
        return None, self._loss(x, targets)

    def features(self, tokens: Tensor, cache: list[LayerCache] | None = None) -> Tensor:
        """Tokens (B, T) -> what the output layer reads, (B, T, C)."""
        start = cache[0].length if cache else 0
        stop = start + tokens.size(1)
        assert stop <= self.shape.context, "more tokens than the context holds"
        x, rotary = self.position_embedding(self.token_embedding(tokens), slice(start, stop))
        x = self.dropout(x)
        for i, block in enumerate(self.blocks):
            x = block(x, rotary, cache[i] if cache else None)
        features: Tensor = self.norm(x)
        return features

    def new_cache(self, batch: int) -> list[LayerCache]:
        """An empty cache for `batch` sequences of up to `context` tokens, on the model's device."""
        s, weight = self.shape, self.token_embedding.weight
        size = (batch, s.kv_heads, s.context, s.head_dim)
        return [LayerCache(weight.new_empty(size), weight.new_empty(size)) for _ in range(s.depth)]

    def _loss(self, x: Tensor, targets: Tensor) -> Tensor:
        """Mean cross entropy in nats, without full logits where the vocabulary is large."""
        loss = LOSSES[self.shape.vocabulary > 4 * self.shape.width]
        return loss(x.flatten(0, 1), self.output.weight, targets.flatten())


def initialise(model: nn.Module, *, depth: int, tied: bool) -> None:
    """Draw a GPT's first weights from the global generator.

    Matrices: normal with variance 1 / (3 fan_in), which keeps activations in scale at any width
    and is GPT-2's 0.02 at its width of 768. Those that write to the residual stream are divided
    by sqrt(2 depth), since 2 x depth of them add up there (Radford et al. 2019). Embeddings: 0.1,
    not the published 0.02, so that tokens stay apart while they are pulled towards what their kind
    has in common, and can be copied; and not 1, which AdamW takes thousands of steps to turn
    (measured on a small Llama: after 200 steps the loss is 1.6 from 0.02 and 0.1, 1.8 from 0.3, 2.1
    from 1). 0.02 where the output layer is tied, so that it begins near a uniform guess. Biases 0,
    gains 1.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            spread = 1 / math.sqrt(3 * module.in_features)
            if name.endswith((".attention.output", ".feed_forward.output")):
                spread /= math.sqrt(2 * depth)
            nn.init.normal_(module.weight, std=spread)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in model.modules():  # after the linears: a tied output layer is an embedding
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02 if tied else 0.1)


# Weights in a file that torch alone reads; loading one runs no code.


def save_model(file: Path, model: nn.Module) -> None:
    """Write a model's weights."""
    write_file(file, model.state_dict())


def load_model(file: Path, model: nn.Module) -> None:
    """Read a model's weights. Raises CheckpointError."""
    fill(model, read_file(file), file)


def write_file(file: Path, value: dict[str, Any]) -> None:
    """Write tensors and plain values, and then give the file its name. Raises CheckpointError."""
    unfinished = file.with_name(f"{file.name}.unfinished")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.save(value, unfinished)
        unfinished.replace(file)
    except (OSError, RuntimeError) as error:  # torch makes the latter of a full disk
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        hint = "is there room, and may you write there?"
        raise CheckpointError(f"{file} can't be written: {error}", hint=hint) from None


def read_file(file: Path) -> dict[str, Any]:
    """What `write_file` wrote. Raises CheckpointError."""
    try:
        content: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{file}: no such file", hint="a training writes weights") from None
    except Exception as error:  # pickle, zipfile and torch have errors of their own
        raise CheckpointError(f"{file} can't be read: {error}") from None
    return content


def fill(model: nn.Module, weights: dict[str, Tensor], file: Path) -> None:
    """Copy the weights in a file into a model. Raises CheckpointError."""
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"{file} is of another model: {error}") from None


SHAPE = GPTShape(
    vocabulary=256,
    context=256,
    depth=4,
    width=256,
    heads=4,
    kv_heads=4,
    head_dim=64,
    hidden=1024,
    position="rope",
    norm="layer",
    mlp="relu2",
    qk_norm=True,
    bias=False,
    tie_embeddings=True,
    dropout=0.0,
    rope_base=10000.0,
    norm_epsilon=1e-05,
)

HERE = Path(__file__).parent
OUT = HERE / "out"
"""Where the training writes."""
WEIGHTS = max((OUT / "weights.pt", HERE / "weights.pt"), key=Path.exists)
"""The weights to use: those of the training here, or else those that came with the project."""
