"""A run's first worker writes down what it expects."""

from pathlib import Path

import pytest

from maquette.runs.planned import read_planned
from maquette.runs.store import Store
from maquette.training.device import ACHIEVED_SHARE, measure_rate
from maquette.worker import planning
from tests.training.tiny import tiny_training


def test_the_estimate_is_written_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Store(tmp_path / "runs").create("tiny", spec_text="")
    training = tiny_training(tmp_path)
    blueprint = training.blueprint
    planning.note_plan(run, blueprint, training)
    assert read_planned(run) is None  # of such short steps a rate says nothing
    monkeypatch.setattr(planning, "_LEAST_FLOPS", 0)
    planning.note_plan(run, blueprint, training)
    planned = read_planned(run)
    assert planned is not None
    rate = measure_rate(training.device, training.precision)  # measured once in a process
    assert planned.measured_flops_per_second == rate
    assert planned.seconds == pytest.approx(blueprint.costs.flops / rate / ACHIEVED_SHARE)
    assert planned.tokens_per_second == pytest.approx(blueprint.train.tokens / planned.seconds)
    costs = blueprint.costs
    more = costs.gradients_bytes + costs.optimizer_bytes + costs.activations_bytes
    assert planned.memory_bytes > more + 50 * 2**20  # an interpreter with torch
