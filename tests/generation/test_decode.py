import random

import numpy as np
import pytest
import torch

from maquette.generation import decode
from maquette.generation.decode import arrange_for_decoding, generate
from maquette.generation.sampling import SamplingOptions
from maquette.models.gpt import GPT
from maquette.shapes import GPTShape
from tests.models.small import LLAMA, SHAPES, small_model

GREEDY = SamplingOptions(temperature=0)
LIVELY = SamplingOptions(1.5, top_k=30, top_p=0.95, min_p=0.001, repetition_penalty=1.2)


def tokens(model: GPT, prompt: list[int], count: int = 50, **how: object) -> list[int]:
    return list(generate(model, prompt, max_new_tokens=count, **how))  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [GREEDY, LIVELY], ids=["greedy", "lively"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("prompt", [1, 7, 16, 40])
def test_the_cache_changes_no_token_even_past_the_context(
    shape: GPTShape, options: SamplingOptions, prompt: int
) -> None:
    model = small_model(shape)
    ids = [(7 * i) % 64 for i in range(prompt)]
    cached = tokens(model, ids, options=options, seed=4)
    assert cached == tokens(model, ids, options=options, seed=4, use_cache=False)
    assert len(cached) == 50
    assert len(set(cached)) > 2  # else it would prove little


@pytest.mark.parametrize("context", [2, 3, 5])
def test_the_smallest_windows_slide(context: int) -> None:
    model = small_model(context=context)
    assert tokens(model, [1], seed=1) == tokens(model, [1], seed=1, use_cache=False)


@torch.no_grad()
def test_tokens_are_those_of_a_plain_loop_with_a_sliding_window() -> None:
    model = small_model()
    window, expected = list(range(20))[-16:], []
    for _ in range(40):
        if len(window) > 16:
            window = window[-8:]
        logits, _ = model(torch.tensor([window]))
        assert logits is not None
        expected.append(int(logits[0, -1].argmax()))
        window.append(expected[-1])
    assert tokens(model, list(range(20)), 40, options=GREEDY) == expected


def test_a_long_prompt_keeps_its_last_part() -> None:
    model = small_model()
    long = [(5 * i) % 64 for i in range(30)]
    assert tokens(model, long, options=GREEDY) == tokens(model, long[-16:], options=GREEDY)


def test_it_ends_before_a_stop_token() -> None:
    model = small_model()
    free = tokens(model, [1, 2], options=LIVELY)
    stop = free[5]
    assert tokens(model, [1, 2], options=LIVELY, stop_tokens=[stop]) == free[: free.index(stop)]


def test_a_penalty_counts_the_prompt_as_seen() -> None:
    model = small_model()
    options = SamplingOptions(temperature=0, repetition_penalty=1e6)
    written = tokens(model, [3, 4], 20, options=options)
    assert len({3, 4, *written}) == 22


def test_the_seed_decides_and_the_global_generators_are_left_alone() -> None:
    model = small_model(dropout=0.5)
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1]  # type: ignore[index]
    first = tokens(model, [1], seed=1)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert np.array_equal(np.random.get_state()[1], states[2])  # type: ignore[index]
    torch.manual_seed(77)
    assert tokens(model, [1], seed=1) == first
    assert tokens(model, [1], seed=2) != first


def test_it_streams_and_leaves_modes_alone_between_tokens() -> None:
    model = small_model(dropout=0.5)
    expected = tokens(model, [1], 10, seed=1)
    model.train()
    stream = generate(model, [1], max_new_tokens=10, seed=1)
    written = []
    for token in stream:
        written.append(token)
        assert model.training
        assert all(module.training for module in model.modules())
        assert not torch.is_inference_mode_enabled()
        assert torch.is_grad_enabled()
    assert written == expected
    stream = generate(model, [1], max_new_tokens=10)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert model.training


def test_an_error_inside_leaves_training_mode_alone() -> None:
    model = small_model().train()
    with torch.no_grad():
        model.get_parameter("norm.weight").fill_(torch.nan)
    with pytest.raises(FloatingPointError):
        tokens(model, [1])
    assert model.training


def test_gradients_still_work_after_generation() -> None:
    model = small_model()
    tokens(model, [1, 2], 5)
    _, loss = model(torch.tensor([[1, 2]]), torch.tensor([[2, 3]]))
    loss.backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("prompt", [[], [64], [-1]])
def test_a_prompt_that_cannot_be_read_is_refused_at_once(prompt: list[int]) -> None:
    with pytest.raises(ValueError, match="prompt"):
        generate(small_model(), prompt, max_new_tokens=1)


@pytest.mark.parametrize("tie", [True, False])
def test_arranged_weights_have_the_same_values(tie: bool) -> None:
    model = small_model(LLAMA, tie_embeddings=tie)
    before = {name: p.clone() for name, p in model.named_parameters()}
    expected = tokens(model, [1], options=GREEDY)
    arrange_for_decoding(model)
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    assert (model.output.weight is model.token_embedding.weight) == tie
    assert tokens(model, [1], options=GREEDY) == expected


def test_the_number_of_threads_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = [3]
    monkeypatch.setattr(torch, "get_num_threads", lambda: counts[-1])
    monkeypatch.setattr(torch, "set_num_threads", counts.append)
    stream = generate(small_model(), [1], max_new_tokens=2)
    next(stream)
    assert counts == [3, 1, 3]
    assert len(list(stream)) == 1
    monkeypatch.setattr(decode, "SHARED_WORK", 0)
    counts[:] = [3]
    tokens(small_model(), [1], 5)
    assert counts == [3]
