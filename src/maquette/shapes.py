"""Shapes: every dimension of a model as a resolved number. Standard library only."""

from dataclasses import dataclass
from typing import Literal

Position = Literal["learned", "rope"]
Norm = Literal["layer", "rms"]
Mlp = Literal["gelu", "swiglu", "relu2"]


@dataclass(frozen=True, slots=True)
class GPTShape:
    """A decoder-only transformer. `blueprint.resolve` computes it; `models.gpt.GPT` obeys it.

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
