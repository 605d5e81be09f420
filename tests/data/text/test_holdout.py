import random

import pytest

from maquette.data.text.holdout import FEW_DOCUMENTS, ContentHash, Survey
from maquette.errors import DataError


def place(text: str, seed: int = 0) -> float:
    content = ContentHash(seed)
    content.update(text)
    return content.place()


def survey(documents: list[tuple[float, int]], fraction: float) -> list[int]:
    result = Survey(fraction)
    for where, characters in documents:
        result.add(where, characters)
    return list(result.flags("here"))


def test_places_depend_on_text_and_seed_alone() -> None:
    parts = ContentHash(7)
    for part in ("ab", "", "c"):
        parts.update(part)
    assert parts.place() == place("abc", 7) != place("abc", 8)
    assert place("abc", 7) != place("abd", 7)


def test_places_are_spread_evenly() -> None:
    below = sum(place(str(i)) < 0.1 for i in range(5000)) / 5000
    assert 0.08 < below < 0.12


def test_hash_decides_where_it_gives_about_the_share() -> None:
    assert survey([(0.05, 10), (0.5, 40), (0.9, 50)], 0.1) == [1, 0, 0]


def test_the_same_document_stays_on_its_side_when_others_come() -> None:
    texts = [f"document {i}" for i in range(400)]
    few = survey([(place(t), len(t)) for t in texts[:200]], 0.2)
    all_of_them = survey([(place(t), len(t)) for t in texts], 0.2)
    assert all_of_them[:200] == few


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.5, 0.89])
def test_neither_side_is_ever_empty(fraction: float) -> None:
    rng = random.Random(1)
    for _ in range(200):
        documents = [(rng.random(), rng.randint(1, 10**6)) for _ in range(rng.randint(2, 12))]
        assert set(survey(documents, fraction)) == {0, 1}


def test_a_huge_document_is_trained_on() -> None:
    assert survey([(0.01, 1_000_000), (0.9, 100)], 0.1) == [0, 1]
    assert survey([(0.9, 1_000_000), (0.95, 100), (0.97, 5)], 0.1) == [0, 1, 1]


def test_copies_land_on_the_same_side() -> None:
    assert survey([(0.9, 5), (0.95, 5), (0.9, 5), (0.95, 5)], 0.1) in ([0, 1, 0, 1], [1, 0, 1, 0])


def test_many_documents_follow_the_hash() -> None:
    rng = random.Random(2)
    documents = [(rng.random(), 10) for _ in range(FEW_DOCUMENTS + 500)]
    assert survey(documents, 0.1) == [p < 0.1 for p, _ in documents]


def test_a_share_of_nothing_is_refused() -> None:
    documents = [(i / 2000, 10) for i in range(1, FEW_DOCUMENTS + 500)]
    with pytest.raises(DataError, match=r"here: validation_fraction=1e-05 of 1,499 documents"):
        survey(documents, 1e-5)


@pytest.mark.parametrize("count", [2, FEW_DOCUMENTS + 5])
def test_nothing_but_copies_is_refused(count: int) -> None:
    with pytest.raises(DataError, match=r"all .* documents are the same"):
        survey([(0.5, 10)] * count, 0.1)
