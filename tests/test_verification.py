"""verify-resume: what it compares, what it does when trainings fail, and all of it by processes."""

import dataclasses
import hashlib
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from maquette import verification
from maquette.blueprint.blueprint import Blueprint
from maquette.blueprint.resolve import resolve
from maquette.build import rate_factor
from maquette.cli import main
from maquette.data.prepare import Prepared
from maquette.errors import MaquetteError, RunError, TrainingError, UsageError
from maquette.events import Started
from maquette.runs.store import Run, Store
from maquette.spec.schema import Spec
from maquette.training.checkpoint import MODEL, OPTIMIZER, TRAINER
from maquette.verification import Compared, Verdict, compare, shorten, verify
from maquette.worker import work
from maquette.worker.training import create_run
from tests.training.tiny import prepared, tiny_spec

STEPS = 8


def trained(folder: Path) -> Run:
    spec = tiny_spec(
        folder, model={"dropout": 0.1}, steps=STEPS, checkpoint={"every": 4}, evaluate={"every": 4}
    )
    run = create_run(spec, Store(folder / "runs"), spec_text="name: tiny\n", device="cpu")
    list(work(run))
    return run


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("verification")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAQUETTE_CACHE", str(folder / "cache"))
        yield trained(folder)


@pytest.fixture
def other(whole: Run, tmp_path: Path) -> Run:
    """The same run once more, for a test to spoil."""
    shutil.copytree(whole.path, tmp_path / "other")
    return Run(tmp_path / "other")


def verdict(compared: tuple[Compared, ...]) -> Verdict:
    return Verdict(STEPS, "cpu", "float32", False, (), compared)


def rewrite(run: Run, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
    """Pass every row of the run's events through `change`; None drops it."""
    rows = [change(json.loads(line)) for line in run.metrics_path.read_text().splitlines()]
    text = "".join(json.dumps(row) + "\n" for row in rows if row is not None)
    run.metrics_path.write_text(text)


def replace_checkpoint(run: Run, file: str, change: Callable[[Path], None]) -> None:
    """Save the last checkpoint again, sound, with one of its files changed."""
    last = run.checkpoint("latest")
    contents = {name: (last.path / name).read_bytes() for name in (MODEL, OPTIMIZER, TRAINER)}

    def fill(folder: Path) -> None:
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        change(folder / file)

    run.commit_checkpoint(last.step, fill, best=last.best)


def test_what_is_the_same_is_exact(whole: Run, other: Run) -> None:
    found = verdict(compare(whole, [other]))
    assert found.exact
    assert found.first is None
    values = {each.name: each.values for each in found.compared}
    assert values["loss"] == values["batch"] == STEPS
    assert values["validation loss"] == 3
    assert values["weights"] == 1


@pytest.mark.parametrize(
    ("event", "field", "name"),
    [
        ("step", "batch", "batch"),
        ("step", "loss", "loss"),
        ("step", "gradient_norm", "gradient norm"),
        ("step", "learning_rate", "learning rate"),
        ("evaluated", "loss", "validation loss"),
    ],
)
def test_the_last_bit_of_a_value_is_seen_and_its_step_named(
    whole: Run, other: Run, event: str, field: str, name: str
) -> None:
    def change(row: dict[str, Any]) -> dict[str, Any]:
        if row["event"] == event and row["step"] == 4:
            value = row[field]
            row[field] = value ^ 1 if isinstance(value, int) else math.nextafter(value, 9.0)
        return row

    rewrite(other, change)
    found = verdict(compare(whole, [other]))
    assert not found.exact
    assert found.first is not None
    assert (found.first.name, found.first.step) == (name, 4)
    assert f"{name} of step 4: " in (found.first.difference or "")
    assert sum(each.difference is not None for each in found.compared) == 1


def test_a_number_that_is_not_finite_equals_another(whole: Run, other: Run, tmp_path: Path) -> None:
    def overflow(row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "gradient_norm": None} if row["event"] == "step" else row

    rewrite(other, overflow)
    assert not verdict(compare(whole, [other])).exact
    shutil.copytree(other.path, tmp_path / "third")
    assert verdict(compare(other, [Run(tmp_path / "third")])).exact


def test_a_missing_step_is_seen(whole: Run, other: Run) -> None:
    rewrite(other, lambda row: None if row["event"] == "step" and row["step"] == 6 else row)
    first = verdict(compare(whole, [other])).first
    assert first is not None
    assert first.difference == "step 6 is missing"


def test_steps_that_were_repeated_count_too(whole: Run, other: Run) -> None:
    rows = [json.loads(line) for line in whole.metrics_path.read_text().splitlines()]
    steps = [row for row in rows if row["event"] == "step"]
    aside = other.path / "metrics-aside.jsonl"
    aside.write_text(json.dumps(steps[4]) + "\n" + json.dumps(steps[5]) + "\n")
    found = verdict(compare(whole, [other]))
    assert found.exact
    assert found.compared[0].values == STEPS + 2
    aside.write_text(json.dumps({**steps[4], "loss": 1.0}) + "\n")
    first = verdict(compare(whole, [other])).first
    assert first is not None
    assert (first.name, first.step) == ("loss", 5)


def add_a_bit(name: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        tensors = load_file(path)
        key = next(key for key in sorted(tensors) if key.endswith(name))
        value = tensors[key].flatten()
        value[0] = torch.nextafter(value[0], torch.tensor(9.0))
        save_file(tensors, path)

    return change


def draw_once(path: Path) -> None:
    content = json.loads(path.read_text())
    content["random"]["python"][1][-1] += 1
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        (MODEL, add_a_bit("norm.weight"), r"norm\.weight: 1 of \d+ values differ"),
        (OPTIMIZER, add_a_bit(":exp_avg_sq"), r":exp_avg_sq: 1 of \d+ values differ"),
        (TRAINER, draw_once, r"random\.python"),
    ],
)
def test_a_bit_of_the_last_state_is_seen_and_its_place_named(
    whole: Run, other: Run, file: str, change: Callable[[Path], None], words: str
) -> None:
    import re

    replace_checkpoint(other, file, change)
    first = verdict(compare(whole, [other])).first
    assert first is not None
    assert first.step == STEPS
    assert re.search(words, first.difference or ""), first.difference


