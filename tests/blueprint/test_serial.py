import json
from typing import Any

import pytest

from maquette.blueprint.blueprint import Blueprint
from maquette.blueprint.resolve import resolve
from maquette.blueprint.serial import from_json, to_json
from maquette.errors import RunError
from maquette.facts import DataFacts, SplitFacts
from maquette.spec.load import load_spec


@pytest.fixture(scope="module")
def blueprint() -> Blueprint:
    data = SplitFacts(documents=1, tokens=10**6, bytes=10**6)
    words = SplitFacts(documents=1, tokens=10**6, bytes=10**6, words=5)
    return resolve(
        load_spec("stories", ["train.sample.prompt=Once, é"]),
        DataFacts(256, {"stories": {"train": data, "validation": words}}),
    )


def test_there_and_back(blueprint: Blueprint) -> None:
    text = to_json(blueprint)
    assert from_json(text) == blueprint
    assert to_json(from_json(text)) == text
    assert text.endswith("}\n")
    assert "é" in text


def _change(blueprint: Blueprint, path: str, value: Any) -> str:
    tree = json.loads(to_json(blueprint))
    *above, last = path.split(".")
    place = tree
    for key in above:
        place = place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return json.dumps(tree)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("seed", None),
        ("seeds", 3),
        ("seed", "3"),
        ("seed", 3.0),
        ("seed", True),
        ("shape.depth", None),
        ("shape.extra", 1),
        ("shape.mlp", "geglu"),
        ("shape.dropout", 0),
        ("train.schedule.kind", "cosin"),
        ("train.patience", "soon"),
        ("train.compile", "maybe"),
        ("facts.sources", []),
        ("facts.sources.stories.train.tokens", "many"),
        ("train", 4),
    ],
)
def test_anything_else_is_refused(blueprint: Blueprint, path: str, value: Any) -> None:
    with pytest.raises(RunError, match=path.rpartition(".")[2]):
        from_json(_change(blueprint, path, value))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, '{"a": NaN}'])
def test_junk_is_refused(text: str) -> None:
    with pytest.raises(RunError):
        from_json(text)
