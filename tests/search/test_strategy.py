"""Which trial comes next, and who wins."""

import random
from pathlib import Path
from typing import Any

import pytest

from maquette.search.record import Search
from maquette.search.report import verdict_of, verdict_words
from maquette.search.strategy import Proposal, propose, stages, units
from tests.search.searching import search_of, tried


def draw(spec: dict[str, Any], dice: random.Random, most: int) -> dict[str, Any] | None:
    """A made-up change: the seed is the candidate."""
    return {**spec, "seed": spec["seed"] * 1000 + dice.randrange(1, 1000)}


def play(search: Search, scores: list[float | None]) -> list[Proposal]:
    """Carry a search out with these scores, as they come."""
    proposals = []
    while proposal := propose(search, draw):
        number = len(search.trials)
        proposals.append(proposal)
        tried(
            search,
            proposal.spec,
            scores[number] if number < len(scores) else 2.0,
            candidate=number if proposal.candidate is None else proposal.candidate,
            share=proposal.share,
            confirms=proposal.confirms,
            changes=str(proposal.spec["seed"]),
        )
    return proposals


def test_the_spec_itself_comes_first(tmp_path: Path) -> None:
    for strategy in ("random", "evolution", "halving"):
        search = search_of(tmp_path, strategy=strategy)
        first = propose(search, draw)
        assert first is not None
        assert first.spec == search.spec


def test_random_tries_others_and_confirms_the_best(tmp_path: Path) -> None:
    search = search_of(tmp_path, trials=5)
    proposals = play(search, [1.5, 1.4, None, 1.3, 1.6])
    assert [proposal.confirms for proposal in proposals] == [False] * 5 + [True] * 2
    specs = [proposal.spec for proposal in proposals]
    assert all(specs.count(spec) == 1 for spec in specs[1:3])
    assert (proposals[5].candidate, proposals[6].candidate) == (0, 3)
    assert specs[6] == specs[3]


def test_nothing_is_confirmed_where_the_spec_itself_is_best(tmp_path: Path) -> None:
    search = search_of(tmp_path, trials=3)
    assert len(play(search, [1.0, 1.4, 1.2])) == 3
    best = verdict_of(search)
    assert best is not None
    assert best.is_default
    assert "nothing beats the spec itself" in verdict_words(search)[0]


@pytest.mark.parametrize(
    ("again", "winner"),
    [((1.5, 1.3), 1), ((1.3, 1.5), 0), ((1.4, 1.4), 0), ((None, 1.3), 0), ((1.5, None), 0)],
)
def test_a_winner_has_to_win_twice(
    tmp_path: Path, again: tuple[float | None, float | None], winner: int
) -> None:
    search = search_of(tmp_path, trials=2)
    play(search, [1.5, 1.4, *again])
    best = verdict_of(search)
    assert best is not None
    assert best.number == winner
    said = verdict_words(search)[-1]
    assert ("with both seeds" in said) == (winner == 1)


def test_without_confirmation_one_win_is_enough(tmp_path: Path) -> None:
    search = search_of(tmp_path, trials=2, confirm=False)
    assert len(play(search, [1.5, 1.4])) == 2
    best = verdict_of(search)
    assert best is not None
    assert best.number == 1
    assert "may be luck" in verdict_words(search)[-1]


def test_accuracies_are_better_when_higher(tmp_path: Path) -> None:
    search = search_of(tmp_path, trials=3)
    search.task = "image-classification"
    play(search, [0.5, 0.9, 0.7, 0.5, 0.8])
    best = verdict_of(search)
    assert best is not None
    assert best.number == 1


def test_evolution_changes_what_did_well(tmp_path: Path) -> None:
    search = search_of(tmp_path, trials=20, strategy="evolution", confirm=False)
    scores: list[float | None] = [2.0 - 0.05 * i for i in range(20)]
    proposals = play(search, scores)
    # A child's number goes on with its parent's: see draw().
    generations = [len(str(proposal.spec["seed"])) for proposal in proposals]
    assert max(generations[:6]) <= 3
    assert max(generations) > 6


def test_halving_gives_the_better_half_twice_the_time(tmp_path: Path) -> None:
    search = search_of(tmp_path, trials=12, strategy="halving")
    assert stages(12) == [7, 3, 2]
    scores: list[float | None] = [9.0, 1.7, 1.1, None, 1.3, 1.2, 1.6]  # the spec itself is worst
    proposals = play(search, [*scores, 8.0, 1.1, 1.2, 7.0, 1.0])
    assert [proposal.share for proposal in proposals] == [1] * 7 + [2] * 3 + [4] * 2 + [4] * 2
    assert [proposal.candidate for proposal in proposals[7:]] == [0, 2, 5, 0, 2, 0, 2]
    best = verdict_of(search)
    assert best is not None
    assert best.candidate == 0 or best.share == 4


def test_time_is_shared_out(tmp_path: Path) -> None:
    for trials in range(2, 40):
        assert sum(stages(trials)) == trials
        options = search_of(tmp_path, trials=trials, strategy="halving").options
        assert units(options) >= trials
    assert units(search_of(tmp_path, trials=12).options) == 14
    assert units(search_of(tmp_path, trials=12, confirm=False).options) == 12


def test_the_front(tmp_path: Path) -> None:
    search = search_of(tmp_path)
    for score, parameters, speed in [
        (1.5, 100, 10.0),
        (1.4, 100, 10.0),  # beats the first in all
        (1.6, 90, 10.0),  # smaller
        (1.7, 100, 20.0),  # faster
        (1.8, 100, 15.0),  # beaten by the one before
    ]:
        tried(search, search.spec, score, parameters=parameters, tokens_per_second=speed)
    tried(search, search.spec, 1.0, status="early")
    assert search.front() == {1, 2, 3}
    assert [trial.number for trial in search.ranked()] == [1, 0, 2, 3, 4, 5]


def test_the_same_search_proposes_the_same(tmp_path: Path) -> None:
    for strategy in ("random", "evolution", "halving"):
        runs = []
        for _ in range(2):
            search = search_of(tmp_path, trials=8, strategy=strategy, seed=3)
            runs.append(play(search, [1.5, 1.4, 1.6, 1.2, 1.8, 1.1]))
        assert runs[0] == runs[1]