def whole_blueprint(folder: Path, **train: Any) -> tuple[Spec, Prepared, Blueprint]:
    spec = tiny_spec(folder, **{"steps": 100, **train})
    data = prepared(folder, spec)
    return spec, data, resolve(spec, data.facts)


def test_the_first_steps_are_those_of_the_whole_run(tmp_path: Path) -> None:
    _, _, blueprint = whole_blueprint(tmp_path, evaluate={"patience": 2})
    short = shorten(blueprint, steps=None, device="cpu")
    assert short.train.steps == 40
    before, after = rate_factor(blueprint.train), rate_factor(short.train)
    assert [before(k) for k in range(1, 41)] == [after(k) for k in range(1, 41)]
    assert short.train.checkpoint_every == 5
    assert short.train.patience is None
    assert shorten(short, steps=None, device="cpu").train.steps == 40
    assert dataclasses.replace(short, train=blueprint.train) == blueprint


def test_what_was_measured_for_a_run_is_not_measured_again(tmp_path: Path) -> None:
    _, _, blueprint = whole_blueprint(tmp_path, precision="auto")
    like = Started(0, 100, 1, "cpu", "bf16", False)
    short = shorten(blueprint, steps=10, device="cpu", like=like)
    assert (short.train.precision, short.train.compile) == ("bf16", False)
    _, _, blueprint = whole_blueprint(tmp_path, precision="float32")  # set by --set
    assert shorten(blueprint, steps=10, device="cpu", like=like).train.precision == "float32"


