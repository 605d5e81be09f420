"""GPT: a decoder-only transformer.

B batch, T tokens, C channels, V vocabulary.
"""

import math

from torch import Tensor, nn

from maquette.models.attention import Attention, LayerCache
from maquette.models.feedforward import FeedForward
from maquette.models.loss import LOSSES
from maquette.models.norm import NORMS
from maquette.models.positions import POSITIONS, ROTATIONS
from maquette.shapes import GPTShape


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
        return x  # noqa: RET504


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
