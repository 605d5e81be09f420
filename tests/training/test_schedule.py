import itertools
import math
from typing import Any

import pytest

from maquette.training.schedule import extended_factor, learning_rate_factor


def factors(at: list[int], **how: Any) -> list[float]:
    return [learning_rate_factor(step, **how) for step in at]


def test_cosine_falls_along_half_a_wave() -> None:
    found = factors(
        [1, 5, 10, 55, 100],
        kind="cosine",
        steps=100,
        warmup_steps=10,
        decay_steps=90,
        final_fraction=0.1,
    )
    # the middle of the fall, step 55, stands in the middle between 1 and 0.1
    assert found == pytest.approx([0.1, 0.5, 1.0, 0.55, 0.1])
    quarter = learning_rate_factor(
        30, kind="cosine", steps=40, warmup_steps=0, decay_steps=40, final_fraction=0.0
    )
    assert quarter == pytest.approx((1 - math.sqrt(0.5)) / 2)


def test_linear_falls_along_a_line() -> None:
    found = factors(
        [2, 4, 6, 12, 20, 24],
        kind="linear",
        steps=24,
        warmup_steps=4,
        decay_steps=20,
        final_fraction=0.2,
    )
    assert found == pytest.approx([0.5, 1.0, 0.92, 0.68, 0.36, 0.2])


def test_constant_stays() -> None:
    found = factors(
        [1, 2, 3, 1000],
        kind="constant",
        steps=1000,
        warmup_steps=2,
        decay_steps=0,
        final_fraction=0,
    )
    assert found == [0.5, 1.0, 1.0, 1.0]


def test_wsd_is_stable_and_then_falls_along_a_line() -> None:
    found = factors(
        [1, 10, 50, 80, 85, 90, 100],
        kind="wsd",
        steps=100,
        warmup_steps=10,
        decay_steps=20,
        final_fraction=0.0,
    )
    assert found == pytest.approx([0.1, 1.0, 1.0, 1.0, 0.75, 0.5, 0.0])


@pytest.mark.parametrize("kind", ["cosine", "linear", "constant", "wsd"])
@pytest.mark.parametrize("warmup", [0, 1, 10])
def test_every_step_has_a_rate_up_to_the_peak(kind: Any, warmup: int) -> None:
    found = factors(
        list(range(1, 11)),
        kind=kind,
        steps=10,
        warmup_steps=warmup,
        decay_steps=0 if kind == "constant" else 10 - warmup,
        final_fraction=0.1,
    )
    assert all(0.1 <= factor <= 1 for factor in found)
    assert max(found) > 0.9
    assert found == sorted(found[:warmup]) + sorted(found[warmup:], reverse=True)


def test_a_run_made_longer_stays_at_its_last_rate_beyond_its_end() -> None:
    found = learning_rate_factor(
        120, kind="cosine", steps=100, warmup_steps=0, decay_steps=100, final_fraction=0.1
    )
    assert found == pytest.approx(0.1)


@pytest.mark.parametrize("kind", ["cosine", "linear", "constant", "wsd"])
@pytest.mark.parametrize(("warmup", "first"), [(4, 0.0), (0, 1.0)])
def test_before_the_first_step(kind: Any, warmup: int, first: float) -> None:
    decay = 0 if kind == "constant" else 6
    found = learning_rate_factor(
        0, kind=kind, steps=10, warmup_steps=warmup, decay_steps=decay, final_fraction=0.1
    )
    assert found == first


def before(step: int) -> float:
    return step / 1000


def then(step: int) -> float:
    return min(1.0, step / 10)  # a warmup of ten steps


@pytest.mark.parametrize(
    ("how", "factors"),
    [
        ("continue", {99: 0.099, 100: 0.1, 101: 1.0, 120: 1.0}),
        ("rewarm", {99: 0.099, 100: 0.1, 101: 0.19, 105: 0.55, 110: 1.0, 111: 1.0}),
        ("constant", {99: 0.099, 100: 0.1, 101: 0.1, 1000: 0.1}),
    ],
)
def test_another_factor_after_a_step(how: Any, factors: dict[int, float]) -> None:
    found = {
        step: extended_factor(
            step, before=before, after_step=100, how=how, then=then, warmup_steps=10
        )
        for step in factors
    }
    assert found == pytest.approx(factors)


def test_a_warmup_never_falls_below_what_was_reached() -> None:
    found = [
        extended_factor(
            step, before=lambda _: 0.6, after_step=100, how="rewarm", then=then, warmup_steps=10
        )
        for step in range(100, 112)
    ]
    assert found[0] == 0.6
    assert found == sorted(found)
    assert found[-1] == 1.0
    differences = [b - a for a, b in itertools.pairwise(found[:11])]
    assert differences == pytest.approx([0.04] * 10)
