"""A run made longer: how many steps, and which learning rate at each of them."""

import math
from typing import Any

import pytest

from maquette.blueprint.blueprint import Blueprint
from maquette.blueprint.extend import extend
from maquette.blueprint.resolve import resolve
from maquette.build import rate_factor
from maquette.errors import UsageError
from maquette.facts import DataFacts, SplitFacts
from maquette.spec.schema import Spec


def planned(kind: str = "linear", *, windows: int = 100, batch: int = 4, **train: Any) -> Blueprint:
    """A run of 20 steps, 4 of them warmup, whose learning rate falls to a fifth."""
    schedule = {"kind": kind, "warmup_steps": 4, "final_fraction": 0.2, "decay_fraction": 0.4}
    schedule.update(train.pop("schedule", {}))
    length = {} if "epochs" in train else {"steps": 20}
    split = SplitFacts(documents=1, tokens=windows * 16, bytes=windows * 16)
    spec = Spec.model_validate(
        {
            "name": "tiny",
            "model": {"depth": 1, "width": 16, "heads": 2, "context": 16},
            "train": {"batch_size": batch, "schedule": schedule, **length, **train},
        }
    )
    return resolve(spec, DataFacts(256, {"text": {"train": split, "validation": split}}))


def test_more_steps() -> None:
    before = planned()
    after = extend(before, after_step=20, more_steps=30)
    assert after.train.steps == 50
    assert after.train.epochs == 2.0  # 50 x 4 of 100 windows
    assert after.train.tokens == 50 * 4 * 16
    assert after.costs == planned(steps=50).costs
    assert after.train.schedule == before.train.schedule


@pytest.mark.parametrize(
    ("windows", "batch", "after_step", "more", "steps"),
    [
        (100, 4, 25, 1, 50),  # 25 steps an epoch
        (10, 4, 3, 1, 5),  # the 3rd step ends the first epoch and reads 2 windows of the second
        (10, 4, 5, 1, 8),
        (10, 4, 8, 1, 10),
        (10, 4, 3, 0.5, 4),  # 15 windows
        (10, 4, 4, 1, 7),  # 16 windows were read; 26 take 6.5 steps
        (10, 4, 7, 2, 12),  # 28 and 20
        (3, 1, 7, 2, 13),  # 7 / 3 + 2 is too much in floats
        (100, 1, 0, 0.07, 7),  # and so is 0.07 x 100
        (4, 10, 1, 1, 2),  # a step of two epochs and a half
    ],
)
def test_more_epochs(windows: int, batch: int, after_step: int, more: float, steps: int) -> None:
    before = planned(windows=windows, batch=batch)
    assert extend(before, after_step=after_step, more_epochs=more).train.steps == steps


@pytest.mark.parametrize("batch", range(1, 8))
def test_epochs_add_up(batch: int) -> None:
    for windows in range(max(2, batch), 24):
        first, second = (
            planned(windows=windows, batch=batch, epochs=epochs, schedule={"warmup_steps": None})
            for epochs in (1, 3)
        )
        longer = extend(first, after_step=first.train.steps, more_epochs=2)
        assert longer.train.steps == second.train.steps
        once_more = extend(longer, after_step=longer.train.steps, more_epochs=1)
        assert once_more.train.steps == math.ceil(4 * windows / batch)


def test_a_spec_in_epochs_has_no_step_too_many() -> None:
    schedule = {"warmup_steps": 0}
    assert planned(batch=1, epochs=0.07, schedule=schedule).train.steps == 7


