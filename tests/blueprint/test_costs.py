import dataclasses

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from maquette.blueprint import costs
from maquette.blueprint.resolve import resolve
from maquette.facts import DataFacts, SplitFacts
from maquette.models.gpt import GPT
from maquette.shapes import GPTShape
from maquette.spec.load import load_spec
from maquette.spec.task import language
from tests.presets import LANGUAGE

TINY = GPTShape(
    vocabulary=300,
    context=16,
    depth=2,
    width=32,
    heads=4,
    kv_heads=2,
    head_dim=8,
    hidden=48,
    position="rope",
    norm="rms",
    mlp="swiglu",
    qk_norm=False,
    bias=False,
    tie_embeddings=False,
    dropout=0.0,
    rope_base=10000.0,
    norm_epsilon=1e-5,
)

VARIANTS = [
    TINY,
    dataclasses.replace(TINY, norm="layer", bias=True, position="learned", mlp="gelu"),
    dataclasses.replace(TINY, norm="layer", position="learned", tie_embeddings=True),
    dataclasses.replace(TINY, bias=True, mlp="relu2", qk_norm=True, kv_heads=4),
    dataclasses.replace(TINY, depth=1, heads=2, kv_heads=1, head_dim=16),
]


@pytest.mark.parametrize("shape", VARIANTS)
def test_parameters_are_those_of_the_model(shape: GPTShape) -> None:
    counts = costs.parameters(shape)
    with torch.device("meta"):
        model = GPT(shape)
    assert counts["total"] == sum(p.numel() for p in model.parameters())
    named = dict(model.named_parameters())
    for part, words in {
        "attention": (".attention.",),
        "feed_forward": (".feed_forward.",),
        "norms": ("norm",),
        "token_embedding": ("token_embedding",),
        "position_embedding": ("position_embedding",),
    }.items():
        count = sum(p.numel() for name, p in named.items() if any(w in name for w in words))
        assert counts[part] == count, part


def test_gpt2_has_the_published_parameters() -> None:
    spec = language(load_spec("gpt2"))
    data = SplitFacts(documents=1, tokens=10**9, bytes=4 * 10**9)
    facts = DataFacts(50257, {"text": {"train": data, "validation": data}})
    assert resolve(spec, facts).parameters["total"] == 124_439_808


@pytest.mark.parametrize("name", LANGUAGE)
def test_parameters_of_the_presets(name: str) -> None:
    spec = language(load_spec(name))
    data = SplitFacts(documents=1, tokens=10**7, bytes=10**7)
    splits = {"train": data, "validation": data}
    facts = DataFacts(
        getattr(spec.tokenizer, "vocabulary", 256), dict.fromkeys(spec.data.sources, splits)
    )
    blueprint = resolve(spec, facts)
    with torch.device("meta"):
        model = GPT(blueprint.shape)
    assert sum(p.numel() for p in model.parameters()) == blueprint.parameters["total"]


@pytest.mark.parametrize("shape", VARIANTS)
def test_flops_are_what_torch_counts(shape: GPTShape) -> None:
    model = GPT(dataclasses.replace(shape, vocabulary=64))
    shape = model.shape
    tokens = torch.zeros(1, shape.context, dtype=torch.int64)
    with FlopCounterMode(display=False) as counter:
        model(tokens)
    # torch counts a whole square of scores, and only the forward pass was run.
    triangle = shape.depth * 2 * shape.width * (shape.context + 1)
    square = shape.depth * 4 * shape.width * shape.context
    attention = sum(
        flops for op, flops in counter.get_flop_counts()["Global"].items() if "attention" in str(op)
    )
    expected = costs.flops_per_token(shape) // 3 - triangle + (square if attention else 0)
    assert counter.get_total_flops() == expected * shape.context


def test_flops_worked_out_by_hand() -> None:
    # Two blocks: attention 32 x 8 x (4 + 2 x 2) + 32 x 32, feed-forward 3 x 32 x 48; output
    # 300 x 32.
    matrices = 2 * (2048 + 1024 + 4608) + 9600
    attention = 2 * 2 * 32 * 17
    assert costs.flops_per_token(TINY) == 3 * (2 * matrices + attention)


@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize("shape", VARIANTS)
def test_activations_are_near_what_autograd_keeps(shape: GPTShape, dropout: float) -> None:
    shape = dataclasses.replace(
        shape, width=128, head_dim=128 // shape.heads, hidden=256, context=64, dropout=dropout
    )
    model = GPT(shape)
    own = {t.untyped_storage().data_ptr() for t in [*model.parameters(), *model.buffers()]}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = tensor
        return tensor

    tokens = torch.zeros(2, shape.context, dtype=torch.int64)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(tokens, tokens)
    measured = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    assert costs.activations_bytes(shape, 2) == pytest.approx(measured, rel=0.2)


def test_bytes_of_the_optimizers() -> None:
    data = SplitFacts(documents=1, tokens=10**6, bytes=10**6)
    facts = DataFacts(256, {"stories": {"train": data, "validation": data}})
    adamw = resolve(
        language(load_spec("stories", ["train.optimizer={kind: adamw}", "train.average=0"])), facts
    )
    muon = resolve(language(load_spec("stories", ["train.average=0"])), facts)
    averaged = resolve(language(load_spec("stories", ["train.average=0.9"])), facts)
    total = adamw.parameters["total"]
    matrices = adamw.parameters["attention"] + adamw.parameters["feed_forward"]
    assert adamw.costs.weights_bytes == adamw.costs.gradients_bytes == 4 * total
    assert adamw.costs.optimizer_bytes == 8 * total
    assert muon.costs.optimizer_bytes == 8 * total - 4 * matrices
    assert averaged.costs.optimizer_bytes == muon.costs.optimizer_bytes + 4 * total
    assert muon.costs.checkpoint_bytes - muon.costs.weights_bytes - muon.costs.optimizer_bytes < 1e5
    assert muon.costs.flops == muon.costs.flops_per_token * muon.train.tokens
