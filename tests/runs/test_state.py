"""The state: what events make of it, and what is refused as a state."""

import json

import pytest

from maquette.events import CheckpointSaved, Evaluated, Event, Finished, Note, Started, StepDone
from maquette.runs.process import this_process
from maquette.runs.state import Change, Failure, State, rebuild, state_from

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


def test_a_state_survives_its_file() -> None:
    state = State("failed", (Change("failed", 1.0),), this_process(), error=Failure("a", "b"))
    state = state.after(EVENTS[0])
    assert state_from(json.dumps(state.to_json())) == state


@pytest.mark.parametrize(
    "change",
    [
        {"status": "dancing"},
        {"step": "three"},
        {"epoch": None},
        {"history": [{"status": "running"}]},
        {"history": [{"status": "running", "at": "noon"}]},
        {"error": {"nothing": 1}},
        {"history": 5},
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