# 28 more steps after step 12, where linear and cosine are half way down: at 1 - 0.8 / 2. Stretched
# over 40 steps, the fall from step 4 takes 36; anew from step 12, 4 of warmup and 24 of fall.
QUARTER_OF_A_WAVE = 0.2 + 0.8 * (0.5 + math.sqrt(0.5) / 2)
FROM_THE_MIDDLE = [
    ("linear", "continue", {1: 0.25, 12: 0.6, 13: 0.8, 22: 0.6, 31: 0.4, 40: 0.2}),
    ("linear", "rewarm", {12: 0.6, 13: 0.7, 14: 0.8, 16: 1.0, 22: 0.8, 28: 0.6, 40: 0.2}),
    ("linear", "constant", {11: 0.65, 12: 0.6, 13: 0.6, 40: 0.6}),
    ("cosine", "continue", {12: 0.6, 13: QUARTER_OF_A_WAVE, 22: 0.6, 40: 0.2}),
    ("cosine", "rewarm", {12: 0.6, 13: 0.7, 16: 1.0, 22: QUARTER_OF_A_WAVE, 28: 0.6, 40: 0.2}),
    ("cosine", "constant", {12: 0.6, 13: 0.6, 40: 0.6}),
    ("constant", "continue", {1: 0.25, 12: 1.0, 13: 1.0, 40: 1.0}),
    ("constant", "rewarm", {12: 1.0, 13: 1.0, 40: 1.0}),
    ("constant", "constant", {12: 1.0, 13: 1.0, 40: 1.0}),
]
# wsd falls in two fifths of the run: from step 12 to 20, to 0.6 at step 16. Stretched, from step
# 24 to 40; in 24 steps of its own, in the last 10.
FROM_THE_FALL = [
    ("continue", {16: 0.6, 17: 1.0, 24: 1.0, 28: 0.8, 32: 0.6, 40: 0.2}),
    ("rewarm", {16: 0.6, 17: 0.7, 20: 1.0, 30: 1.0, 35: 0.6, 40: 0.2}),
    ("constant", {16: 0.6, 17: 0.6, 40: 0.6}),
]


@pytest.mark.parametrize(
    ("kind", "how", "after_step", "factors"),
    [(kind, how, 12, factors) for kind, how, factors in FROM_THE_MIDDLE]
    + [("wsd", how, 16, factors) for how, factors in FROM_THE_FALL],
)
def test_the_rate_before_and_after(
    kind: str, how: Any, after_step: int, factors: dict[int, float]
) -> None:
    longer = extend(planned(kind), after_step=after_step, more_steps=40 - after_step, how=how)
    factor = rate_factor(longer.train)
    assert {step: factor(step) for step in factors} == pytest.approx(factors)


@pytest.mark.parametrize("kind", ["linear", "cosine", "constant", "wsd"])
@pytest.mark.parametrize("how", ["continue", "rewarm", "constant"])
@pytest.mark.parametrize("after_step", [2, 12, 16, 20])
def test_what_was_trained_keeps_its_rate(kind: str, how: Any, after_step: int) -> None:
    before = planned(kind)
    longer = extend(before, after_step=after_step, more_steps=17, how=how)
    ours, first = rate_factor(longer.train), rate_factor(before.train)
    assert [ours(s) for s in range(after_step + 1)] == [first(s) for s in range(after_step + 1)]
    assert all(0 < ours(s) <= 1 for s in range(1, longer.train.steps + 1))


@pytest.mark.parametrize("kind", ["linear", "cosine", "constant", "wsd"])
@pytest.mark.parametrize("after_step", [2, 12, 16, 20])
def test_continuing_is_as_though_it_had_been_meant_for_the_new_length(
    kind: str, after_step: int
) -> None:
    longer = extend(planned(kind), after_step=after_step, more_steps=30, how="continue")
    assert (
        longer.train.extensions[0].schedule == planned(kind, steps=after_step + 30).train.schedule
    )


def test_a_short_extension_has_a_short_warmup() -> None:
    factor = rate_factor(extend(planned(), after_step=20, more_steps=10, how="rewarm").train)
    found = {step: factor(step) for step in (20, 21, 22, 26, 30)}
    assert found == pytest.approx({20: 0.2, 21: 0.6, 22: 1.0, 26: 0.6, 30: 0.2})
    factor = rate_factor(extend(planned(), after_step=20, more_steps=1, how="rewarm").train)
    assert factor(21) == pytest.approx(0.2)


def test_stopped_in_the_warmup_and_ending_there() -> None:
    longer = extend(planned(), after_step=1, more_steps=2, how="continue")
    assert longer.train.steps == 3
    assert [rate_factor(longer.train)(s) for s in (1, 2, 3)] == [0.25, 0.5, 0.75]
    assert longer.train.extensions[0].schedule.decay_steps == 0


def test_the_way_that_is_taken_unless_one_is_named() -> None:
    def way(blueprint: Blueprint, after_step: int) -> str:
        return extend(blueprint, after_step=after_step, more_steps=20).train.extensions[-1].how

    assert way(planned(), 19) == "continue"
    assert way(planned(), 20) == "rewarm"
    assert way(planned("constant"), 20) == "continue"  # nothing has fallen: both are the same
    rewarmed = extend(planned(), after_step=20, more_steps=20)
    assert (way(rewarmed, 39), way(rewarmed, 40)) == ("continue", "rewarm")
    assert way(rewarmed, 20) == "rewarm"  # its extension gives way; there the first fall had ended
    held = extend(planned(), after_step=12, more_steps=20, how="constant")
    assert way(held, 32) == "continue"
    assert way(extend(planned(), after_step=20, more_steps=20, how="constant"), 40) == "rewarm"


