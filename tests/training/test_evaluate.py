import math
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from maquette.models.loss import IGNORE
from maquette.training.evaluate import Losses, combine, evaluate
from tests.models.small import small_model

CPU = torch.device("cpu")
TOKEN_BYTES = torch.arange(64) % 5


def windows(ignore: bool = False) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    found = []
    for rows in (4, 4, 1):  # the last batch is smaller: it must not count as much
        tokens = torch.randint(64, (rows, 17), generator=generator)
        inputs, targets = tokens[:, :-1], tokens[:, 1:].clone()
        if ignore:
            targets[0, : 3 * rows] = IGNORE
        found.append((inputs, targets))
    return found


def run(model: torch.nn.Module, given: list[tuple[Tensor, Tensor]]) -> Losses:
    return evaluate(model, given, token_bytes=TOKEN_BYTES, device=CPU, autocast=nullcontext())


@pytest.mark.parametrize("ignore", [False, True])
def test_sums_are_those_of_a_plain_loop(ignore: bool) -> None:
    model = small_model()
    nats, tokens, size = 0.0, 0, 0
    for inputs, targets in windows(ignore):
        logits, _ = model(inputs)
        assert logits is not None
        for row, wanted in zip(logits.log_softmax(-1), targets, strict=True):
            for scores, target in zip(row, wanted.tolist(), strict=True):
                if target != IGNORE:
                    nats -= float(scores[target].detach())
                    tokens += 1
                    size += target % 5
    found = run(model, windows(ignore))
    assert found.nats == pytest.approx(nats, rel=1e-5)
    assert (found.tokens, found.bytes) == (tokens, size)


def test_the_batch_size_changes_nothing() -> None:
    model = small_model()
    singles = [
        (inputs[i : i + 1], targets[i : i + 1])
        for inputs, targets in windows(ignore=True)
        for i in range(len(inputs))
    ]
    whole, parts = run(model, windows(ignore=True)), run(model, singles)
    assert parts.nats == pytest.approx(whole.nats, rel=1e-5)
    assert (parts.tokens, parts.bytes) == (whole.tokens, whole.bytes)


def test_dropout_is_off_and_the_mode_comes_back() -> None:
    model = small_model(dropout=0.5).train()
    assert run(model, windows()) == run(model, windows())
    assert run(model, windows()).loss == pytest.approx(run(small_model(), windows()).loss)
    assert model.training
    model.eval()
    run(model, windows())
    assert not model.training


def test_no_gradient_is_kept() -> None:
    model = small_model()
    run(model, windows())
    assert all(p.grad is None for p in model.parameters())


def test_figures_worked_out_by_hand() -> None:
    losses = Losses(nats=100 * math.log(2), tokens=50, bytes=200)
    assert losses.loss == pytest.approx(2 * math.log(2))
    assert losses.perplexity == pytest.approx(4)
    assert losses.bits_per_byte == pytest.approx(0.5)
    assert losses.word_perplexity(6.0) == pytest.approx(8)  # 3 bits a word


def test_figures_that_overflow_are_infinite_and_without_bytes_not_a_number() -> None:
    losses = Losses(nats=1e6, tokens=10, bytes=0)
    assert losses.perplexity == math.inf
    assert math.isnan(losses.bits_per_byte)


def test_torch_too_leaves_out_what_does_not_count() -> None:
    assert F.cross_entropy(torch.zeros(1, 4), torch.tensor([IGNORE])).isnan()


def test_sources_count_by_their_shares_of_the_tokens() -> None:
    parts = {
        "a": Losses(nats=20, tokens=10, bytes=30),
        "b": Losses(nats=300, tokens=100, bytes=100),
    }
    whole = combine(parts, {"a": 0.75, "b": 0.25})
    assert whole.loss == pytest.approx(0.75 * 2 + 0.25 * 3)
    assert whole.bits_per_byte == pytest.approx(2.25 / math.log(2) / (0.75 * 3 + 0.25 * 1))
