"""Drafts of specs: the form of the schema, and changes that leave the rest of the text alone."""

from pathlib import Path
from typing import Any

import pytest

from maquette.errors import SpecError
from maquette.runs.store import Store
from maquette.spec.load import parse_spec, preset_names, preset_text
from maquette.tui.draft import Draft, Line, problems_of

COMMENTED = """\
# mine
name: mine   # a name

model:
  depth: 4
  width: 64    # narrow

data:
  sources:
    tales: {kind: stories, stories: 1000}

train: {steps: 10}
"""


def draft(text: str = COMMENTED) -> Draft:
    return Draft(text, "mine.yaml", Path("/nowhere"))


def line(of: Draft, path: str) -> Line:
    return next(line for line in of.lines() if line.path == path)


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_has_a_form_with_its_values_and_stays_as_it_is(name: str) -> None:
    of = Draft(preset_text(name), name, Path.cwd())
    spec = parse_spec(of.text, origin=name).model_dump(mode="json")
    lines = of.lines()
    assert of.set("seed", "5").unset("seed").text == of.text or "seed" in of.text
    for shown in lines:
        value: Any = spec
        for key in shown.path.split("."):
            value = value[key]
        if shown.written is not None and isinstance(value, int | float) and not shown.choices:
            assert float(shown.written) == value
        if shown.is_text and shown.written is not None:
            assert shown.written == value


@pytest.mark.parametrize("name", ["stories", "cifar10", "notes-chat", "shapes"])
def test_every_choice_can_be_made_and_is_read_as_it_was_meant(name: str) -> None:
    of = Draft(preset_text(name), name, Path("/nowhere"))
    for shown in of.lines():
        for word in shown.choices:
            changed = of.set(shown.target, word)
            try:
                spec = parse_spec(changed.text, origin=name)
            except SpecError:
                continue  # a path that a kind needs, a combination that can't be
            value = spec.model_dump(mode="json")
            for key in shown.target.split("."):
                value = value[key]
            assert str(value).lower() == word.lower()
            assert line(changed, shown.path).written == word


def test_a_change_leaves_comments_and_all_else_alone() -> None:
    changed = draft().set("model.width", "128").set("train.learning_rate", "1e-4")
    assert changed.text == COMMENTED.replace("64 ", "128").replace(
        "{steps: 10}", "{steps: 10, learning_rate: 1e-4}"
    )
    assert line(changed, "train.learning_rate").written == "1e-4"
    assert changed.unset("train.learning_rate").set("model.width", "64").text.split() == (
        COMMENTED.split()
    )


def test_a_new_key_stands_with_its_part() -> None:
    text = draft().set("model.heads", "2").text
    assert text.index("heads: 2") < text.index("\n\ndata:")
    assert "\n\n" not in text[text.index("model:") : text.index("heads: 2")]


def test_keys_of_another_kind_and_what_a_budget_chooses_go() -> None:
    changed = draft().set("data.sources.tales.kind", "notes")
    assert "stories: 1000" not in changed.text
    changed = draft().set("model.parameters", "10M")
    assert "depth" not in changed.text
    assert "steps" not in changed.text
    assert "# a name" in changed.text


def test_a_part_tells_its_own_kind_and_the_default_one() -> None:
    optimizer = line(draft().set("train.optimizer.kind", "muon"), "train.optimizer")
    assert (optimizer.written, optimizer.default) == ("muon", "adamw")
    assert line(draft("name: x"), "data.sources.stories").default == "stories"
    assert line(draft(), "data.sources.tales").written == "stories"


def test_texts_are_meant_as_texts() -> None:
    for text in ("123", "no", "[a]: {b", "# none", "🙂 'x' \"y\"", " two\tblanks "):
        changed = draft().set("train.sample.prompt", text, is_text=True)
        spec = parse_spec(changed.text, origin="x")
        assert spec.train.sample.prompt == text  # type: ignore[union-attr]
        assert line(changed, "train.sample.prompt").written == text


def test_the_default_takes_its_key_and_emptied_parts_away() -> None:
    changed = draft().set("train.schedule.kind", "wsd").unset("train.schedule.kind")
    assert "schedule" not in changed.text
    assert draft().unset("train.optimizer.kind").text.split() == COMMENTED.split()
    assert draft("name: x\n").unset("name").text == ""
    assert draft("").set("name", "x").text == "name: x\n"


def test_what_is_wrong_is_told_in_the_words_of_check(tmp_path: Path) -> None:
    changed = draft().set("model.heads", "5").set("train.steps", "0")
    with pytest.raises(SpecError) as caught:
        changed.check(Store(tmp_path))
    (problem,) = problems_of(caught.value)
    assert problem.path == "train.steps"
    assert problem.text == "train.steps=0 must be at least 1"
    assert changed.text.splitlines()[(problem.line or 0) - 1].startswith("train:")
    with pytest.raises(SpecError) as caught:
        changed.unset("train.steps").check(Store(tmp_path))
    assert [p.path for p in problems_of(caught.value)] == ["model.heads"]


@pytest.mark.parametrize("text", ["a: [", "- a\n", "a: &x [*x]", "a: 1\na: 2", "\x00", "x" * 99])
def test_what_is_no_spec_is_refused(text: str) -> None:
    with pytest.raises(SpecError):
        draft(text).set("name", "x").check(Store())
