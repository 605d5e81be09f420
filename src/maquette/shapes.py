"""Shapes: every dimension of a model as a resolved number. Standard library only."""

from dataclasses import dataclass
from typing import Literal

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


Variant = Literal["atto", "femto", "pico", "nano", "tiny", "small", "base", "large", "xlarge"]

CONVNEXT_VARIANTS: dict[Variant, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "atto": ((2, 2, 6, 2), (40, 80, 160, 320)),
    "femto": ((2, 2, 6, 2), (48, 96, 192, 384)),
    "pico": ((2, 2, 6, 2), (64, 128, 256, 512)),
    "nano": ((2, 2, 8, 2), (80, 160, 320, 640)),
    "tiny": ((3, 3, 9, 3), (96, 192, 384, 768)),
    "small": ((3, 3, 27, 3), (96, 192, 384, 768)),
    "base": ((3, 3, 27, 3), (128, 256, 512, 1024)),
    "large": ((3, 3, 27, 3), (192, 384, 768, 1536)),
    "xlarge": ((3, 3, 27, 3), (256, 512, 1024, 2048)),
}
"""Variant -> blocks and channels of each stage (Liu et al. 2022, arXiv:2201.03545; atto to nano as
in timm)."""


@dataclass(frozen=True, slots=True)
class ConvNeXtShape:
    """A convolutional network for images: the numbers that a `ConvNeXt` obeys.

    Square images of `image_size` pixels and three channels, `classes` to tell apart; `depths`
    blocks of `widths` channels in each stage. The stem cuts the image into patches of `stem_stride`
    pixels. `drop_path` is the chance that the last block is skipped in training; it rises to that
    linearly from 0 at the first. `layer_scale` is each branch's first gain.
    """

    classes: int
    image_size: int
    depths: tuple[int, ...]
    widths: tuple[int, ...]
    stem_stride: int
    drop_path: float
    layer_scale: float
    norm_epsilon: float

    @property
    def smallest_image(self) -> int:
        """Pixels of the smallest image: its map is one pixel in the last stage."""
        return self.stem_stride << (len(self.depths) - 1)
