"""What is written down of a search reads back, and damage is told."""

from pathlib import Path

import pytest

from maquette.errors import RunError
from maquette.runs.store import Store
from maquette.search.picture import draw_search
from maquette.search.record import Options, find, make, read, searches
from maquette.search.specs import best_spec, short_spec, with_steps
from maquette.spec.load import load_spec
from maquette.spec.schema import Spec
from tests.search.searching import search_of, tried


def test_reads_back(tmp_path: Path) -> None:
    search = search_of(tmp_path, keep=("model.depth",), steps=5)
    tried(search, search.spec, 1.5, curve=((10, 1.7), (20, 1.5)), run="a-b-c")
    tried(search, search.spec, None, cause="loss is not finite")
    search.seconds, search.ended, search.finished = 12.5, "all trials were done", True
    search.write()
    assert read(search.path) == search


def test_searches_are_no_runs(tmp_path: Path) -> None:
    spec = load_spec("stories").model_dump(mode="json")
    made = make(tmp_path, spec, Options(), whole_steps=1200)
    assert made.name.startswith("stories-")
    assert [search.name for search in searches(tmp_path)] == [made.name]
    assert find(tmp_path, made.name) == made
    assert Store(tmp_path).list() == []


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"spec": 1}', "nonsense"])
def test_damage_is_told(tmp_path: Path, text: str) -> None:
    search = search_of(tmp_path)
    search.write()
    (search.path / "search.json").write_text(text)
    with pytest.raises(RunError, match=r"search\.json can't be read"):
        read(search.path)


@pytest.mark.parametrize("name", ["", "..", "x", "a/b"])
def test_an_unknown_name_lists_the_others(tmp_path: Path, name: str) -> None:
    made = make(tmp_path, load_spec("stories").model_dump(mode="json"), Options(), whole_steps=1)
    with pytest.raises(RunError) as caught:
        find(tmp_path, name)
    assert caught.value.hint == f"there are {made.name}"


def test_a_trial_is_the_spec_in_short(tmp_path: Path) -> None:
    search = search_of(tmp_path)
    trial = tried(search, search.spec, 1.5, steps=200)
    short = short_spec(trial, 1200)
    assert isinstance(short, Spec)
    assert short.name == "stories-t1"
    assert (short.train.steps, short.train.evaluate.every) == (200, 20)
    assert short.model == load_spec("stories").model


def test_a_given_warmup_keeps_its_share() -> None:
    train = load_spec("tinyshakespeare").model_dump(mode="json")["train"]
    assert with_steps(train, 70, 700)["schedule"]["warmup_steps"] == 1
    assert with_steps(train, 1400, 700)["schedule"]["warmup_steps"] == 20


def test_the_winner_trains_as_long_as_the_spec_would(tmp_path: Path) -> None:
    search = search_of(tmp_path, confirm=False)
    other = load_spec("stories", ["model.norm=rms"]).model_dump(mode="json")
    tried(search, search.spec, 1.5, step_seconds=0.1)
    tried(search, other, 1.2, step_seconds=0.2)
    best = best_spec(search)
    assert isinstance(best, Spec)
    assert (best.model.norm, best.train.steps) == ("rms", 600)
    assert "norm_epsilon" not in best.model.model_fields_set
    search.trials.pop()
    assert best_spec(search) == load_spec("stories")


@pytest.mark.parametrize("trials", [0, 1, 5])
def test_the_picture_shows_every_trial(tmp_path: Path, trials: int) -> None:
    search = search_of(tmp_path)
    blank = draw_search(search)
    for i in range(trials):
        points = tuple((10 * k, 2.0 - 0.1 * k - 0.01 * i) for k in range(1, 11))
        tried(search, search.spec, points[-1][1], curve=points, tokens_per_second=100.0 + i)
    drawn = draw_search(search)
    assert drawn.size == blank.size
    assert (drawn.tobytes() != blank.tobytes()) == (trials > 0)
