import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from maquette.blueprint.resolve import resolve
from maquette.facts import DataFacts, SplitFacts
from maquette.models.gpt import GPT
from maquette.models.loss import IGNORE
from maquette.shapes import GPTShape
from maquette.spec.load import load_spec
from maquette.spec.task import language
from tests.models.small import GPT2, LLAMA, ODD, SHAPES, small_model
from tests.presets import LANGUAGE


def ids(batch: int, length: int, vocabulary: int = 64) -> Tensor:
    generator = torch.Generator().manual_seed(length)
    return torch.randint(vocabulary, (batch, length), generator=generator)


def logits_of(model: GPT, tokens: Tensor, **how: Any) -> Tensor:
    logits, loss = model(tokens, **how)
    assert logits is not None
    assert loss is None
    return logits  # type: ignore[no-any-return]


def loss_of(model: GPT, tokens: Tensor, targets: Tensor) -> Tensor:
    logits, loss = model(tokens, targets)
    assert logits is None
    assert loss is not None
    return loss  # type: ignore[no-any-return]


@torch.no_grad()
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize(
    ("length", "changed"), [(16, 0), (16, 7), (16, 15), (200, 127), (200, 150)]
)
def test_no_position_sees_the_future(shape: GPTShape, length: int, changed: int) -> None:
    model = small_model(shape, context=length)
    tokens = ids(2, length)
    other = tokens.clone()
    other[:, changed] = (other[:, changed] + 1) % 64
    before, after = logits_of(model, tokens), logits_of(model, other)
    assert torch.equal(before[:, :changed], after[:, :changed])
    assert (before[:, changed:] != after[:, changed:]).any(-1).all()


@torch.no_grad()
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("parts", [[16], [1] * 16, [5, 1, 1, 9], [15, 1]])
def test_a_cache_changes_no_logits(shape: GPTShape, parts: list[int]) -> None:
    model = small_model(shape)
    tokens = ids(3, 16)
    cache = model.new_cache(3)
    logits = torch.cat(
        [logits_of(model, part, cache=cache) for part in torch.split(tokens, parts, dim=1)], dim=1
    )
    assert torch.allclose(logits, logits_of(model, tokens), atol=1e-4)
    assert all(layer.length == 16 for layer in cache)


def test_more_tokens_than_the_context_are_refused() -> None:
    model = small_model()
    with pytest.raises(AssertionError, match="context"):
        model(ids(1, 17))
    cache = model.new_cache(1)
    model(ids(1, 16), cache=cache)
    with pytest.raises(AssertionError, match="context"):
        model(ids(1, 1), cache=cache)


@pytest.mark.parametrize("vocabulary", [64, 129, 1000])  # above 4 x width: computed in parts
@pytest.mark.parametrize("tie", [True, False])
def test_the_loss_is_cross_entropy_of_the_logits(vocabulary: int, tie: bool) -> None:
    model = small_model(scale=1.0, vocabulary=vocabulary, tie_embeddings=tie)
    tokens, targets = ids(3, 16, vocabulary), ids(3, 16, vocabulary).flip(0)
    targets[0, :5] = IGNORE
    targets[2, -1] = IGNORE
    loss = loss_of(model, tokens, targets)
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = {name: p.grad for name, p in model.named_parameters()}
    model.zero_grad()
    logits = logits_of(model, tokens)
    expected = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORE)
    expected.backward()  # type: ignore[no-untyped-call]
    assert torch.allclose(loss, expected, rtol=1e-5)
    for name, p in model.named_parameters():
        found = gradients[name]
        assert found is not None
        assert p.grad is not None
        assert torch.allclose(found, p.grad, rtol=1e-4, atol=1e-6), name


def test_dropout_acts_in_training_only() -> None:
    model, tokens = small_model(dropout=0.3), ids(1, 8)
    assert torch.equal(logits_of(model, tokens), logits_of(model, tokens))
    assert torch.equal(logits_of(model, tokens), logits_of(small_model(), tokens))
    model.train()
    assert not torch.equal(logits_of(model, tokens), logits_of(model, tokens))