def test_however_few_the_steps_a_kill_makes_some_be_repeated(tmp_path: Path) -> None:
    _, _, blueprint = whole_blueprint(tmp_path, evaluate={"every": 3, "windows": 2})
    for steps in range(2, 41):
        short = shorten(blueprint, steps=steps, device="cpu")
        plan = short.train
        assert plan.checkpoint_every is not None
        assert plan.evaluate_every % plan.checkpoint_every == 0  # a best one is saved, too
        for kills in {1, steps // 2, steps - 1}:
            unsaved, chosen = verification._kill_steps(short, kills, random.Random(steps))
            assert unsaved in chosen
            assert unsaved % plan.checkpoint_every != 0
            assert len(set(chosen)) == kills
            assert set(chosen) <= set(range(1, steps))


@pytest.mark.parametrize("steps", [1, 101])
def test_steps_that_the_training_does_not_have_are_refused(tmp_path: Path, steps: int) -> None:
    _, _, blueprint = whole_blueprint(tmp_path)
    with pytest.raises(UsageError, match="has 100 steps"):
        shorten(blueprint, steps=steps, device="cpu")


@contextmanager
def at_once(run: Run) -> Iterator[Any]:
    """A worker in this process: it has ended before anybody can kill it."""
    with suppress(MaquetteError):
        list(work(run))
    yield SimpleNamespace(poll=lambda: 0)


@pytest.mark.parametrize(
    ("train", "error", "words"),
    [
        ({}, RunError, "over before it could be killed"),
        ({"learning_rate": 10.0, "gradient_clip": None}, TrainingError, "the training failed: "),
    ],
)
def test_a_training_that_proves_nothing_is_an_error(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    train: dict[str, Any],
    error: type[MaquetteError],
    words: str,
) -> None:
    monkeypatch.setenv("MAQUETTE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(verification, "_worker", at_once)
    if train:
        from maquette import build

        def fail(*_: object, **__: object) -> None:
            raise TrainingError("the loss of step 3 is nan")

        monkeypatch.setattr(build.Training, "events", fail)
    spec, data, blueprint = whole_blueprint(tmp_path)
    spec = spec.model_copy(update={"track": "tensorboard"})
    short = shorten(blueprint, steps=4, device="cpu")
    with pytest.raises(error, match=words):
        verify(spec, data, short, store=Store(tmp_path / "runs"), kills=1)
    assert list((tmp_path / "runs").glob("*/metrics.jsonl"))
    assert not list((tmp_path / "runs").glob("*/tensorboard"))  # nobody is to see them
    with pytest.raises(UsageError, match="--kills 4"):
        verify(spec, data, short, store=Store(tmp_path / "runs"), kills=4)


def sums(folder: Path) -> dict[Path, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_run_is_verified_by_killed_workers_and_left_alone(
    whole: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = sums(whole.path)
    command = ["verify-resume", str(whole.path), "--kills", "1", "--seed", "1", "--json"]
    assert main([*command, "--set", "train.batch_size=128"]) == 0  # steps slow enough to be hit
    out, err = capfd.readouterr()
    found = json.loads(out)
    assert found["exact"] is True
    assert found["first"] is None
    assert found["steps"] == STEPS
    assert len(found["kills"]) == 1
    (kill,) = found["kills"]
    assert found["repeated"] == kill["after_step"] - kill["resumed_from"] >= 1
    values = {each["name"]: each["values"] for each in found["compared"]}
    assert values["loss"] == STEPS + found["repeated"]
    assert "killed after step" in err
    assert sums(whole.path) == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_resume_that_forgets_something_is_found_out(
    whole: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Every worker leaves torch's generator as it is when it loads a checkpoint."""
    (tmp_path / "sitecustomize.py").write_text(
        "import random\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'maquette.worker.training':\n"
        "            from maquette.training import checkpoint\n"
        "            checkpoint._set_random_states = lambda states: None\n"
        "import sys\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    command = ["verify-resume", str(whole.path), "--kills", "3", "--seed", "1", "--keep"]
    assert main([*command, "--set", "model.dropout=0.2"]) == 1
    out, err = capfd.readouterr()
    assert "not exact (cpu, float32); what differs first is the loss of step" in out
    (kept,) = place.iterdir()
    assert f"kept: {kept}" in err
    assert len(Store(kept).list()) >= 2


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_signal_ends_it_with_everything_that_it_started(
    whole: Run, tmp_path: Path, number: signal.Signals
) -> None:
    command = [sys.executable, "-m", "maquette", "verify-resume", str(whole.path)]
    for setting in ("train.steps=2000", "train.batch_size=128"):  # it won't end by itself
        command += ["--set", setting]
    command += ["--steps", "2000"]
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        # Folders come and go meanwhile, which os.walk passes over.
        while not any(
            "metrics.jsonl" in files and (Path(folder) / "metrics.jsonl").stat().st_size
            for folder, _, files in os.walk(tmp_path)
        ):
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        pids = workers_below(tmp_path)
        process.send_signal(number)
        process.communicate(timeout=60)
        assert process.returncode == 130
        assert workers_below(tmp_path) == []
        assert list(tmp_path.iterdir()) == []
    finally:
        process.kill()
        process.communicate()
        for pid in workers_below(tmp_path):
            os.kill(pid, signal.SIGKILL)
    assert pids


def workers_below(folder: Path) -> list[int]:
    """Processes that work on a run in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if b"maquette.worker" in words and os.fsencode(folder) in words:
            found.append(int(path.parent.name))
    return found


def test_what_is_neither_spec_nor_run_is_wrong_use(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify-resume", "stroies", "--runs-dir", str(tmp_path)]) == 2
    assert "is no spec file and no preset" in capfd.readouterr().err
