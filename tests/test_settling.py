"""A budget is settled once, and the run keeps what it came to."""

from pathlib import Path

import pytest

from maquette import settling
from maquette.errors import RunError
from maquette.events import StepDone
from maquette.facts import MachineFacts
from maquette.reading import RESOLVED, language_blueprint, read_blueprint, run_spec
from maquette.runs.store import Run, Store
from maquette.settling import measure, plan_spec
from maquette.spec.budget import budget, to_data
from maquette.spec.schema import Spec
from maquette.worker import work
from maquette.worker.training import create_run
from tests.training.tiny import write_text


@pytest.fixture(autouse=True)
def _machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = MachineFacts("cpu", flops_per_second=2e10)
    monkeypatch.setattr(settling, "measure", lambda spec, device: facts)
    monkeypatch.setenv("MAQUETTE_CACHE", str(tmp_path / "cache"))


def minutes_spec(folder: Path) -> Spec:
    return Spec.model_validate(
        {
            "name": "short",
            "model": {"minutes": 0.003, "context": 16, "norm": "layer", "mlp": "relu2"},
            "data": {"sources": {"text": {"kind": "files", "path": str(write_text(folder, 400))}}},
            "train": {
                "precision": "float32",
                "compile": False,
                "evaluate": {"windows": 4},
                "sample": {"max_new_tokens": 4},
                "checkpoint": {"every": 10},
            },
        }
    )


def unprepared(spec: Spec, folder: Path) -> Run:
    """As `train --detach` makes it: its worker settles the budget."""
    return Store(folder / "runs").create("short", spec_text="", spec=to_data(spec), device="cpu")


def losses(run: Run) -> list[float]:
    return [event.loss for _, event in run.events() if isinstance(event, StepDone)]


def test_a_run_keeps_what_its_budget_came_to(tmp_path: Path) -> None:
    spec = minutes_spec(tmp_path)
    run = create_run(spec, Store(tmp_path / "runs"), spec_text="", device="cpu")
    kept = run_spec(run)
    shape = language_blueprint(run).shape
    assert isinstance(kept, Spec)
    assert budget(spec)
    assert not budget(kept)
    assert (kept.model.depth, kept.model.width) == (shape.depth, shape.width)
    text = (run.path / RESOLVED).read_text()
    assert f"#   model.depth {shape.depth}: width / depth" in text


def test_resuming_measures_nothing_and_repeats_every_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = minutes_spec(tmp_path)
    whole, parts = (unprepared(spec, tmp_path) for _ in range(2))
    assert budget(run_spec(whole))
    list(work(whole))
    events = work(parts)
    for event in events:
        if isinstance(event, StepDone) and event.step == 25:
            break
    events.close()

    def refuse(*_: object) -> MachineFacts:
        raise AssertionError("a resumed run must not depend on a new measurement")

    monkeypatch.setattr(settling, "measure", refuse)
    list(work(parts))
    assert len(losses(whole)) > 30
    assert losses(parts) == losses(whole)
    assert read_blueprint(parts) == read_blueprint(whole)
    assert run_spec(parts) == run_spec(whole)
    assert not budget(run_spec(parts))


def test_a_kill_after_settling_leaves_the_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = unprepared(minutes_spec(tmp_path), tmp_path)
    work_begun = work(run)
    next(work_begun)
    work_begun.close()
    blueprint = read_blueprint(run)
    run.blueprint_path.unlink()  # the kill came between the two files
    faster = MachineFacts("cpu", flops_per_second=9e10)
    monkeypatch.setattr(settling, "measure", lambda spec, device: faster)
    next(again := work(run))
    again.close()
    assert read_blueprint(run) == blueprint


def test_a_damaged_choice_is_told(tmp_path: Path) -> None:
    run = unprepared(minutes_spec(tmp_path), tmp_path)
    (run.path / RESOLVED).write_text("model: {depth: x}\n")
    with pytest.raises(RunError, match=r"resolved\.yaml is damaged"):
        run_spec(run)


def test_data_without_what_is_to_be_chosen() -> None:
    spec = Spec.model_validate(
        {"model": {"parameters": "1M", "depth": 2}, "tokenizer": {"kind": "bpe"}}
    )
    data = to_data(spec)
    assert data["model"]["depth"] == 2
    assert "width" not in data["model"]
    assert data["tokenizer"] == {"kind": "bpe"}
    assert data["task"] == "language"
    again = Spec.model_validate(data)
    assert budget(again) == {"parameters": 10**6}
    assert again.model.model_fields_set >= {"depth", "parameters"}
    assert "width" not in again.model.model_fields_set
    assert "width" in to_data(Spec())["model"]


def test_without_a_budget_nothing_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("MAQUETTE_CACHE", str(tmp_path / "cache"))
    assert measure(Spec(), "cuda:99") == MachineFacts("cuda:99")
    spec = minutes_spec(tmp_path)
    parameters = {"parameters": 20_000, "minutes": None}
    spec = spec.model_copy(update={"model": spec.model.model_copy(update=parameters)})
    assert abs(plan_spec(spec, device="cpu").blueprint.parameters["total"] / 20_000 - 1) <= 0.03


def test_what_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    from maquette.training import device

    monkeypatch.undo()
    monkeypatch.setattr(
        device, "measure_rates", lambda *_, **__: {"float32": 1e11, "bf16": 1e11, "fp16": 1e11}
    )
    spec = Spec.model_validate(
        {"model": {"minutes": 1, "latency": "5ms"}, "train": {"precision": "float32"}}
    )
    facts = measure(spec, "cpu")
    assert facts.flops_per_second == 0.5e11
    assert facts.read_bytes_per_second is not None
    assert facts.block_seconds is not None
    assert 1e8 < facts.read_bytes_per_second < 1e13
    assert 1e-7 < facts.block_seconds < 1
