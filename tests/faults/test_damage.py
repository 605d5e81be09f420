"""Damaged files of a trained run: found and named before a weight is loaded, and never a crash."""

import json
import os
import random
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch import nn

from maquette import loading
from maquette.blueprint.blueprint import Blueprint
from maquette.cli import main
from maquette.errors import CheckpointError, MaquetteError
from maquette.reading import language_blueprint
from maquette.runs.store import Run, Store
from maquette.spec.schema import Spec
from maquette.training import checkpoint
from maquette.worker import work
from maquette.worker.training import create_run
from tests.training.tiny import tiny_spec

Output = pytest.CaptureFixture[str]
CHECKPOINT_FILES = ("model.safetensors", "optimizer.safetensors", "trainer.json", "manifest.json")
OTHER_FILES = (
    "state.json", "metrics.jsonl", "meta.json", "blueprint.json", "tokenizer.json", "spec.yaml",
    "worker.log", "worker.lock", "checkpoints/latest", "checkpoints/best",
)  # fmt: skip
FLIPS = [pytest.param(100, id="quick"), pytest.param(2000, id="all", marks=pytest.mark.slow)]
CUTS = [pytest.param(40, id="quick"), pytest.param(200, id="all", marks=pytest.mark.slow)]


def train_tiny(folder: Path, *, umask: int) -> Run:
    before = os.umask(umask)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MAQUETTE_CACHE", str(folder / "cache"))
            plain = tiny_spec(folder, checkpoint={"every": 2, "keep": 2}, steps=6)
            bpe = {"kind": "bpe", "vocabulary": 270}  # a tokenizer.json with something in it
            spec = Spec.model_validate({**plain.model_dump(mode="json"), "tokenizer": bpe})
            run = create_run(spec, Store(folder / "runs"), spec_text="name: tiny\n", device="cpu")
            list(work(run))
    finally:
        os.umask(before)
    return run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train_tiny(tmp_path_factory.mktemp("trained"), umask=0o002)


