"""Forecasts of the final loss: on curves by the law, on runs of ours, and where to be silent."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from benchmarks.forecast import SHARES, load, replay

from maquette import forecast as module
from maquette.blueprint import serial
from maquette.blueprint.resolve import resolve
from maquette.cli import main
from maquette.events import Evaluated, to_row
from maquette.forecast import Rates, forecast, forecast_run
from maquette.runs.state import State
from maquette.runs.store import Run, Store
from maquette.serving.runs_board import details
from tests.blueprint.test_resolve import facts

Factor = Callable[[int], float]


def linear(steps: int, warmup: int = 20) -> Factor:
    return lambda step: min(step / warmup, 1.0, (steps - step) / (steps - warmup))


def law(factor: Factor, steps: int, *, every: int, drop: float = 0.1) -> list[tuple[int, float]]:
    """Losses by the law, its sums taken step by step: 1.5 + 2 S^-0.6 - drop (1 - rate)."""
    rates = np.array([factor(step) for step in range(steps + 1)])
    sums = np.cumsum(rates)
    fallen = np.where(np.arange(steps + 1) > rates.argmax(), 1 - rates, 0.0)
    at = range(every, steps + 1, every)
    return [(s, float(1.5 + 20 * sums[s] ** -0.6 - drop * fallen[s])) for s in at]


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
def test_a_curve_by_the_law_is_foretold(share: float) -> None:
    factor, steps = linear(1000), 1000
    losses = law(factor, steps, every=50)
    seen = [one for one in losses if one[0] <= share * steps]
    told = forecast(seen, factor, steps)
    assert told is not None
    assert (told.after_step, told.step) == (seen[-1][0], 1000)
    final = losses[-1][1]
    assert abs(told.loss - final) < 0.2 * (seen[-1][1] - final)
    assert told.low < final < told.high


def test_the_fall_of_the_rate_is_what_makes_the_difference() -> None:
    steps = 1000

    def plateau(step: int) -> float:
        return min(step / 20, 1.0, (steps - step) / 200)

    seen = law(plateau, steps, every=50)[:14]  # nothing has fallen yet
    ahead, held = forecast(seen, plateau, steps), forecast(seen, lambda s: min(s / 20, 1), steps)
    assert ahead is not None
    assert held is not None
    assert ahead.loss < held.loss - 0.03


def test_silence() -> None:
    factor, steps = linear(1000), 1000
    losses = law(factor, steps, every=50)
    assert forecast([], factor, steps) is None
    assert forecast(losses[:3], factor, steps) is None  # too few
    assert forecast(losses, factor, steps) is None  # it is at its end
    assert forecast([(s, 2.0) for s, _ in losses[:10]], factor, steps) is None  # as good as last
    rising = [(s, loss + (0.3 * i if i > 4 else 0)) for i, (s, loss) in enumerate(losses[:12])]
    assert forecast(rising, factor, steps) is None
    sudden = [(s, loss - (0.9 if i > 6 else 0)) for i, (s, loss) in enumerate(losses[:10])]
    assert forecast(sudden, factor, steps) is None
    assert forecast([(s, float("nan")) for s, _ in losses[:10]], factor, steps) is None


def test_silence_where_less_is_to_come_than_a_forecast_is_off_by() -> None:
    factor = linear(1000)
    noisy = [
        (s, x * (1 + 0.015 * (-1) ** (i + 1)))
        for i, (s, x) in enumerate(law(factor, 1000, every=50))
    ]
    assert forecast(noisy[:16], factor, 1000) is not None
    assert forecast(noisy[:17], factor, 1000) is None


def test_what_is_no_number_is_passed_over() -> None:
    factor = linear(1000)
    losses = law(factor, 1000, every=50)[:10]
    broken = [(0, 9.0), *losses[:4], (225, float("nan")), *losses[4:]]
    assert forecast(broken, factor, 1000) == forecast(losses, factor, 1000)


def test_recorded_runs_are_told_better_than_by_their_last_value() -> None:
    judged = [curve for curve in load() if curve["set"] == "judged"]
    assert len(judged) >= 8
    count = 0
    for share in SHARES:
        told = [told for c in judged if (told := replay(c, share)).error is not None]
        errors = [one.error for one in told if one.error is not None]
        assert sum(errors) < 0.6 * sum(one.last_error for one in told)
        count += len(told)
    assert count >= 8


def test_rates_are_summed_up_as_step_by_step() -> None:
    factor, steps = linear(5003, warmup=77), 5003
    rates = Rates(factor, steps, [1234])
    exact = sum((factor(s) + factor(s + 1)) / 2 for s in range(1234))
    assert rates.sum(1234) == pytest.approx(exact, rel=1e-3)
    assert rates.fallen(1234) == pytest.approx((1234 - 77) / (5003 - 77), rel=1e-3)
    assert rates.fallen(50) == 0


def test_least_squares_against_numpy() -> None:
    generator = np.random.default_rng(1)
    matrix = generator.normal(size=(12, 3))
    right = matrix @ [1.0, 2.0, 0.5] + 0.01 * generator.normal(size=12)
    rows = [(list(map(float, x)), float(y)) for x, y in zip(matrix, right, strict=True)]
    found, misfit = module._least_squares(rows)
    expected, residual, *_ = np.linalg.lstsq(matrix, right)
    assert found == pytest.approx(list(expected))
    assert misfit == pytest.approx(float(residual[0]))
    against = matrix @ [1.0, -2.0, 3.0]
    rows = [(x, float(y)) for (x, _), y in zip(rows, against, strict=True)]
    found, _ = module._least_squares(rows)
    without = np.linalg.lstsq(matrix[:, [0, 2]], against)[0]
    assert found == pytest.approx([without[0], 0, without[1]])


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """At half of 400 steps, by the law."""
    spec = "train: {steps: 400, schedule: {kind: linear, warmup_steps: 20, final_fraction: 0.0}}"
    blueprint = resolve_text(spec)
    run = Store(tmp_path / "runs").create("half", spec_text=spec, blueprint_text=blueprint)
    losses = law(linear(400), 400, every=20)[:10]
    rows = [to_row(Evaluated(s, "validation", loss)) for s, loss in losses]
    rows += [to_row(Evaluated(200, "test", 9.0))]
    run.metrics_path.write_text("".join(json.dumps({"at": 1.0, **row}) + "\n" for row in rows))
    return run


def resolve_text(spec: str) -> str:
    from maquette.spec.load import parse_spec
    from maquette.spec.task import language

    return serial.to_json(resolve(language(parse_spec(f"name: a\n{spec}", origin="s")), facts()))


def test_from_a_run_of_which_nothing_is_read_twice(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = State("running", step=200, steps=400, validation_loss=2.0)
    told = forecast_run(run, state)
    assert told is not None
    assert (told.after_step, told.step) == (200, 400)
    assert told.to_json() == dataclasses.asdict(told)
    monkeypatch.setattr(module, "Tail", None)
    assert forecast_run(run, dataclasses.replace(state, step=210)) == told
    assert forecast_run(run, dataclasses.replace(state, status="completed")) is None
    assert forecast_run(run, dataclasses.replace(state, step=400)) is None


@pytest.mark.parametrize("damage", ["blueprint.json", "metrics.jsonl"])
def test_a_damaged_run_has_none(run: Run, damage: str) -> None:
    (run.path / damage).write_bytes(b"\xff{")
    assert forecast_run(run, State("running", step=200, steps=400)) is None


def test_status_and_the_page_tell_it(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    state = State("stopped", (), step=200, steps=400, train_loss=1.0, validation_loss=2.0)
    run.state_path.write_text(json.dumps(state.to_json()))
    told = forecast_run(run, state)
    assert told is not None
    assert main(["status", str(run.path)]) == 0
    line = next(n for n in capsys.readouterr().out.splitlines() if n.startswith("forecast"))
    band = f"{told.low:.3f} to {told.high:.3f}"
    assert line.split(maxsplit=1)[1] == f"validation {told.loss:.3f} ({band}) at step 400"
    assert main(["status", str(run.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["forecast"] == told.to_json()
    assert json.loads(details(run))["forecast"] == told.to_json()
    run.state_path.write_text(json.dumps({**state.to_json(), "status": "completed"}))
    assert main(["status", str(run.path)]) == 0
    assert "forecast" not in capsys.readouterr().out
    assert json.loads(details(run))["forecast"] is None