def test_extended_twice() -> None:
    once = extend(planned(), after_step=20, more_steps=20, how="rewarm")
    twice = extend(once, after_step=40, more_steps=10, how="rewarm")
    assert [e.after_step for e in twice.train.extensions] == [20, 40]
    factor = rate_factor(twice.train)
    hand = {20: 0.2, 21: 0.4, 24: 1.0, 32: 0.6, 40: 0.2, 41: 0.6, 42: 1.0, 46: 0.6, 50: 0.2}
    assert {step: factor(step) for step in hand} == pytest.approx(hand)
    assert [factor(s) for s in range(41)] == [rate_factor(once.train)(s) for s in range(41)]


def test_held_and_then_warmed_up_again() -> None:
    held = extend(planned(), after_step=12, more_steps=18, how="constant")
    again = extend(held, after_step=30, more_steps=20, how="rewarm")
    factor = rate_factor(again.train)
    hand = {12: 0.6, 30: 0.6, 31: 0.7, 34: 1.0, 42: 0.6, 50: 0.2}
    assert {step: factor(step) for step in hand} == pytest.approx(hand)
    longer = extend(held, after_step=30, more_steps=5, how="constant")
    assert rate_factor(longer.train)(35) == pytest.approx(0.6)


def test_going_back_gives_up_the_extensions_that_came_later() -> None:
    longer = extend(planned(), after_step=20, more_steps=20, how="rewarm")
    earlier = extend(longer, after_step=10, more_steps=5, how="constant")
    assert earlier.train.steps == 15
    assert [e.after_step for e in earlier.train.extensions] == [10]
    assert rate_factor(earlier.train)(15) == pytest.approx(0.7)  # 1 - 0.8 x 6 / 16
    same = extend(longer, after_step=20, more_steps=5, how="constant")
    assert [e.how for e in same.train.extensions] == ["constant"]
    assert rate_factor(same.train)(25) == pytest.approx(0.2)
    within = extend(longer, after_step=32, more_steps=5, how="constant")
    assert [e.after_step for e in within.train.extensions] == [20, 32]
    assert rate_factor(within.train)(37) == pytest.approx(0.6)


def test_a_rate_of_0_is_not_kept() -> None:
    to_0 = planned(schedule={"final_fraction": 0.0})
    with pytest.raises(UsageError, match="learning rate of step 20, which is 0") as caught:
        extend(to_0, after_step=20, more_steps=5, how="constant")
    assert "rewarm" in (caught.value.hint or "")
    rewarmed = extend(to_0, after_step=20, more_steps=20)
    for after_step in (20, 40):  # back where the first fall had ended, and at the second's end
        with pytest.raises(UsageError, match="which is 0"):
            extend(rewarmed, after_step=after_step, more_steps=5, how="constant")
    with pytest.raises(UsageError, match="step 0, which is 0") as caught:
        extend(to_0, after_step=0, more_steps=5, how="constant")
    assert "continue" in (caught.value.hint or "")


def test_a_rate_that_is_not_0_may_be_kept_also_at_the_end() -> None:
    to_0 = planned(schedule={"final_fraction": 0.0})
    held = extend(to_0, after_step=12, more_steps=8, how="constant")
    assert held.train.steps == 20
    assert rate_factor(extend(held, after_step=20, more_steps=5, how="constant").train)(25) == 0.5


def test_without_a_warmup_a_run_may_be_extended_before_its_first_step() -> None:
    for how in ("continue", "rewarm", "constant"):
        longer = extend(planned(schedule={"warmup_steps": 0}), after_step=0, more_steps=30, how=how)
        assert rate_factor(longer.train)(1) > 0.9


@pytest.mark.parametrize(
    "more",
    [
        {"more_steps": 0},
        {"more_steps": -3},
        {"more_epochs": 0},
        {"more_epochs": -1.0},
        {"more_epochs": math.nan},
        {"more_epochs": math.inf},
    ],
)
def test_nothing_more_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        extend(planned(), after_step=20, **more)


def test_less_than_the_last_step_saw_already_is_refused() -> None:
    with pytest.raises(UsageError, match="at least one step"):
        extend(planned(windows=10), after_step=3, more_epochs=0.1)  # it read 0.2 of that epoch
