"""Kills at random moments: a run always goes on, and computes what it would have computed."""

import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from maquette.events import StepDone
from maquette.runs.store import Run
from tests.faults.conftest import BRIEF
from tests.faults.processes import ForkServer, assert_readable, command, computed, until


@pytest.mark.parametrize("seed", range(8))
def test_two_hundred_random_kills(
    server: ForkServer, undisturbed: dict[str, Any], tmp_path: Path, seed: int
) -> None:
    kills, _ = kill_many(server, undisturbed, tmp_path, kills=25, seed=seed)
    assert kills == 25


def test_a_run_killed_before_its_first_checkpoint_begins_anew(
    server: ForkServer, tmp_path: Path
) -> None:
    late = {**BRIEF, "steps": 60, "checkpoint": {"every": 60}, "evaluate": {"every": 60}}
    whole, killed = (server.create(tmp_path / "runs", **late) for _ in range(2))
    server.finish(whole)
    worker = server.start(killed)
    until(lambda: any(isinstance(event, StepDone) for _, event in killed.events()), "a step")
    assert worker.kill() == -signal.SIGKILL
    assert killed.checkpoints() == []
    server.finish(killed)
    assert computed(killed) == computed(whole)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_a_thousand_random_kills(
    server: ForkServer, undisturbed: dict[str, Any], tmp_path: Path, seed: int
) -> None:
    _, in_saves = kill_many(server, undisturbed, tmp_path, kills=200, seed=100 + seed)
    assert in_saves > 0, "some kills must fall into the middle of a save"


@pytest.mark.slow
def test_random_kills_of_the_real_command(
    server: ForkServer, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    generator = random.Random(7)
    run = server.create(tmp_path / "runs", **BRIEF)
    for kill in range(6):
        rows = _size(run)
        with command("-m", "maquette.worker", run.path, folder=server.folder) as process:
            if kill % 2:  # in the middle of the training; else in whatever comes before it
                until(lambda rows=rows: _size(run) != rows or process.poll() is not None, "a row")
            time.sleep(generator.uniform(0.0, 0.3 if kill % 2 else 2.0))
            process.kill()
            ended = process.wait() == 0
        assert_readable(run)
        if ended:
            break
    server.finish(run)
    assert computed(run) == undisturbed


def kill_many(
    server: ForkServer, undisturbed: dict[str, Any], folder: Path, *, kills: int, seed: int
) -> tuple[int, int]:
    """Kill workers of one run after another; returns how many died, and how many in a save."""
    generator = random.Random(seed)
    done, in_saves = 0, 0
    seconds = _life_seconds(server, folder)
    while done < kills:
        run = server.create(folder / "runs", **BRIEF)
        while run.state().status != "completed":
            worker = server.start(run)
            if done < kills:
                time.sleep(generator.uniform(0.0, seconds))
                worker.signal(signal.SIGKILL)
            code = worker.wait()
            assert code in (0, -signal.SIGKILL), worker.words
            killed = code != 0
            done += killed
            in_saves += killed and any(run.checkpoints_path.glob(".tmp-*"))
            assert_readable(run)
            if killed and run.state().status != "completed":
                assert run.state().status in ("queued", "lost")
        assert computed(run) == undisturbed, f"run {run.path} of seed {seed}"
    return done, in_saves


def _life_seconds(server: ForkServer, folder: Path) -> float:
    run = server.create(folder / "measured", **BRIEF)
    begin = time.monotonic()
    server.finish(run)
    return time.monotonic() - begin


def _size(run: Run) -> int:
    return run.metrics_path.stat().st_size if run.metrics_path.exists() else 0