@pytest.mark.parametrize("shape", [LLAMA, GPT2, ODD], ids=["llama", "gpt2", "odd"])
def test_tied_weights_are_one_tensor(shape: GPTShape) -> None:
    model = GPT(shape)
    tied = model.output.weight is model.token_embedding.weight
    assert tied == shape.tie_embeddings
    assert ("output.weight" in dict(model.named_parameters())) != tied


@pytest.mark.parametrize("preset", LANGUAGE)
def test_parameters_are_those_of_the_blueprint(preset: str) -> None:
    spec = language(load_spec(preset))
    tokens = 1_000_000
    held_out = SplitFacts(documents=1, tokens=tokens, bytes=tokens)
    vocabulary = getattr(spec.tokenizer, "vocabulary", 256)
    facts = DataFacts(vocabulary, {"text": {"train": held_out, "validation": held_out}})
    blueprint = resolve(spec, facts)
    with torch.device("meta"):  # no memory: some presets are large
        model = GPT(blueprint.shape)
    sizes = {name: p.numel() for name, p in model.named_parameters()}
    expected = dict(blueprint.parameters)
    assert sum(sizes.values()) == expected.pop("total")
    parts = dict.fromkeys(expected, 0)
    for name, size in sizes.items():
        parts["norms" if "norm" in name else next(p for p in parts if p in name)] += size
    assert parts == expected


@pytest.mark.parametrize(("tied", "embedding"), [(False, 0.1), (True, 0.02)])
def test_first_weights_have_their_spread(tied: bool, embedding: float) -> None:
    shape = dataclasses.replace(
        GPT2, depth=3, width=256, hidden=512, head_dim=64, vocabulary=1000, tie_embeddings=tied
    )
    torch.manual_seed(0)
    model = GPT(shape)
    residual = 1 / math.sqrt(2 * 3)
    spreads = {
        "token_embedding": embedding,
        "position_embedding": embedding,
        "attention.qkv": 1 / math.sqrt(3 * 256),
        "attention.output": residual / math.sqrt(3 * 256),
        "feed_forward.input": 1 / math.sqrt(3 * 256),
        "feed_forward.output": residual / math.sqrt(3 * 512),
        "output": embedding if tied else 1 / math.sqrt(3 * 256),
    }
    for name, p in model.state_dict().items():
        if p.ndim == 2:
            part = name.removesuffix(".weight").split(".", 2)
            spread = spreads[part[2] if part[0] == "blocks" else part[0]]
            assert abs(float(p.std()) / spread - 1) < 0.05, name
            assert abs(float(p.mean())) < 0.05 * spread, name
        else:
            assert (p == (0 if name.endswith("bias") else 1)).all(), name


def test_a_new_model_guesses_about_uniformly() -> None:
    torch.manual_seed(0)
    for shape in SHAPES.values():
        loss = loss_of(GPT(shape), ids(8, 16), ids(8, 16).flip(0))
        assert abs(float(loss.detach()) - math.log(64)) < 0.2


def test_logits_and_loss_are_float32_in_bf16_arithmetic() -> None:
    model, tokens = small_model(), ids(2, 8)
    exact = logits_of(model, tokens)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits, loss = logits_of(model, tokens), loss_of(model, tokens, tokens)
    assert logits.dtype == loss.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(logits, exact, dim=-1).min() > 0.99


@pytest.mark.parametrize("vocabulary", [64, 512])  # with all logits, and in parts
def test_where_no_target_counts_the_loss_is_nothing(vocabulary: int) -> None:
    model = small_model(LLAMA, vocabulary=vocabulary)
    tokens = ids(2, 16)
    loss = loss_of(model, tokens, torch.full_like(tokens, IGNORE))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0.0
    gradients = [p.grad for p in model.parameters()]
    assert all(g is not None and not g.any() for g in gradients)
