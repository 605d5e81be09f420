"""Simulated runs, as those who read runs see them."""

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from maquette.cli import main
from maquette.cli.simulated import blueprint_of, spec_of
from maquette.errors import RunError
from maquette.events import Evaluated, Finished, StepDone
from maquette.runs import durable
from maquette.runs.store import Run, Store
from maquette.serving.runs_board import row_of
from maquette.simulation.story import MODULES, Module, tell
from maquette.spec.load import load_spec

Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAQUETTE_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("MAQUETTE_CACHE", str(tmp_path / "cache"))


def finished(module: str, seed: int, capsys: Output) -> Run:
    options = ["--run", "finished", "-m", module, "--seed", str(seed)]
    assert main(["simulate", *options]) == 0
    return Store().find(capsys.readouterr().out.strip())


def shown(capsys: Output, *arguments: str) -> Any:
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("module", MODULES)
def test_a_finished_run_has_the_times_it_would_have_had(module: Module, capsys: Output) -> None:
    run = finished(module, 2, capsys)
    story = tell(module, 2)
    assert run.meta.kind == "simulation"
    state = run.state()
    assert state.status == "completed"
    assert state.parameters == story.parameters
    events = list(run.events())
    assert isinstance(events[-1][1], Finished)
    times = [at for at, _ in events]
    assert times == sorted(times)
    assert times[-1] <= time.time()
    assert state.elapsed_seconds(time.time()) == pytest.approx(times[-1] - times[0], abs=0.01)
    steps = [event for _, event in events if isinstance(event, StepDone)]
    assert 200 <= len(steps) <= 2500
    assert [step.step for step in steps] == sorted({step.step for step in steps})
    assert all(step.tokens == step.step * story.tokens_per_step for step in steps)
    evaluated = [event for _, event in events if isinstance(event, Evaluated)]
    assert state.best_loss == min(event.loss for event in evaluated)
    assert all(e.perplexity is None or e.perplexity == math.exp(e.loss) for e in evaluated)


@pytest.mark.parametrize("seed", range(9))
def test_its_spec_and_blueprint_are_those_of_the_model(seed: int, tmp_path: Path) -> None:
    story = tell(list(MODULES)[seed % 3], seed)
    spec = spec_of(story)
    blueprint = blueprint_of(story, spec)
    assert blueprint.shape == story.shape
    assert blueprint.parameters["total"] == story.parameters
    assert blueprint.train.tokens == story.rehearsal.work.tokens
    assert blueprint.train.epochs == pytest.approx(story.epochs, rel=0.01)


def test_every_reader_reads_it(capsys: Output) -> None:
    run, other = finished("llm_training", 2, capsys), finished("chat_tuning", 2, capsys)
    assert load_spec(str(run.spec_path)).name == run.meta.spec["name"]
    assert [row["kind"] for row in shown(capsys, "ps")] == ["simulation", "simulation"]
    assert shown(capsys, "status", run.id)["tokens_per_second"] > 1e4
    main(["ps"])
    assert "completed, simulated" in capsys.readouterr().out
    assert main(["watch", run.id]) == 0
    assert "validation" in capsys.readouterr().out
    assert row_of(run, run.state())["kind"] == "simulation"
    assert shown(capsys, "compare", run.id, other.id)


def test_nothing_is_left_of_a_run_that_is_written_half(
    capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: durable.Appender, *, sync: bool = False) -> None:
        raise RunError("no space left on device")

    monkeypatch.setattr(durable.Appender, "flush", full)
    assert main(["simulate", "--run", "finished", "--seed", "1"]) == 1
    assert "no space left" in capsys.readouterr().err
    assert not Store().list()


def test_there_is_nothing_to_go_on_with(capsys: Output) -> None:
    run = finished("llm_training", 2, capsys)
    assert main(["resume", run.id, "--more-steps", "5"]) == 1
    assert "is a simulation" in capsys.readouterr().err
    assert main(["rm", "--yes", run.id]) == 0
    assert not run.path.exists()


def test_a_live_run_goes_on_until_it_is_told_to_stop(capsys: Output) -> None:
    options = ["-m", "chat_tuning", "--seed", "1", "--run", "live", "--speed-factor", "50"]
    process = subprocess.Popen(
        [sys.executable, "-m", "maquette", "simulate", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=dict(os.environ),
    )
    try:
        assert process.stdout is not None
        run = Store().find(process.stdout.readline().strip())
        deadline = time.monotonic() + 60
        while (state := run.state()).step == 0 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert state.status == "running"
        assert state.step > 0
        assert state.telemetry is not None
        assert main(["stop", run.id]) == 0
        assert process.wait(timeout=60) == 130
        assert run.state().status == "stopped"
        told = capsys.readouterr().err
        assert "without a checkpoint" in told
        assert "its last checkpoint" not in told
        assert main(["stop", run.id]) == 1
        assert "resume" not in capsys.readouterr().err
    finally:
        process.kill()
        process.communicate()


def test_a_spec_is_rehearsed_as_a_show(capsys: Output) -> None:
    small = ["--set=data.sources={stories: {kind: stories, stories: 200}}"]
    small += ["--set=tokenizer={kind: bpe, vocabulary: 300}", "--set=train.steps=400"]
    assert main(["simulate", "llama", *small, "--on", "h100x8", "--speed-factor", "1e9"]) == 0
    out = capsys.readouterr().out
    assert out.strip().startswith("llama ─")
    assert "8 x NVIDIA H100 SXM" in out
    assert "400 of 400 steps" in out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["llama"], "add --on h100x64"),
        (["--on", "h100x8"], "a SPEC"),
        (["llama", "--on", "h100y8"], "no such hardware"),
    ],
)
def test_what_is_missing_is_told(options: list[str], told: str, capsys: Output) -> None:
    assert main(["simulate", *options]) == 2
    assert told in capsys.readouterr().err
