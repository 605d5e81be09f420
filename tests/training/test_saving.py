"""When a checkpoint is due, by a clock that the test sets."""

import itertools

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


def save(rhythm: SaveRhythm, cost: float) -> None:
    rhythm.began()
    rhythm.saved(cost)


def test_by_the_clock(clock: Clock) -> None:
    rhythm = SaveRhythm(None, lived_seconds=4000, clock=clock)
    assert rhythm.interval_seconds == pytest.approx(37.947, abs=0.001)  # sqrt(2 x 0.2 x 3600)
    assert not rhythm.due(1)
    clock.seconds += 37.9
    assert not rhythm.due(2)
    clock.seconds += 0.1
    assert rhythm.due(3)
    assert rhythm.due(4)  # until it is saved
    save(rhythm, 0.5)
    assert rhythm.interval_seconds == pytest.approx(60)  # sqrt(2 x 0.5 x 3600)
    clock.seconds += 59.9
    assert not rhythm.due(5)
    clock.seconds += 0.2
    assert rhythm.due(6)


def test_a_checkpoint_for_another_reason_starts_the_interval_anew(clock: Clock) -> None:
    rhythm = SaveRhythm(None, clock=clock)
    clock.seconds += 4
    save(rhythm, 0.1)
    clock.seconds += 4
    assert not rhythm.due(1)


def test_the_interval_begins_with_what_was_saved_and_none_begins_inside_another(
    clock: Clock,
) -> None:
    rhythm = SaveRhythm(None, clock=clock)
    clock.seconds += 10
    assert rhythm.due(1)
    rhythm.began()
    clock.seconds += 25  # a slow disk
    assert not rhythm.due(2)
    rhythm.saved(0.2)
    assert rhythm.due(3)  # what was saved is 25 seconds old


def test_a_new_run_saves_often_at_first_and_less_and_less(clock: Clock) -> None:
    rhythm = SaveRhythm(None, clock=clock)
    gaps, before = [], clock.seconds
    for step in range(1, 20_000):
        clock.seconds += 0.5
        if rhythm.due(step):
            save(rhythm, 0.1)
            gaps.append(clock.seconds - before)
            before = clock.seconds
    assert gaps[:4] == [10, 5, 5, 5]  # fifty times what it takes, once that is known
    assert all(a <= b + 0.5 for a, b in itertools.pairwise(gaps[1:]))
    assert gaps[-1] == pytest.approx(27, abs=0.5)  # sqrt(2 x 0.1 x 3600)


@pytest.mark.parametrize(
    ("cost", "lived", "kills", "interval"),
    [
        (2.0, 3600, 0, 120.0),  # sqrt(2 x 2 x 3600)
        (2.0, 1e6, 0, 120.0),  # an hour is the most that a run is trusted to live
        (0.1, 250, 0, 7.071),  # sqrt(2 x 0.1 x 250)
        (0.1, 10, 0, 5.0),  # by the formula 1.4, but saving would take more than a fiftieth
        (8.0, 3600, 0, 400.0),  # likewise, of 240
        (0.5, 100, 1, 10.0),
        (0.5, 300, 3, 10.0),
        (0.005, 100, 1, 1.0),
        (0.5, 1e6, 1, 1000.0),
    ],
)
def test_the_interval_follows_what_is_known(
    clock: Clock, cost: float, lived: float, kills: int, interval: float
) -> None:
    rhythm = SaveRhythm(None, lived_seconds=lived, kills=kills, clock=clock)
    save(rhythm, cost)
    assert rhythm.interval_seconds == pytest.approx(interval, abs=0.001)


def test_between_those_that_last_others_are_saved_once_a_run_was_killed(clock: Clock) -> None:
    rhythm = SaveRhythm(None, lived_seconds=7200, kills=120, clock=clock)
    lasted: list[tuple[float, bool]] = []
    begin = clock.seconds
    for step in range(1, 1001):
        clock.seconds += 0.5
        if rhythm.due(step):
            lasted.append((clock.seconds - begin, rhythm.began()))
            rhythm.saved(0.1)
    gaps = [b - a for (a, _), (b, _) in itertools.pairwise(lasted[1:])]
    assert set(gaps) == {3.5, 4.0}  # sqrt(2 x 0.1 x 60) to 3.6, and the step's end
    times = [at for at, lasts in lasted if lasts]
    between = [b - a for a, b in itertools.pairwise(times[1:])]
    assert len(between) > 10
    assert all(27 <= seconds < 31 for seconds in between)  # sqrt(2 x 0.1 x 3600) = 26.8


def test_what_anything_else_asks_for_lasts(clock: Clock) -> None:
    """The best one, the last one, one for a signal: the clock isn't asked for these."""
    rhythm = SaveRhythm(None, lived_seconds=7200, kills=120, clock=clock)
    clock.seconds += 5
    assert rhythm.due(1)
    assert not rhythm.began()
    rhythm.saved(0.1)
    clock.seconds += 5
    assert rhythm.began()
    rhythm.saved(0.1)
    clock.seconds += 1
    assert not rhythm.due(2)
    assert rhythm.began()
    never_killed = SaveRhythm(None, lived_seconds=7200, clock=clock)
    clock.seconds += 60
    assert never_killed.due(1)
    assert never_killed.began()
    by_steps = SaveRhythm(4, kills=3, clock=clock)
    assert by_steps.due(4)
    assert by_steps.began()


def test_no_other_interval_loses_less(clock: Clock) -> None:
    cost, life = 0.1, 3600.0

    def lost(interval: float) -> float:
        """What saving takes of each second, and what is repeated after a failure."""
        return cost / interval + interval / 2 / life

    rhythm = SaveRhythm(None, lived_seconds=life, kills=1, clock=clock)
    save(rhythm, cost)
    best = min((n / 10 for n in range(1, 10_000)), key=lost)
    assert rhythm.interval_seconds == pytest.approx(best, abs=0.1)


@pytest.mark.parametrize("cost", [0.1, 15.0])  # a small model; a large one on a slow disk
def test_saving_takes_at_most_a_fiftieth_of_the_time(clock: Clock, cost: float) -> None:
    rhythm = SaveRhythm(None, clock=clock)
    begin, saving = clock.seconds, 0.0
    for step in range(1, 100_001):
        clock.seconds += 1
        if rhythm.due(step):
            clock.seconds += cost
            saving += cost
            save(rhythm, cost)
        if step > 100:
            assert saving <= 0.0201 * (clock.seconds - begin) + cost
    assert saving > 0.003 * (clock.seconds - begin)
