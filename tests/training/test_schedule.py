import math
from typing import Any

import pytest

from maquette.training.schedule import learning_rate_factor


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
