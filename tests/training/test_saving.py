"""When a checkpoint is due, by a clock that the test sets."""

import pytest

from maquette.training.saving import SaveRhythm


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_every_so_many_steps(clock: Clock) -> None:
    rhythm = SaveRhythm(4, clock=clock)
    assert [step for step in range(1, 13) if rhythm.due(step)] == [4, 8, 12]
    clock.seconds += 1e6
    assert not rhythm.due(13)


def test_by_the_clock(clock: Clock) -> None:
    rhythm = SaveRhythm(None, clock=clock)
    assert rhythm.interval_seconds == pytest.approx(37.947, abs=0.001)  # sqrt(2 x 0.2 x 3600)
    assert not rhythm.due(1)
    clock.seconds += 37.9
    assert not rhythm.due(2)
    clock.seconds += 0.1
    assert rhythm.due(3)
    assert rhythm.due(4)  # until it is saved
    rhythm.saved(0.5)
    assert rhythm.interval_seconds == pytest.approx(60)  # sqrt(2 x 0.5 x 3600)
    clock.seconds += 59.9
    assert not rhythm.due(5)
    clock.seconds += 0.2
    assert rhythm.due(6)


def test_a_checkpoint_for_another_reason_starts_the_interval_anew(clock: Clock) -> None:
    rhythm = SaveRhythm(None, clock=clock)
    clock.seconds += 30
    rhythm.saved(0.2)
    clock.seconds += 30
    assert not rhythm.due(1)


@pytest.mark.parametrize(
    ("cost", "life", "interval"),
    [
        (2.0, None, 120.0),  # sqrt(2 x 2 x 3600)
        (8.0, None, 400.0),  # by the formula 240, but saving would take more than a fiftieth
        (0.5, 100.0, 10.0),
        (0.005, 100.0, 1.0),
        (0.5, 1e6, 1000.0),
    ],
)
def test_the_interval_follows_what_is_known(
    clock: Clock, cost: float, life: float | None, interval: float
) -> None:
    rhythm = SaveRhythm(None, life_seconds=life, clock=clock)
    rhythm.saved(cost)
    assert rhythm.interval_seconds == pytest.approx(interval)


def test_no_other_interval_loses_less(clock: Clock) -> None:
    cost, life = 0.1, 3600.0

    def lost(interval: float) -> float:
        """What saving takes of each second, and what is repeated after a failure."""
        return cost / interval + interval / 2 / life

    rhythm = SaveRhythm(None, life_seconds=life, clock=clock)
    rhythm.saved(cost)
    best = min((n / 10 for n in range(1, 10_000)), key=lost)
    assert rhythm.interval_seconds == pytest.approx(best, abs=0.1)


def test_saving_takes_at_most_a_fiftieth_of_the_time(clock: Clock) -> None:
    rhythm = SaveRhythm(None, clock=clock)
    begin, saving = clock.seconds, 0.0
    for step in range(1, 100_001):
        clock.seconds += 1
        if rhythm.due(step):
            clock.seconds += 15  # a large model on a slow disk
            saving += 15
            rhythm.saved(15)
    assert 0.0185 < saving / (clock.seconds - begin) <= 0.02
