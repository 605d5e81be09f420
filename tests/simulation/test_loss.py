"""The scaling law, against numbers worked out by hand and a search."""

import math

import pytest

from maquette.simulation.loss import CHINCHILLA, loss_after, perplexity


def test_the_law_is_the_published_one() -> None:
    by_hand = 1.8172 + 482.01 / 70e9**0.3478 + 2085.43 / 1.4e12**0.3658
    assert CHINCHILLA.loss(70e9, 1.4e12) == pytest.approx(by_hand)
    assert by_hand == pytest.approx(1.97, abs=0.01)


@pytest.mark.parametrize("flops", [1e18, 5.76e23, 1e26])
def test_the_optimum_is_the_least_loss_of_its_budget(flops: float) -> None:
    parameters, tokens = CHINCHILLA.optimal(flops)
    assert 6 * parameters * tokens == pytest.approx(flops)
    found = min(
        CHINCHILLA.loss(n, flops / 6 / n)
        for n in (parameters * math.exp(x / 100) for x in range(-200, 201))
    )
    assert CHINCHILLA.loss(parameters, tokens) == pytest.approx(found, rel=1e-9)


def test_chinchilla_itself_is_about_optimal() -> None:
    """Besiroglu et al. have about 20 tokens a parameter at its budget, as it was trained."""
    parameters, tokens = CHINCHILLA.optimal(5.76e23)
    assert tokens / parameters == pytest.approx(20, rel=0.35)


def test_a_run_falls_from_its_first_loss_to_its_last() -> None:
    losses = [
        loss_after(seen, total_tokens=1e9, first=11.0, final=2.5)
        for seen in (0, 1e5, 1e6, 1e7, 1e8, 1e9)
    ]
    assert losses[0] == pytest.approx(11.0)
    assert losses[-1] == pytest.approx(2.5)
    assert losses == sorted(losses, reverse=True)
    assert losses[4] < 3.5  # most of it is learned early


def test_perplexity_is_e_to_the_loss() -> None:
    assert perplexity(2.0) == pytest.approx(7.389, abs=1e-3)
    assert perplexity(1e6) == math.inf
