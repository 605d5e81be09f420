"""What a search may change, and what it must not."""

import random

import pytest

from maquette.blueprint.costs import parameters
from maquette.blueprint.resolve import resolve_shape
from maquette.search.space import difference, draw, keys
from maquette.spec.image import ImageSpec
from maquette.spec.load import load_spec
from maquette.spec.schema import Spec
from maquette.spec.task import validate
from tests.presets import LANGUAGE

PLAIN = [name for name in LANGUAGE if name != "chat-tune"]


def count(spec: Spec, vocabulary: int) -> int:
    return parameters(resolve_shape(spec.model, vocabulary))["total"]


@pytest.mark.parametrize("name", PLAIN)
def test_models_keep_their_parameters(name: str) -> None:
    spec = load_spec(name)
    assert isinstance(spec, Spec)
    data, whole = spec.model_dump(mode="json"), count(spec, 1024)
    changed = 0
    for seed in range(40):
        drawn = draw(data, random.Random(seed), vocabulary=1024, parameters=whole)
        if drawn is not None:
            found = validate(drawn)
            assert isinstance(found, Spec)
            assert abs(count(found, 1024) / whole - 1) <= 0.03
            assert found.model_dump(mode="json") == drawn
            changed += drawn != data
    assert changed > 25


def test_the_same_dice_draw_the_same() -> None:
    data = load_spec("stories").model_dump(mode="json")
    one, two = (
        draw(data, random.Random("a"), vocabulary=1024, parameters=5_000_000) for _ in range(2)
    )
    assert one == two


def test_every_key_is_changed_sooner_or_later() -> None:
    for name, vocabulary in (("stories", 1024), ("shapes", None)):
        spec = load_spec(name)
        data = spec.model_dump(mode="json")
        size = count(spec, 1024) if isinstance(spec, Spec) else 0
        seen = ""
        for seed in range(120):
            drawn = draw(data, random.Random(seed), vocabulary=vocabulary, parameters=size)
            seen += difference(drawn, data) + ", " if drawn else ""
        words = ["learning rate", "batch size", "kind", "weight decay", "average", "final fraction"]
        text = ["depth", "width", "heads", "mlp", "norm", "position", "qk norm", "dropout"]
        images = ["stem stride", "drop path", "layer scale", "label smoothing", "policy", "erase"]
        for word in [*words, *(text if vocabulary else images)]:
            assert word in seen, word


def test_what_is_to_be_kept_stays() -> None:
    data = load_spec("stories").model_dump(mode="json")
    keep = [key for key in keys() if key != "train.learning_rate"]
    for seed in range(20):
        drawn = draw(data, random.Random(seed), vocabulary=1024, parameters=5_000_000, keep=keep)
        assert drawn is not None
        assert difference(drawn, data).startswith("learning rate")
    assert draw(data, random.Random(0), vocabulary=1024, parameters=1, keep=keys()) is None


def test_a_run_that_is_begun_from_keeps_its_dimensions() -> None:
    data = load_spec("stories").model_dump(mode="json")
    data["train"]["from"] = "/runs/a"
    for seed in range(40):
        drawn = draw(data, random.Random(seed), vocabulary=1024, parameters=5_000_000)
        if drawn is not None:
            assert drawn["model"] | {"dropout": 0.0} == data["model"]


def test_images() -> None:
    spec = load_spec("shapes")
    assert isinstance(spec, ImageSpec)
    data = spec.model_dump(mode="json")
    drawn = [draw(data, random.Random(s), vocabulary=None, parameters=0) for s in range(30)]
    assert all(each is None or validate(each).model.family == "convnext" for each in drawn)
    assert sum(each is not None and each != data for each in drawn) > 20


def test_differences_in_words() -> None:
    data = load_spec("stories").model_dump(mode="json")
    other = load_spec("stories", ["model.depth=4", "model.qk_norm=false"]).model_dump(mode="json")
    assert difference(other, data) == "depth 4, qk norm off"
    assert difference(data, data) == "the spec itself"