@pytest.fixture
def run(trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A copy to damage, which `maquette` finds by its id."""
    monkeypatch.setenv("MAQUETTE_RUNS", str(tmp_path / "runs"))
    return Run(shutil.copytree(trained.path, tmp_path / "runs" / trained.id))


def flips(path: Path, count: int, *, seed: int) -> Iterator[str]:
    """Flip one bit after the other, at random places, each put right again before the next."""
    whole = path.read_bytes()
    bits = len(whole) * 8
    for bit in random.Random(seed).sample(range(bits), min(count, bits)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        yield f"bit {bit} of {path.name}"
    path.write_bytes(whole)


def cuts(path: Path, count: int) -> Iterator[str]:
    """Cut a file short at places spread over it, put right again each time."""
    whole = path.read_bytes()
    for size in sorted({len(whole) * part // count for part in range(count)} | {len(whole) - 1}):
        path.write_bytes(whole[:size])
        yield f"{path.name} cut to {size} bytes"
    path.write_bytes(whole)


def latest_two(run: Run) -> tuple[int, int]:
    *_, before, last = (saved.step for saved in run.checkpoints())
    return before, last


@pytest.mark.parametrize("count", FLIPS)
@pytest.mark.parametrize("name", CHECKPOINT_FILES)
def test_a_flipped_bit_in_a_checkpoint_is_found(run: Run, name: str, count: int) -> None:
    before, last = latest_two(run)
    path = run.checkpoint(last).path / name
    for what in flips(path, count, seed=1):
        found = run.checkpoint("latest")
        assert found.step == before, what
        assert str(path) in found.passed_over[0], what
    assert run.checkpoint("latest").step == last


@pytest.mark.parametrize("count", CUTS)
def test_a_checkpoint_cut_short_is_found(run: Run, count: int) -> None:
    before, last = latest_two(run)
    for name in CHECKPOINT_FILES:
        path = run.checkpoint(last).path / name
        for what in cuts(path, count // len(CHECKPOINT_FILES)):
            found = run.checkpoint("latest")
            assert found.step == before, what
            assert str(path) in found.passed_over[0], what
        whole = path.read_bytes()
        path.unlink()
        assert f"{path} is missing" in run.checkpoint("latest").passed_over[0]
        path.write_bytes(whole)


def flip_in_every_checkpoint(run: Run) -> None:
    for number, saved in enumerate(run.checkpoints()):
        name = CHECKPOINT_FILES[number % len(CHECKPOINT_FILES)]
        next(flips(saved.path / name, 1, seed=number))


def test_no_weight_of_a_damaged_checkpoint_is_loaded(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, last = latest_two(run)
    loaded: list[Path] = []

    def load_weights(folder: Path, model: nn.Module) -> None:
        loaded.append(folder)
        checkpoint.load_weights(folder, model)

    monkeypatch.setattr(loading, "load_weights", load_weights)
    next(flips(run.checkpoint(last).path / "model.safetensors", 1, seed=3))
    loading.load_run_model(run, checkpoint="latest", device="cpu")
    assert loaded == [run.checkpoint(before).path]
    flip_in_every_checkpoint(run)
    with pytest.raises(CheckpointError, match="is damaged") as caught:
        loading.load_run_model(run, checkpoint="latest", device="cpu")
    assert str(caught.value.hint) == "no sound checkpoint is left"
    assert len(loaded) == 1


@pytest.mark.parametrize("command", ["generate", "resume"])
def test_without_a_sound_checkpoint_commands_say_so(run: Run, capsys: Output, command: str) -> None:
    steps = [saved.step for saved in run.checkpoints()]
    flip_in_every_checkpoint(run)
    assert main([command, run.id]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert all(f"step-{step:08d}" in error for step in steps)
    assert "no sound checkpoint is left" in error
    assert "Traceback" not in error
    assert "unexpected" not in error


def look(run: Run, capsys: Output, number: int, what: str) -> None:
    """One of the ways to look at a run, in turn: none may fail."""
    Run(run.path).state()
    words = [["ps"], ["status", run.id], ["ps", "--json"], ["status", run.id, "--json"]][number % 4]
    code = main(words)
    printed = capsys.readouterr()
    assert code == 0, (what, words, printed.err)
    assert printed.err == "", (what, words)


@pytest.mark.parametrize("count", [pytest.param(20, id="quick"), FLIPS[1]])
@pytest.mark.parametrize("name", OTHER_FILES)
def test_a_flipped_bit_elsewhere_never_crashes_a_look(
    run: Run, capsys: Output, name: str, count: int
) -> None:
    for number, what in enumerate(flips(run.path / name, count, seed=2)):
        look(run, capsys, number, what)


@pytest.mark.parametrize("count", [pytest.param(80, id="quick"), CUTS[1]])
def test_files_cut_short_never_crash_a_look(run: Run, capsys: Output, count: int) -> None:
    for name in OTHER_FILES:
        for number, what in enumerate(cuts(run.path / name, count // len(OTHER_FILES))):
            look(run, capsys, number, what)


@pytest.mark.parametrize("count", FLIPS)
def test_a_flipped_bit_costs_at_most_two_events(run: Run, count: int) -> None:
    everything = len(list(run.events()))
    for what in flips(run.metrics_path, count, seed=4):
        assert len(list(run.events())) >= everything - 2, what  # a newline joins two


@pytest.mark.parametrize("count", FLIPS)
@pytest.mark.parametrize("name", ["blueprint.json", "tokenizer.json"])
def test_a_flipped_bit_in_what_a_model_is_built_by_is_found(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str, count: int
) -> None:
    before = language_blueprint(run)
    monkeypatch.setattr(loading, "load_weights", lambda *_: pytest.fail("weights were loaded"))
    saved = run.checkpoint()
    for what in flips(run.path / name, count, seed=5):
        if name == "blueprint.json" and reads_as(run, before):
            continue  # a blank, say: nothing that it says has changed
        with pytest.raises(MaquetteError, match=name):
            loading.load_checkpoint_model(run, saved, device="cpu")
            pytest.fail(what)


def test_another_sound_tokenizer_is_found(run: Run) -> None:
    content = json.loads(run.tokenizer_path.read_text())
    ids = content["model"]["vocab"]
    ids["a"], ids["b"] = ids["b"], ids["a"]
    run.tokenizer_path.write_text(json.dumps(content))
    with pytest.raises(MaquetteError, match=r"tokenizer\.json is damaged: its checksum differs"):
        loading.load_run_model(run, device="cpu")


def reads_as(run: Run, blueprint: Blueprint) -> bool:
    try:
        return language_blueprint(run) == blueprint
    except MaquetteError:
        return False


@pytest.mark.parametrize("umask", [0o077, 0o002])
def test_every_file_keeps_the_umask(tmp_path: Path, trained: Run, umask: int) -> None:
    run = trained if umask == 0o002 else train_tiny(tmp_path, umask=umask)
    paths = [run.path, *run.path.rglob("*")]
    assert {path.name for path in paths} >= {*CHECKPOINT_FILES, *map(os.path.basename, OTHER_FILES)}
    for path in paths:
        expected = (0o777 if path.is_dir() else 0o666) & ~umask
        assert stat.S_IMODE(path.stat().st_mode) == expected, path
