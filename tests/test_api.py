from pathlib import Path

import pytest

import maquette
from maquette.events import Evaluated, Finished
from tests.training.tiny import tiny_spec


def test_all_is_the_public_list() -> None:
    assert sorted(maquette.__all__) == ["TrainedRun", "load_run", "load_spec", "resolve", "train"]
    for name in maquette.__all__:
        assert getattr(maquette, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = maquette.trian


def test_a_spec_becomes_a_run_that_writes_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAQUETTE_CACHE", str(tmp_path / "cache"))
    spec = tiny_spec(tmp_path, average=0.9)
    blueprint = maquette.resolve(spec)
    assert blueprint.train.steps == 12

    events = list(maquette.train(spec, runs_dir=tmp_path / "runs", device="cpu"))
    assert isinstance(events[-1], Finished)
    best = min(e.loss for e in events if isinstance(e, Evaluated))

    run = maquette.load_run(runs_dir=tmp_path / "runs", device="cpu")
    assert run.id.startswith("tiny-")
    assert run.blueprint == blueprint
    assert min(e.loss for e in run.events() if isinstance(e, Evaluated)) == best
    once = "".join(run.generate("the cat", max_new_tokens=20, seed=1, temperature=0.9))
    again = "".join(run.generate("the cat", max_new_tokens=20, seed=1, temperature=0.9))
    assert once == again
    greedy = "".join(run.generate("the cat", max_new_tokens=8, temperature=0))
    assert len(greedy) <= 8


def test_the_spec_in_the_run_is_a_spec_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAQUETTE_CACHE", str(tmp_path / "cache"))
    spec = tiny_spec(tmp_path)
    list(maquette.train(spec, runs_dir=tmp_path / "runs", device="cpu"))
    (run,) = (tmp_path / "runs").iterdir()
    assert maquette.load_spec(run / "spec.yaml") == spec
