"""Specs written as YAML read back as they were."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maquette.spec.dump import to_yaml
from maquette.spec.load import load_spec, parse_spec, preset_names
from maquette.spec.schema import Data, FilesSource, Spec, Train


@pytest.mark.parametrize("name", preset_names())
@pytest.mark.parametrize("whole", [False, True])
def test_every_preset_reads_back(name: str, whole: bool) -> None:
    spec = load_spec(name)
    text = to_yaml(spec, whole=whole, about=["what it is:", "two\nlines"])
    again = parse_spec(text, origin="again", folder=Path("/"))
    assert again == spec
    assert again.model_dump() == spec.model_dump()
    if not whole:
        assert again.model.model_fields_set == spec.model.model_fields_set


@settings(max_examples=80, deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30), st.floats(1e-9, 9)
)
def test_any_text_and_number_reads_back(text: str, rate: float) -> None:
    source = FilesSource(kind="files", path=["/a", f"/{text}"], separator=text)
    train = Train.model_validate({"learning_rate": rate, "sample": {"prompt": text}})
    spec = Spec(name="a", data=Data(sources={"no": source}), train=train)
    again = parse_spec(to_yaml(spec), origin="again")
    assert again.model_dump() == spec.model_dump()


def test_words_that_mean_something_else_are_quoted() -> None:
    for word in ("null", "true", "~", "1e-4", "0x10", "a: b", "- a", "#", "é", "", " a"):
        spec = Spec(train=Train.model_validate({"sample": {"prompt": word}}))
        again = parse_spec(to_yaml(spec), origin="again")
        assert isinstance(again, Spec)
        assert again.train.sample.prompt == word
