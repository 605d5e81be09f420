"""A training on several sources: what is drawn, judged and told."""

import json
from pathlib import Path
from typing import Any

import pytest

from maquette.blueprint.blueprint import Blueprint
from maquette.blueprint.resolve import resolve
from maquette.build import Training
from maquette.events import Evaluated, Event, Note
from maquette.runs.state import State, state_from
from maquette.spec.schema import Spec
from tests.training.tiny import prepared, tiny_spec


def mixed(folder: Path, *weights: float | None, **train: Any) -> Training:
    """Letters and digits, mixed by the weights."""
    value = tiny_spec(folder, evaluate={"every": 6, "windows": 4}, **train).model_dump()
    text = value["data"]["sources"]["text"]
    other = folder / "other.txt"
    other.write_text("0123456789 " * 400, encoding="utf-8")
    value["data"]["sources"] = {
        "text": {**text, "weight": weights[0]},
        "digits": {**text, "path": str(other), "weight": weights[1]},
    }
    spec = Spec.model_validate(value)
    data = prepared(folder, spec)
    return Training(resolve(spec, data.facts), data, device="cpu")


def evaluations(events: list[Event]) -> list[Evaluated]:
    return [event for event in events if isinstance(event, Evaluated)]


def test_a_mixture_is_judged_by_its_shares(tmp_path: Path) -> None:
    events = list(mixed(tmp_path, 0.9, 0.1).events())
    for event in evaluations(events):
        assert event.sources.keys() == {"text", "digits"}
        assert event.loss == pytest.approx(
            0.9 * event.sources["text"] + 0.1 * event.sources["digits"]
        )
        assert sum(event.tokens_seen.values()) == event.step * 4 * 16
    assert not any("weights" in event.text for event in events if isinstance(event, Note))


def test_the_weights_decide_what_is_learned(tmp_path: Path) -> None:
    def last(*weights: float) -> Evaluated:
        return evaluations(list(mixed(tmp_path, *weights, steps=60).events()))[-1]

    words, digits = last(0.99, 0.01), last(0.01, 0.99)
    assert words.sources["text"] < digits.sources["text"] - 0.1
    assert digits.sources["digits"] < words.sources["digits"] - 0.1


def test_weights_that_do_not_add_up_are_told(tmp_path: Path) -> None:
    notes = [e.text for e in mixed(tmp_path, 3, 1).events() if isinstance(e, Note)]
    assert "the weights add up to 4, and are taken as shares: text 75.0%, digits 25.0%" in notes


def test_without_weights_sources_count_by_their_size(tmp_path: Path) -> None:
    training = mixed(tmp_path, None, None)
    assert isinstance(training.blueprint, Blueprint)
    facts = training.blueprint.facts.sources
    sizes = {name: splits["train"].tokens for name, splits in facts.items()}
    share = sizes["text"] / sum(sizes.values())
    event = evaluations(list(training.events()))[-1]
    mean = share * event.sources["text"] + (1 - share) * event.sources["digits"]
    assert event.loss == pytest.approx(mean)


def test_the_state_has_each_source(tmp_path: Path) -> None:

    state = State("running")
    for event in mixed(tmp_path, 1, 1).events():
        state = state.after(event)
    assert {source.name for source in state.sources} == {"text", "digits"}
    assert sum(source.tokens_seen for source in state.sources) == 12 * 4 * 16
    assert state_from(json.dumps(state.to_json())) == state
