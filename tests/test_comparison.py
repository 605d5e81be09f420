"""Runs side by side, against values worked out by hand from what was written down of them."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from maquette.blueprint import serial
from maquette.blueprint.resolve import resolve
from maquette.blueprint.resolve_images import resolve_images
from maquette.comparison import ABSENT, IMAGE_LOSS, LOSS, Point, between, compare, flat, winners
from maquette.errors import UsageError
from maquette.events import Evaluated, Started, StepDone, to_row
from maquette.runs.state import Change, State
from maquette.runs.store import Run, Store
from maquette.spec.image import ImageSpec
from maquette.spec.load import parse_spec
from maquette.spec.schema import Spec
from tests.blueprint.test_resolve import facts as text_facts
from tests.blueprint.test_resolve_images import facts as image_facts

BEGIN_AT = 1.7e9


def make_run(
    store: Store,
    spec: str = "",
    *,
    losses: Sequence[float] = (5.0, 4.0, 3.0),
    every: int = 10,
    step_seconds: float = 1.0,
    bytes_per_token: float = 1.0,
    tokenizer: str = "{}",
    name: str = "run",
) -> Run:
    """A run that ended, with a loss for each evaluation: at step 0 and every so many.

    The training loss is the same as the validation loss until the next evaluation.
    """
    parsed = parse_spec(f"name: {name}\n{spec}", origin="spec")
    if isinstance(parsed, ImageSpec):
        text = serial.to_json(resolve_images(parsed, image_facts()))
    else:
        assert isinstance(parsed, Spec)
        text = serial.to_json(resolve(parsed, text_facts()))
    run = store.create(
        name, spec_text=spec, spec=parsed.model_dump(mode="json"), blueprint_text=text
    )
    run.tokenizer_path.write_text(tokenizer)
    steps = every * (len(losses) - 1)
    rows: list[dict[str, Any]] = [
        {"at": BEGIN_AT, **to_row(Started(0, steps, 1000, "cpu", "float32", False))}
    ]
    for i, loss in enumerate(losses):
        for step in range((i - 1) * every + 1, i * every + 1) if i else ():
            done = StepDone(step, 0.1, step * 64, losses[i - 1], 1e-3, 0.5, step_seconds)
            rows.append({"at": BEGIN_AT + step * step_seconds, **to_row(done)})
        told = Evaluated(
            i * every,
            "validation",
            loss,
            bits_per_byte=loss / bytes_per_token / 0.7,
            best=loss == min(losses[: i + 1]),
            accuracy=1 - loss / 10 if isinstance(parsed, ImageSpec) else None,
        )
        rows.append({"at": BEGIN_AT + i * every * step_seconds, **to_row(told)})
    run.metrics_path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    end = BEGIN_AT + steps * step_seconds
    state = State(
        "completed",
        (Change("running", BEGIN_AT), Change("completed", end)),
        step=steps,
        steps=steps,
        best_loss=min(losses),
        best_step=every * losses.index(min(losses)),
        device="cpu",
        precision="float32",
        compiled=False,
    )
    run.state_path.write_text(json.dumps(state.to_json()))
    return run


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def values(points: Sequence[Point | None]) -> list[Any]:
    return [None if point is None else pytest.approx(point.value) for point in points]


def test_only_keys_that_differ_with_defaults_resolved(store: Store) -> None:
    first = make_run(store, "train: {steps: 400, schedule: {kind: linear}}")
    second = make_run(
        store,
        "train: {steps: 800, evaluate: {every: 20}, optimizer: {kind: muon}}\nmodel: {kv_heads: 4}",
        name="other",
    )
    found = compare([first, second]).differences
    assert found["train.steps"] == (400, 800)
    assert found["train.schedule.kind"] == ("linear", "cosine")
    assert found["train.schedule.warmup_steps"] == (20, 40)  # a twentieth of the run
    assert found["train.optimizer.kind"] == ("adamw", "muon")
    assert found["train.optimizer.momentum"] == (ABSENT, 0.95)
    # What was written is what the other's default comes to: a twentieth of 400, and every head.
    assert "train.evaluate.every" not in found or found["train.evaluate.every"] == (20, 20)
    assert "model.kv_heads" not in found
    assert not {"name", "train.batch_size", "seed"} & found.keys()


def test_final_and_best(store: Store) -> None:
    first = make_run(store, losses=(5, 3, 2, 2.5))
    second = make_run(store, losses=(5, 4, 1.5))
    [measured] = compare([first, second]).measured
    assert measured.measure == LOSS
    assert values(measured.final) == [2.5, 1.5]
    assert values(measured.best) == [2.0, 1.5]
    assert [p.step for p in measured.best if p] == [20, 20]


def test_at_equal_steps_and_times_values_lie_between_evaluations(store: Store) -> None:
    # The first: 30 steps of a second, judged every 10. The second: 24 steps of 2 s, every 6.
    first = make_run(store, losses=(5, 4, 3, 2.5))
    second = make_run(store, losses=(5, 4.4, 4, 3.8, 3.6), every=6, step_seconds=2.0)
    [measured] = compare([first, second]).measured
    steps, seconds = measured.equal
    assert (steps.axis, steps.at) == ("step", 24)
    assert values(steps.values) == [2.8, 3.6]  # 3 + 4/10 of the way to 2.5
    assert [p.between for p in steps.values if p] == [True, False]
    assert seconds.axis == "seconds"
    assert seconds.at == pytest.approx(30)
    assert values(seconds.values) == [2.5, pytest.approx(3.9)]  # step 15, half way from 12 to 18


def test_equal_amounts_where_batches_differ(store: Store) -> None:
    first = make_run(store, "train: {batch_size: 8}", losses=(5, 4, 3))
    second = make_run(store, "train: {batch_size: 16}", losses=(5, 3.5, 3))
    equal = {e.axis: e for e in compare([first, second]).measured[0].equal}
    assert equal["amount"].at == 20 * 8 * 256  # steps, windows, tokens of a window
    assert values(equal["amount"].values) == [3.0, 3.5]
    same = compare([first, make_run(store, "train: {batch_size: 8}")])
    assert [e.axis for e in same.measured[0].equal] == ["step", "seconds"]


def test_other_tokenizers_are_compared_by_bits_per_byte(store: Store) -> None:
    first = make_run(store, losses=(5, 2.1), bytes_per_token=1.0)
    second = make_run(
        store,
        "tokenizer: {kind: bpe, vocabulary: 512}",
        losses=(6, 3.5),
        bytes_per_token=2.5,
        tokenizer='{"other": 1}',
    )
    comparison = compare([first, second])
    [measured] = comparison.measured
    assert measured.measure.key == "bits_per_byte"
    assert values(measured.final) == [pytest.approx(3.0), pytest.approx(2.0)]
    assert any("tokenizers differ" in note for note in comparison.notes)


def test_tokenizers_differ_by_what_is_said_of_them_too(store: Store) -> None:
    runs = [
        make_run(store, f"tokenizer: {{kind: bpe, vocabulary: {size}}}") for size in (512, 1024)
    ]
    for run in runs:
        run.tokenizer_path.unlink()
    assert compare(runs).measured[0].measure.key == "bits_per_byte"
    for run in runs:
        text = run.metrics_path.read_text()
        run.metrics_path.write_text(
            re.sub(r'"bits_per_byte": [0-9.]+', '"bits_per_byte": null', text)
        )
    comparison = compare(runs)
    assert values(comparison.measured[0].final) == [3.0, 3.0]
    assert comparison.notes == (
        "the tokenizers differ, so a lower loss per token need not be better",
    )


def test_a_place_that_only_one_run_has_been_at_is_none(store: Store) -> None:
    early, late = make_run(store, losses=(5, 4)), make_run(store, losses=(5, 4, 3), every=30)
    rows = [json.loads(line) for line in late.metrics_path.read_text().splitlines()]
    kept = [row for row in rows if row["event"] != "evaluated" or row["step"]]
    late.metrics_path.write_text("".join(json.dumps(row) + "\n" for row in kept))
    assert compare([early, late]).measured[0].equal == ()


def test_images_by_accuracy_and_loss(store: Store) -> None:
    image = "task: image-classification"
    first = make_run(store, image, losses=(2.3, 1.0, 1.2))
    second = make_run(store, f"{image}\ntrain: {{batch_size: 64}}", losses=(2.3, 1.5, 0.9))
    comparison = compare([first, second])
    accuracy, loss = comparison.measured
    assert values(accuracy.best) == [0.9, 0.91]
    assert loss.measure == IMAGE_LOSS
    assert values(loss.best) == [1.0, 0.9]
    assert comparison.courses[0].unit == "images"
    assert winners(accuracy.final, accuracy.measure) == {1}


def test_what_they_are_judged_by_is_said_to_differ(store: Store) -> None:
    same = compare([make_run(store), make_run(store, "train: {learning_rate: 0.01}")])
    assert same.notes == ()
    longer = make_run(store, "model: {context: 128}")
    [note] = compare([make_run(store), longer]).notes
    assert "judged by differs" in note
    assert "model.context" in note


def test_a_run_without_metrics_is_named(store: Store) -> None:
    first, second, third = make_run(store), make_run(store, losses=(5, 2)), make_run(store)
    third.metrics_path.unlink()
    comparison = compare([first, second, third])
    assert comparison.notes == (f"{third.id}: has no metrics yet",)
    assert values(comparison.measured[0].final) == [3.0, 2.0, None]
    assert values(comparison.measured[0].equal[0].values) == [4.0, 2.0, None]


def test_a_damaged_run_keeps_its_curve(store: Store) -> None:
    first, second = make_run(store), make_run(store, losses=(5, 2, 1))
    (second.path / "meta.json").write_text("{broken")
    comparison = compare([first, Run(second.path)])
    assert values(comparison.measured[0].final) == [3.0, 1.0]
    assert comparison.differences == {}
    assert any("meta.json" in note for note in comparison.notes)


def test_what_is_refused(store: Store) -> None:
    first = make_run(store)
    with pytest.raises(UsageError, match="two runs"):
        compare([first, Run(first.path)])
    with pytest.raises(UsageError, match="9 runs"):
        compare([first, *(make_run(store) for _ in range(8))])
    with pytest.raises(UsageError, match="different tasks"):
        compare([first, make_run(store, "task: image-classification")])


def test_json_names_runs_and_leaves_out_what_one_lacks(store: Store) -> None:
    first = make_run(store)
    second = make_run(store, "train: {optimizer: {kind: muon}}")
    found = json.loads(json.dumps(compare([first, second]).to_json()))
    assert [run["letter"] for run in found["runs"]] == ["A", "B"]
    assert found["differences"]["train.optimizer.momentum"] == {second.id: 0.95}
    [measure] = found["measures"]
    assert measure["final"][first.id] == {
        "step": 20, "seconds": 20.0, "amount": 20 * 32 * 256, "value": 3.0, "between": False
    }  # fmt: skip
    assert [e["axis"] for e in measure["equal"]] == ["step", "seconds"]


def test_between() -> None:
    line = [Point(0, 0.0, 0, 4.0), Point(10, None, 20, 2.0)]
    assert between(line, "step", 5) == Point(5, None, 10, 3.0, between=True)
    assert between(line, "step", 11) is None
    assert between(line, "step", 10) is line[1]
    assert between([], "step", 1) is None


def test_winners_share_what_four_digits_cannot_tell() -> None:
    points = [Point(1, 1, 1, v) for v in (1.23456, 1.23459, 1.3)]
    assert winners(points, LOSS) == {0, 1}
    assert winners([points[0], None], LOSS) == set()


def test_flat() -> None:
    assert flat({"a": {"b": 1, "c": {"d": [1]}}, "e": None}) == {"a.b": 1, "a.c.d": [1], "e": None}
