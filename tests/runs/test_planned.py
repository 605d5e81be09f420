"""What a run was expected to take, against what it takes."""

from pathlib import Path

import pytest

from maquette.runs.planned import Planned, actual, planned_rows, read_planned, write_planned
from maquette.runs.state import Change, State, Telemetry
from maquette.runs.store import Run, Store

PLANNED = Planned(
    seconds=100.0,
    tokens_per_second=2000.0,
    memory_bytes=2**30,
    measured_flops_per_second=1e12,
)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Store(tmp_path).create("expected", spec_text="")


def test_it_comes_back_as_it_was_written(run: Run) -> None:
    write_planned(run, PLANNED)
    assert read_planned(run) == PLANNED


@pytest.mark.parametrize("text", [None, "", "[]", "{", '{"seconds": 1}', '{"seconds": []}'])
def test_older_and_damaged_runs_have_none(run: Run, text: str | None) -> None:
    if text is not None:
        (run.path / "plan.json").write_text(text)
    assert read_planned(run) is None
    assert planned_rows(run, State("queued"), 0.0) == []


def test_it_is_held_against_what_happens(run: Run) -> None:
    write_planned(run, PLANNED)
    state = State(
        "running",
        (Change("queued", 0.0), Change("running", 10.0)),
        step=5,
        steps=10,
        tokens_per_second=1000.0,
        eta_seconds=60.0,
        telemetry=Telemetry(memory_bytes=3 * 2**29, gpu_memory_bytes=None),
    )
    assert actual(state, 100.0) == {
        "seconds": 150.0,
        "tokens_per_second": 1000.0,
        "memory_bytes": 3 * 2**29,
    }
    assert planned_rows(run, state, 100.0) == [
        ("planned", "1min40s, 2.00k tokens/s, 1.00 GiB of memory"),
        ("actual", "2min30s (+50%), 1.00k tokens/s (-50%), 1.50 GiB of memory (+50%)"),
    ]


def test_nothing_is_said_of_what_is_not_known_yet(run: Run) -> None:
    write_planned(run, PLANNED)
    rows = dict(planned_rows(run, State("queued", (Change("queued", 0.0),)), 5.0))
    assert rows["planned"]
    assert rows["actual"] == ""
