"""The state: what events make of it, and what is refused as a state."""

import dataclasses
import json
from typing import Any

import pytest

from maquette.events import CheckpointSaved, Evaluated, Event, Finished, Note, Started, StepDone
from maquette.runs.process import this_process
from maquette.runs.state import Change, Failure, State, Telemetry, rebuild, state_from

EVENTS: list[Event] = [
    Started(0, 100, 1234, "cpu", "float32", False),
    StepDone(1, 0.1, 64, 5.0, 1e-3, 0.5, 0.01),
    Evaluated(1, "validation", 4.0, 54.6, 5.8, None, True, 0.1),
    Note(1, "hello"),
    StepDone(2, 0.2, 128, 4.5, 1e-3, 0.5, 0.01),
    Evaluated(2, "validation", 4.2, 66.7, 6.1, None, False, 0.1),
    Evaluated(2, "test", 1.0, 2.7, 1.4, None, True, 0.1),
    CheckpointSaved(2, True, 1000, 0.1),
]


def test_events_make_the_state() -> None:
    state = State("running")
    for event in EVENTS:
        state = state.after(event)
    assert (state.step, state.steps, state.epoch) == (2, 100, 0.2)
    assert (state.train_loss, state.validation_loss) == (4.5, 4.2)
    assert (state.best_loss, state.best_step, state.checkpoint_step) == (4.0, 1, 2)
    assert (state.device, state.precision, state.parameters) == ("cpu", "float32", 1234)


def test_elapsed_time_leaves_pauses_out() -> None:
    state = State("queued", (Change("queued", 0.0),))
    state = state.changed("running", 10.0).changed("stopped", 30.0).changed("running", 100.0)
    assert state.elapsed_seconds(now=105.0) == 25.0
    assert state.elapsed_seconds(now=50.0) == 20.0  # the clock went back
    lost = State("lost", state.history, heartbeat_at=101.0)
    assert lost.elapsed_seconds(now=1e9) == 21.0


def history(*changes: tuple[Any, float]) -> tuple[Change, ...]:
    return tuple(Change(status, at) for status, at in changes)


def test_a_worker_that_was_lost_counts_up_to_its_last_sign() -> None:
    twice_lost = State(
        "running",
        history(
            ("queued", 0), ("running", 10), ("lost", 40), ("running", 50), ("lost", 60),
            ("running", 100),
        ),
    )  # fmt: skip
    assert twice_lost.elapsed_seconds(now=130.0) == 30 + 10 + 30
    assert twice_lost.kills == 2
    lost_again = dataclasses.replace(twice_lost, status="lost", heartbeat_at=107.0)
    assert lost_again.elapsed_seconds(now=1e9) == 47.0


def test_a_run_that_was_stopped_was_not_killed() -> None:
    stopped = history(("queued", 0), ("running", 10), ("stopped", 40), ("running", 50))
    assert State("running", stopped).kills == 0
    assert State("queued").kills == 0


def whole_state() -> State:
    state = State(
        "failed",
        (Change("failed", 1.0),),
        this_process(),
        error=Failure("a", "b"),
        telemetry=Telemetry(cpu_percent=180.5, memory_bytes=10**9, gpu_note="none"),
    )
    return state.after(EVENTS[0])


def test_a_state_survives_its_file() -> None:
    state = whole_state()
    assert state_from(json.dumps(state.to_json())) == state


def test_what_a_newer_version_added_is_passed_over() -> None:
    value = whole_state().to_json()
    value["mood"] = "sunny"
    for part in ("process", "error", "telemetry"):
        value[part]["mood"] = {"sunny": True}
    value["history"][0]["mood"] = None
    assert state_from(json.dumps(value)) == whole_state()


def test_an_older_version_wrote_no_telemetry() -> None:
    value = whole_state().to_json()
    del value["telemetry"]
    assert state_from(json.dumps(value)) == dataclasses.replace(whole_state(), telemetry=None)
    value["telemetry"] = {"memory_bytes": 5}
    assert state_from(json.dumps(value)).telemetry == Telemetry(memory_bytes=5)


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(State)])
def test_a_key_that_is_damaged_is_no_key_of_another_version(name: str) -> None:
    value = {key.replace(name, f"{name}x"): v for key, v in whole_state().to_json().items()}
    if name in ("telemetry", "sources", "accuracy", "doing"):
        assert not getattr(state_from(json.dumps(value)), name)  # nothing hangs on them
    else:
        with pytest.raises(ValueError):
            state_from(json.dumps(value))


@pytest.mark.parametrize(
    "change",
    [
        {"status": "dancing"},
        {"step": "three"},
        {"step": 2**63},
        {"heartbeat_at": -(10**400)},
        {"epoch": None},
        {"history": [{"status": "running"}]},
        {"history": [{"status": "running", "at": "noon"}]},
        {"error": {"nothing": 1}},
        {"history": 5},
        {"history": [5]},
        {"history": [{"status": "asleep", "at": 1.0}]},
        {"telemetry": 5},
        {"telemetry": {"cpu_percent": "much"}},
    ],
)
def test_what_is_not_a_state(change: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        state_from(json.dumps({**State("queued").to_json(), **change}))
    with pytest.raises(ValueError):
        state_from("[]")
    with pytest.raises(ValueError):
        state_from('{"status": "queued"}')


def test_a_state_is_rebuilt_from_events() -> None:
    rows = [(float(i), event) for i, event in enumerate(EVENTS, start=1)]
    state = rebuild(rows, created_at=0.0, alive=False)
    assert state.status == "running"
    assert state.step == 2
    assert state.heartbeat_at == 8.0
    rows.append((9.0, Finished(2, "stopped")))
    state = rebuild(rows, created_at=0.0, alive=False)
    assert [change.status for change in state.history] == ["queued", "running", "stopped"]
    assert rebuild(rows, created_at=0.0, alive=True).status == "running"
    rows.append((10.0, Finished(2, "early_stop")))
    assert rebuild(rows, created_at=0.0, alive=False).status == "completed"
