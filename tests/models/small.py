"""A shape and a model small enough for a test."""

import dataclasses
from typing import Any

import torch

from maquette.models.gpt import GPT
from maquette.shapes import GPTShape

LLAMA = GPTShape(
    vocabulary=64,
    context=16,
    depth=2,
    width=32,
    heads=4,
    kv_heads=4,
    head_dim=8,
    hidden=64,
    position="rope",
    norm="rms",
    mlp="swiglu",
    qk_norm=False,
    bias=False,
    tie_embeddings=True,
    dropout=0.0,
    rope_base=10000.0,
    norm_epsilon=1e-5,
)
GPT2 = dataclasses.replace(LLAMA, position="learned", norm="layer", mlp="gelu", bias=True)
ODD = dataclasses.replace(LLAMA, kv_heads=2, qk_norm=True, mlp="relu2", tie_embeddings=False)

SHAPES = {
    "llama": LLAMA,
    "grouped": dataclasses.replace(LLAMA, kv_heads=2),
    "multi-query": dataclasses.replace(LLAMA, kv_heads=1, position="learned"),
    "gpt2": GPT2,
    "odd": ODD,
}


def small_model(shape: GPTShape = LLAMA, *, scale: float = 3.0, **changes: Any) -> GPT:
    """A model in eval mode. Its weights are larger than first weights: its choices are clear."""
    model = GPT(dataclasses.replace(shape, **changes))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            if p.ndim == 2:
                p.copy_(scale * noise / p.size(-1) ** 0.5)
            else:
                p.copy_(0.3 * noise + (0 if name.endswith("bias") else 1))
    return model.eval()
