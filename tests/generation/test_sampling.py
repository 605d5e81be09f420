import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import Tensor

from maquette.generation.sampling import (
    SamplingOptions,
    draw,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    next_token,
    penalise_repetition,
)

LOGITS = torch.tensor([0.5, 0.1, 0.25, 0.05, 0.1]).log()  # their probabilities


def kept(logits: Tensor) -> list[int]:
    return logits.isfinite().nonzero().flatten().tolist()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def frequencies(options: SamplingOptions, draws: int = 4000) -> Tensor:
    source = generator(1)
    counts = torch.zeros(5)
    for _ in range(draws):
        counts[next_token(LOGITS, options, source)] += 1
    return counts / draws


def test_top_k_keeps_the_likeliest_and_the_equals_of_the_last() -> None:
    assert kept(keep_top_k(LOGITS, 1)) == [0]
    assert kept(keep_top_k(LOGITS, 2)) == [0, 2]
    assert kept(keep_top_k(LOGITS, 3)) == [0, 1, 2, 4]
    assert kept(keep_top_k(LOGITS, 5)) == kept(keep_top_k(LOGITS, 500)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("p", "expected"),
    [(0.01, [0]), (0.49, [0]), (0.51, [0, 2]), (0.74, [0, 2]), (0.8, [0, 1, 2]), (1.0, range(5))],
)
def test_top_p_keeps_the_fewest_that_reach_it(p: float, expected: list[int]) -> None:
    assert kept(keep_top_p(LOGITS, p)) == list(expected)


def test_min_p_is_a_share_of_the_likeliest() -> None:
    assert kept(keep_min_p(LOGITS, 0.49)) == [0, 2]
    assert kept(keep_min_p(LOGITS, 0.15)) == [0, 1, 2, 4]
    assert kept(keep_min_p(LOGITS, 1.0)) == [0]


def test_kept_logits_are_left_as_they_were() -> None:
    for result in (keep_top_k(LOGITS, 2), keep_top_p(LOGITS, 0.6), keep_min_p(LOGITS, 0.3)):
        assert torch.equal(result[[0, 2]], LOGITS[[0, 2]])


def test_repetition_penalty_lowers_what_was_seen_whatever_its_sign() -> None:
    logits = torch.tensor([2.0, -2.0, 2.0, -2.0])
    seen = torch.tensor([True, True, False, False])
    assert penalise_repetition(logits, seen, 2.0).tolist() == [1.0, -4.0, 2.0, -2.0]
    options = SamplingOptions(temperature=0, repetition_penalty=2.0)
    assert next_token(logits, options, generator(), seen=seen) == 2
    assert next_token(logits, options, generator()) == 0


def test_temperature_0_takes_the_likeliest_the_lowest_of_equals_and_no_chance() -> None:
    source = generator()
    before = source.get_state()
    assert next_token(LOGITS, SamplingOptions(temperature=0), source) == 0
    assert next_token(torch.zeros(1000), SamplingOptions(temperature=0), source) == 0
    tied = torch.zeros(1000)
    tied[[300, 700]] = 1.0
    assert next_token(tied, SamplingOptions(temperature=0), source) == 300
    assert torch.equal(source.get_state(), before)


def test_a_tiny_temperature_does_not_overflow() -> None:
    assert next_token(LOGITS * 1e6, SamplingOptions(temperature=1e-30), generator()) == 0


def test_draws_follow_the_probabilities() -> None:
    expected = LOGITS.exp()
    assert frequencies(SamplingOptions()).sub(expected).abs().max() < 0.03
    hot = (LOGITS / 2).softmax(-1)
    assert frequencies(SamplingOptions(temperature=2.0)).sub(hot).abs().max() < 0.03
    chosen = frequencies(SamplingOptions(top_k=2))
    assert chosen.sub(torch.tensor([2 / 3, 0, 1 / 3, 0, 0])).abs().max() < 0.03


def test_filters_act_one_after_another_each_on_what_is_left() -> None:
    # of the two that top-k leaves, the first has 2/3: enough for top-p
    assert frequencies(SamplingOptions(top_k=2, top_p=0.6), draws=200)[0] == 1
    assert frequencies(SamplingOptions(top_k=2, top_p=0.7), draws=200)[2] > 0


def test_the_seed_decides() -> None:
    logits = torch.zeros(1000)
    first = [next_token(logits, SamplingOptions(), generator(5)) for _ in range(3)]
    assert len(set(first)) == 1
    assert next_token(logits, SamplingOptions(), generator(6)) != first[0]


@given(
    arrays.arrays(np.float32, 12, elements=st.floats(-50, 50, width=32)),
    st.floats(0.01, 1),
    st.floats(0, 1),
    st.integers(1, 12),
    st.integers(0, 2**32),
)
def test_a_token_is_always_found_among_those_kept(
    values: np.ndarray, top_p: float, min_p: float, top_k: int, seed: int
) -> None:
    logits = torch.from_numpy(values)
    options = SamplingOptions(0.7, top_k=top_k, top_p=top_p, min_p=min_p)
    token = next_token(logits, options, generator(seed))
    assert logits[token] >= logits.sort(descending=True).values[top_k - 1]
    assert logits[token] >= logits.max() + 0.7 * math.log(max(min_p, 1e-9)) - 1e-3


def test_a_token_of_no_probability_is_never_drawn() -> None:
    logits = torch.tensor([-math.inf, 0.0, -math.inf, 0.0, -math.inf])
    source = generator()
    assert {draw(logits, source) for _ in range(200)} == {1, 3}


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_broken_logits_are_an_error_and_no_token(temperature: float, bad: float) -> None:
    logits = torch.zeros(5)
    logits[3] = bad
    with pytest.raises(FloatingPointError):
        next_token(logits, SamplingOptions(temperature), generator())


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1.0},
        {"temperature": math.nan},
        {"top_k": 0},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"min_p": -0.1},
        {"repetition_penalty": 0.0},
    ],
)
def test_options_out_of_bounds_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SamplingOptions(**wrong)  # type: ignore[arg-type]
