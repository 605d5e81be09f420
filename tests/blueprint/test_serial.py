import dataclasses
import hashlib
import json
from typing import Any

import pytest

from maquette.blueprint.blueprint import Blueprint
from maquette.blueprint.extend import extend
from maquette.blueprint.resolve import resolve
from maquette.blueprint.serial import from_json, to_json
from maquette.errors import RunError
from maquette.facts import DataFacts, SplitFacts
from maquette.spec.load import load_spec
from maquette.spec.task import language


@pytest.fixture(scope="module")
def blueprint() -> Blueprint:
    data = SplitFacts(documents=1, tokens=10**6, bytes=10**6)
    words = SplitFacts(documents=1, tokens=10**6, bytes=10**6, words=5)
    return resolve(
        language(load_spec("stories", ["train.sample.prompt=Once, é"])),
        DataFacts(256, {"stories": {"train": data, "validation": words}}),
    )


def test_there_and_back(blueprint: Blueprint) -> None:
    text = to_json(blueprint)
    assert from_json(text) == blueprint
    assert to_json(from_json(text)) == text
    assert text.endswith("}\n")
    assert "é" in text


def test_extensions_there_and_back(blueprint: Blueprint) -> None:
    last = blueprint.train.steps
    longer = extend(blueprint, after_step=last, more_epochs=1)
    longer = extend(longer, after_step=last + 5, more_steps=10, how="constant")
    text = to_json(longer)
    assert from_json(text) == longer
    assert [e.how for e in from_json(text).train.extensions] == ["rewarm", "constant"]
    tree = json.loads(text)
    assert tree["train"]["extensions"][1]["after_step"] == last + 5
    for field, value in (("how", "rewind"), ("after_step", "5"), ("schedule", None)):
        damaged = json.loads(text)
        damaged["train"]["extensions"][1][field] = value
        with pytest.raises(RunError, match=rf"extensions\[1\]\.{field}"):
            from_json(json.dumps(damaged))


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
        ("train.extensions", None),
        ("train.extensions", {}),
        ("train.compile", "maybe"),
        ("facts.sources", []),
        ("facts.sources.stories.train.tokens", "many"),
        ("train", 4),
    ],
)
def test_anything_else_is_refused(blueprint: Blueprint, path: str, value: Any) -> None:
    with pytest.raises(RunError, match=path.rpartition(".")[2]):
        from_json(_change(blueprint, path, value))


def test_a_number_that_changed_is_found(blueprint: Blueprint) -> None:
    tree = json.loads(to_json(blueprint))
    tree["seed"] += 1
    with pytest.raises(RunError, match="its checksum differs"):
        from_json(json.dumps(tree))
    del tree["checksum"]  # as older versions wrote it
    assert from_json(json.dumps(tree)).seed == blueprint.seed + 1


def test_what_an_older_version_did_not_know_has_its_default(blueprint: Blueprint) -> None:
    value = dataclasses.asdict(blueprint)
    del value["train"]["objective"]
    value["checksum"] = hashlib.sha256(json.dumps(value).encode()).hexdigest()  # as it wrote it
    assert from_json(json.dumps(value)) == blueprint
    del value["facts"]["sources"]["stories"]["validation"]["words"]  # this it knew
    with pytest.raises(RunError, match="its checksum differs"):
        from_json(json.dumps(value))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, '{"a": NaN}'])
def test_junk_is_refused(text: str) -> None:
    with pytest.raises(RunError):
        from_json(text)
