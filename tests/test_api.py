from pathlib import Path

import pytest

import maquette
from maquette.errors import DataError, RunError
from maquette.events import Evaluated, Finished
from tests.data.image.making import picture, save
from tests.trained_images import shapes_spec, trained_classifier
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
    with pytest.raises(RunError, match="is a language model"):
        run.classify("a.png")
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


def test_an_image_run_tells_what_an_image_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAQUETTE_CACHE", str(tmp_path / "cache"))
    made = trained_classifier(tmp_path)
    run = maquette.load_run(made.id, runs_dir=tmp_path / "runs", device="cpu")
    assert run.blueprint == maquette.resolve(shapes_spec())
    image = save(tmp_path / "a.png", picture(1))
    found = run.classify(image, top=3)
    assert len(found) == 3
    shares = [share for _, share in found]
    assert shares == sorted(shares, reverse=True)
    everything = run.classify(str(image), top=12, flip=True)
    assert sum(share for _, share in everything) == pytest.approx(1)
    assert {name for name, _ in everything} >= {"arrow", "star"}
    (tmp_path / "b.png").write_text("no image")
    with pytest.raises(DataError, match=r"b\.png: is no image"):
        run.classify(tmp_path / "b.png")
    with pytest.raises(DataError, match="no such file"):
        run.classify(tmp_path / "gone.png")
    with pytest.raises(RunError, match="tells images apart"):
        run.generate()
