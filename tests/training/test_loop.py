import math
import zlib
from pathlib import Path

import pytest
import torch

from maquette.errors import TrainingError
from maquette.events import (
    CheckpointDue,
    Evaluated,
    Event,
    Finished,
    Sampled,
    StepDone,
    from_row,
    to_row,
)
from tests.training.tiny import tiny_spec, tiny_training


def steps(events: list[Event]) -> list[StepDone]:
    return [event for event in events if isinstance(event, StepDone)]


def test_events_come_in_order_and_every_step_once(tmp_path: Path) -> None:
    spec = tiny_spec(
        tmp_path,
        evaluate={"every": 5, "windows": 4},
        sample={"every": 6, "max_new_tokens": 3},
        checkpoint={"every": 4},
    )
    training = tiny_training(tmp_path, spec)
    events = list(training.events(checkpoint_due=lambda step: step % 4 == 0))
    assert [e.step for e in steps(events)] == list(range(1, 13))
    assert [e.step for e in events if isinstance(e, Evaluated)] == [0, 5, 10, 12]
    assert [e.step for e in events if isinstance(e, Sampled)] == [0, 6, 12]
    due = {e.step for e in events if isinstance(e, CheckpointDue)}
    assert due >= {4, 8, 12}
    assert due - {4, 8, 12} <= {5, 10}  # the others only for a better validation loss
    assert events[-1] == Finished(12, "completed")
    assert steps(events)[-1].tokens == 12 * 4 * 16


def test_every_step_says_what_it_was_trained_on(tmp_path: Path) -> None:
    training = tiny_training(tmp_path)
    done = steps(list(training.events()))
    for event in done:
        inputs, targets = training.task.batch(event.step - 1)
        content = inputs.numpy().tobytes() + targets.numpy().tobytes()
        assert event.batch == zlib.crc32(content)
    assert len({event.batch for event in done}) == len(done)


def test_steps_of_runs_from_before_have_no_checksum(tmp_path: Path) -> None:
    row = to_row(StepDone(1, 0.1, 64, 5.0, 1e-3, 0.5, 0.01, 7))
    assert from_row(row) == StepDone(1, 0.1, 64, 5.0, 1e-3, 0.5, 0.01, 7)
    del row["batch"]
    assert from_row(row) == StepDone(1, 0.1, 64, 5.0, 1e-3, 0.5, 0.01, 0)


def test_the_model_learns(tmp_path: Path) -> None:
    spec = tiny_spec(tmp_path, steps=100, learning_rate=0.02)
    evaluated = [e for e in tiny_training(tmp_path, spec).events() if isinstance(e, Evaluated)]
    assert evaluated[0].loss == pytest.approx(math.log(256), rel=0.05)  # a uniform guess
    assert evaluated[-1].loss < 0.6 * evaluated[0].loss
    assert evaluated[-1].bits_per_byte == pytest.approx(evaluated[-1].loss / math.log(2), rel=0.05)
    assert evaluated[-1].perplexity == pytest.approx(math.exp(evaluated[-1].loss))


def test_accumulation_gives_the_gradient_of_the_whole_batch(tmp_path: Path) -> None:
    whole = steps(list(tiny_training(tmp_path, tiny_spec(tmp_path)).events()))
    parts = steps(list(tiny_training(tmp_path, tiny_spec(tmp_path, accumulation=4)).events()))
    for a, b in zip(whole, parts, strict=True):
        assert a.loss == pytest.approx(b.loss, rel=1e-4)
        assert a.gradient_norm == pytest.approx(b.gradient_norm, rel=1e-3)


def test_the_gradient_norm_is_the_one_before_clipping(tmp_path: Path) -> None:
    clipped = steps(list(tiny_training(tmp_path, tiny_spec(tmp_path, gradient_clip=1e-3)).events()))
    free = steps(list(tiny_training(tmp_path, tiny_spec(tmp_path, gradient_clip=None)).events()))
    assert clipped[0].gradient_norm == free[0].gradient_norm > 1e-3


@pytest.mark.parametrize("poison", ["loss", "gradient"])
def test_stops_before_an_update_that_is_not_finite(tmp_path: Path, poison: str) -> None:
    seldom = {"every": 12}
    training = tiny_training(tmp_path, tiny_spec(tmp_path, sample=seldom, evaluate=seldom))
    weight = training.model.get_parameter("blocks.0.feed_forward.output.weight")
    before: dict[str, torch.Tensor] = {}
    events = training.events()
    with pytest.raises(TrainingError, match=f"the {poison} of step 3 is nan") as caught:
        for event in events:
            if isinstance(event, StepDone) and event.step == 2:
                if poison == "loss":
                    weight.data[0, 0] = math.nan
                else:
                    weight.register_hook(lambda g: g * math.nan)  # type: ignore[no-untyped-call]
                before = {k: v.clone() for k, v in training.model.state_dict().items()}
    assert "learning_rate" in (caught.value.hint or "")
    assert training.state.step == 2
    for name, value in training.model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0, equal_nan=True)


def test_fp16_skips_updates_that_overflow_but_not_without_end(tmp_path: Path) -> None:
    seldom = {"every": 100}
    spec = tiny_spec(tmp_path, steps=100, precision="fp16", sample=seldom, evaluate=seldom)
    training = tiny_training(tmp_path, spec)
    weight = training.model.get_parameter("blocks.0.feed_forward.output.weight")
    weight.register_hook(lambda g: g * math.nan)  # type: ignore[no-untyped-call]
    before = weight.clone()
    with pytest.raises(TrainingError, match="the gradient of step 18 is nan"):
        list(training.events())
    assert torch.equal(weight, before)


def test_patience_ends_the_run_early(tmp_path: Path) -> None:
    spec = tiny_spec(
        tmp_path, learning_rate=1e-12, evaluate={"every": 1, "windows": 4, "patience": 3}
    )
    training = tiny_training(tmp_path, spec)
    training.state.best_loss = 0.0  # nothing can be better
    events = list(training.events())
    assert isinstance(events[-1], Finished)
    assert events[-1].reason == "early_stop"
    assert events[-1].step < 12


def test_stop_ends_after_the_step_with_a_checkpoint(tmp_path: Path) -> None:
    training = tiny_training(tmp_path)
    seen: list[Event] = []
    for event in training.events(stop=lambda: len(steps(seen)) >= 3):
        seen.append(event)  # noqa: PERF402 - `stop` reads it meanwhile
    assert seen[-1] == Finished(3, "stopped")
    assert [e.step for e in seen if isinstance(e, CheckpointDue)][-1] == 3


def test_sampling_and_evaluation_leave_the_training_alone(tmp_path: Path) -> None:
    dropout = {"dropout": 0.2}
    often = tiny_spec(
        tmp_path,
        model=dropout,
        evaluate={"every": 1, "windows": 4},
        sample={"every": 1, "max_new_tokens": 4},
    )
    seldom = tiny_spec(tmp_path, model=dropout, evaluate={"every": 12}, sample={"every": 12})
    a = steps(list(tiny_training(tmp_path, often).events()))
    b = steps(list(tiny_training(tmp_path, seldom).events()))
    assert [e.loss for e in a] == [e.loss for e in b]
