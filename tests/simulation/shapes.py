"""Well-known shapes, for figures that are known."""

from maquette.shapes import GPTShape

_COMMON = {
    "position": "rope",
    "norm": "rms",
    "mlp": "swiglu",
    "qk_norm": False,
    "bias": False,
    "tie_embeddings": False,
    "dropout": 0.0,
    "rope_base": 500000.0,
    "norm_epsilon": 1e-5,
}


def llama3_8b(context: int = 8192) -> GPTShape:
    """Llama 3 8B (Grattafiori et al. 2024, arXiv:2407.21783, table 3)."""
    return _shape(32, 4096, 32, 14336, context)


def llama3_405b(context: int = 8192) -> GPTShape:
    """Llama 3 405B, of the same table."""
    return _shape(126, 16384, 128, 53248, context)


def _shape(depth: int, width: int, heads: int, hidden: int, context: int) -> GPTShape:
    return GPTShape(
        vocabulary=128256,
        context=context,
        depth=depth,
        width=width,
        heads=heads,
        kv_heads=8,
        head_dim=width // heads,
        hidden=hidden,
        **_COMMON,  # type: ignore[arg-type]
    )
