"""What a model and its training take: parameters, floating-point operations, bytes.

C width, H heads, K key/value heads, D channels a head, F feed-forward channels, V vocabulary,
T context, L blocks.
"""

from maquette.blueprint.blueprint import Costs, TrainPlan
from maquette.shapes import GPTShape

_FLOAT32 = 4
_CHECKPOINT_EXTRA = 64 * 1024  # headers, counters, manifest


def parameters(shape: GPTShape) -> dict[str, int]:
    """Trained numbers by part; the parts add up to "total". A tied output layer has none."""
    s = shape
    norm = s.width * (2 if s.norm == "layer" and s.bias else 1)
    counts = {
        "token_embedding": s.vocabulary * s.width,
        "position_embedding": s.context * s.width if s.position == "learned" else 0,
        "attention": s.depth * (_attention_matrices(s) + (_attention_biases(s) if s.bias else 0)),
        "feed_forward": s.depth * (_mlp_matrices(s) + (_mlp_biases(s) if s.bias else 0)),
        "norms": (2 * s.depth + 1) * norm,
        "output": 0 if s.tie_embeddings else s.vocabulary * s.width,
    }
    return {**counts, "total": sum(counts.values())}


def flops_per_token(shape: GPTShape) -> int:
    """Operations of the matrix products for one token of training, forward and backward.

    Forward, with two operations (multiply, add) for each weight that a token meets:
        2 L (attention matrices + feed-forward matrices) + 2 V C
        + 2 L * 2 C (T + 1) / 2      scores and their product with the values; a token sees
                                     (T + 1) / 2 others on average, being causal
    Backward takes twice as much, so times 3. Looking up an embedding, norms and bends count
    nothing (Kaplan et al. 2020, arXiv:2001.08361, section 2.1; Chowdhery et al. 2022,
    arXiv:2204.02311, appendix B, which counts the masked half of attention too).
    """
    s = shape
    matrices = s.depth * (_attention_matrices(s) + _mlp_matrices(s)) + s.vocabulary * s.width
    attention = s.depth * 2 * s.heads * s.head_dim * (s.context + 1)
    return 3 * (2 * matrices + attention)


def activations_bytes(shape: GPTShape, windows: int) -> int:
    """Bytes kept between forward and backward for `windows` windows, in float32, uncompiled.

    Numbers a token in each block:
        4 C, rms 6 C     the inputs and outputs of both norms; rms also before its gain
        (H + 2K) D       queries, keys, values as computed; values are read from here
        (H + K) D        queries and keys once more, when normalised or rotated
        2 H D + H        attention's result, its copy for the next product, its log-sum-exp
        2 F, swiglu 4 F  before and after the bend
        C / 2            dropout's masks of one byte, if there is dropout,
        2 H T            and then attention's probabilities before and after it
    and once: the last norm, C at the start, and V logits where the vocabulary is at most 4 C (a
    larger one is computed in parts). Within 15 % of what autograd keeps; bf16 takes about half.
    """
    s = shape
    query, kv = s.heads * s.head_dim, s.kv_heads * s.head_dim
    norm = (3 if s.norm == "rms" else 2) * s.width
    block = 2 * norm + (query + 2 * kv) + 2 * query + s.heads
    block += query + kv if s.qk_norm or s.position == "rope" else 0
    block += s.hidden * (4 if s.mlp == "swiglu" else 2)
    block += s.width // 2 + 2 * s.heads * s.context if s.dropout else 0
    once = norm + s.width + (s.vocabulary if s.vocabulary <= 4 * s.width else 0)
    return _FLOAT32 * windows * s.context * (s.depth * block + once)


def costs(shape: GPTShape, train: TrainPlan) -> Costs:
    """What the run takes; Muon has the matrices of the blocks."""
    return costs_of_run(
        train,
        parameters=parameters(shape)["total"],
        matrices=block_matrices(shape),
        flops_per_token=flops_per_token(shape),
        activations_bytes=activations_bytes(shape, train.batch_size // train.accumulation),
    )


def costs_of_run(
    train: TrainPlan,
    *,
    parameters: int,
    matrices: int,
    flops_per_token: int,
    activations_bytes: int,
) -> Costs:
    """What a run takes by what its model takes. Weights, gradients and optimizer are float32."""
    state = optimizer_numbers(
        parameters, matrices, muon=train.optimizer.kind == "muon", averaged=train.average > 0
    )
    return Costs(
        flops_per_token=flops_per_token,
        flops=flops_per_token * train.tokens,
        weights_bytes=_FLOAT32 * parameters,
        gradients_bytes=_FLOAT32 * parameters,
        optimizer_bytes=_FLOAT32 * state,
        activations_bytes=activations_bytes,
        checkpoint_bytes=_FLOAT32 * (parameters + state) + _CHECKPOINT_EXTRA,
    )


def block_matrices(shape: GPTShape) -> int:
    """Weights in the matrices of the blocks."""
    return shape.depth * (_attention_matrices(shape) + _mlp_matrices(shape))


def optimizer_numbers(parameters: int, matrices: int, *, muon: bool, averaged: bool) -> int:
    """Numbers that the optimizer keeps, and the average of the weights, where there is one.

    AdamW keeps two numbers a parameter; Muon keeps one for each weight of `matrices` and leaves
    the rest to AdamW. Averaging the weights takes one number more for each.
    """
    return 2 * parameters - (matrices if muon else 0) + (parameters if averaged else 0)


def _attention_matrices(s: GPTShape) -> int:
    return s.width * s.head_dim * (s.heads + 2 * s.kv_heads) + s.heads * s.head_dim * s.width


def _attention_biases(s: GPTShape) -> int:
    return s.head_dim * (s.heads + 2 * s.kv_heads) + s.width


def _mlp_matrices(s: GPTShape) -> int:
    return (3 if s.mlp == "swiglu" else 2) * s.width * s.hidden


def _mlp_biases(s: GPTShape) -> int:
    return (2 if s.mlp == "swiglu" else 1) * s.hidden + s.width
