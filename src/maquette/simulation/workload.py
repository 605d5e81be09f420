"""What a model asks of a device, as plain numbers: a GPT's or a ConvNeXt's.

C width, H heads and K key/value heads of D channels, F feed-forward channels, V vocabulary,
L blocks. A token is a token of text or one image.
"""

from dataclasses import dataclass
from typing import Literal

from maquette.blueprint import costs, costs_image
from maquette.shapes import ConvNeXtShape, GPTShape

Recompute = Literal["none", "selective", "full"]
_BF16 = 2
SELECTIVE = 0.5  # share of the matrix products that is computed again where half is kept


@dataclass(frozen=True, slots=True)
class Workload:
    """A model in training. Operations are those of the forward pass for one token."""

    kind: Literal["text", "images"]
    parameters: int
    block_parameters: int  # of all blocks
    layers: int
    width: int
    heads: int  # that tensor parallelism can divide; 1 where it can't
    context: int  # tokens a window
    block_flops: float  # matrix products of the blocks
    head_flops: float
    attention_flops: float  # scores and values, the masked half left out
    model_flops: float  # forward and backward, as MFU counts it
    kept_numbers: float  # that all blocks keep a token, without recomputation
    selective_numbers: float
    vocabulary: int  # logits a token


def gpt_workload(shape: GPTShape) -> Workload:
    """A language model. What blocks keep, in numbers a token, with fused attention and norms:

        5 C            inputs of both norms, their outputs, the feed-forward's result
        3 H D          queries before and after they are rotated, attention's result
        3 K D          keys before and after they are rotated, values
        2 F, gated 3 F before and after the bend, and the gate's product

    after Korthikanti et al. 2022, arXiv:2205.05198, section 4.1, less dropout and scores.
    MFU counts the masked half of attention too: 6 a weight + 12 L H D T (Chowdhery et al. 2022,
    arXiv:2204.02311, appendix B).
    """
    s = shape
    matrices = costs.block_matrices(s)
    head = s.vocabulary * s.width
    query, kv = s.heads * s.head_dim, s.kv_heads * s.head_dim
    gates = 3 if s.mlp == "swiglu" else 2
    kept = 5 * s.width + 3 * query + 3 * kv + gates * s.hidden
    products = query + 2 * kv + 2 * s.width + (gates - 1) * s.hidden
    forward = costs.flops_per_token(s) / 3
    return Workload(
        kind="text",
        parameters=costs.parameters(s)["total"],
        block_parameters=matrices,
        layers=s.depth,
        width=s.width,
        heads=s.kv_heads,
        context=s.context,
        block_flops=2.0 * matrices,
        head_flops=2.0 * head,
        attention_flops=forward - 2.0 * (matrices + head),
        model_flops=6.0 * (matrices + head) + 12.0 * s.depth * query * s.context,
        kept_numbers=float(s.depth * kept),
        selective_numbers=float(s.depth * (s.width + query + SELECTIVE * products)),
        vocabulary=s.vocabulary,
    )


def convnext_workload(shape: ConvNeXtShape) -> Workload:
    """An image classifier: an image is its token, and it is trained on one device or DDP."""
    kept = costs_image.activations_bytes(shape, 1) / 4  # counted in float32 there
    flops = costs_image.flops_per_image(shape)
    parameters = costs_image.parameters(shape)["total"]
    return Workload(
        kind="images",
        parameters=parameters,
        block_parameters=parameters,
        layers=sum(shape.depths),
        width=shape.widths[2],
        heads=1,
        context=1,
        block_flops=flops / 3,
        head_flops=0.0,
        attention_flops=0.0,
        model_flops=float(flops),
        kept_numbers=kept,
        selective_numbers=kept,
        vocabulary=0,
    )


def kept_bytes(workload: Workload, recompute: Recompute) -> float:
    """Bytes a token that all blocks keep for the backward pass, in bf16."""
    numbers = {
        "none": workload.kept_numbers,
        "selective": workload.selective_numbers,
        "full": float(workload.layers * workload.width),
    }[recompute]
    return _BF16 * numbers
