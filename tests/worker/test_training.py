import json
from pathlib import Path
from typing import Any

import pytest

from maquette import build
from maquette.errors import RunError, TrainingError
from maquette.events import CheckpointSaved, Finished, Started, StepDone
from maquette.runs.store import Run, Store
from maquette.worker import __main__ as worker
from maquette.worker import work
from maquette.worker.training import create_run
from tests.training.tiny import tiny_spec


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAQUETTE_CACHE", str(tmp_path / "cache"))


def new_run(folder: Path, **train: Any) -> Run:
    spec = tiny_spec(folder, checkpoint={"every": 4, "keep": 2}, **train)
    return create_run(spec, Store(folder / "runs"), spec_text="name: tiny\n", device="cpu")


def step_rows(run: Run) -> list[tuple[int, float, float]]:
    return [(e.step, e.loss, e.gradient_norm) for _, e in run.events() if isinstance(e, StepDone)]


def weights(run: Run) -> bytes:
    return (run.checkpoint("latest").path / "model.safetensors").read_bytes()


def test_the_run_directory_is_as_designed(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    events = list(work(run))
    assert isinstance(events[-1], Finished)
    names = {path.name for path in run.path.iterdir()}
    assert names >= {
        "spec.yaml",
        "blueprint.json",
        "meta.json",
        "state.json",
        "metrics.jsonl",
        "worker.log",
        "tokenizer.json",
        "samples",
        "checkpoints",
    }
    assert run.spec_path.read_text() == "name: tiny\n"
    assert run.state().status == "completed"
    files = {path.name for path in run.checkpoint("latest").path.iterdir()}
    assert files == {
        "model.safetensors",
        "optimizer.safetensors",
        "trainer.json",
        "manifest.json",
    }
    rows = [json.loads(line) for line in run.metrics_path.read_text().splitlines()]
    assert [row["event"] for row in rows][:2] == ["started", "note"]
    assert [row["step"] for row in rows if row["event"] == "step"] == list(range(1, 13))


def test_a_run_cut_off_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    whole = new_run(tmp_path)
    list(work(whole))

    cut = new_run(tmp_path)
    worker_events = work(cut)
    saved = 0
    for event in worker_events:
        saved += isinstance(event, CheckpointSaved)
        if isinstance(event, StepDone) and event.step == 7:
            worker_events.close()  # the worker is gone, in the middle of an interval
            break
    assert saved
    assert cut.state().status == "stopped"
    list(work(cut))
    assert step_rows(cut) == step_rows(whole)
    assert weights(cut) == weights(whole)


def test_what_was_measured_at_the_start_stays_so_after_a_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(tmp_path, precision="auto")
    monkeypatch.setattr(build, "choose_precision", lambda wanted, _: wanted.replace("auto", "bf16"))
    for event in work(run):
        if isinstance(event, CheckpointSaved):
            break
    monkeypatch.setattr(build, "choose_precision", lambda wanted, _: wanted.replace("auto", "fp16"))
    list(work(run))
    started = [event for _, event in run.events() if isinstance(event, Started)]
    assert [event.precision for event in started] == ["bf16", "bf16"]


def test_retention_keeps_the_last_and_the_best(tmp_path: Path) -> None:
    run = new_run(tmp_path, steps=24, evaluate={"every": 6, "windows": 4})
    list(work(run))
    steps = [checkpoint.step for checkpoint in run.checkpoints()]
    assert steps[-1] == 24
    assert len(steps) <= 3
    assert run.checkpoint("best").step == run.state().best_step


def test_changed_data_is_refused(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    for event in work(run):
        if isinstance(event, CheckpointSaved):
            break
    text = tmp_path / "text.txt"
    text.write_text(text.read_text().replace("cat", "cow"))  # all counts stay as they are
    with pytest.raises(RunError, match=r"the data of \S+ has changed"):
        list(work(run))
    assert run.state().status == "failed"


def test_the_worker_module_runs_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = new_run(tmp_path)
    assert worker.main([str(run.path)]) == 0
    assert run.state().status == "completed"
    with pytest.raises(SystemExit, match="2"):
        worker.main([])
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["__init__", "events"])
def test_running_out_of_memory_is_told_to_people(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    run = new_run(tmp_path)

    def too_large(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: 51539607552 bytes")

    monkeypatch.setattr(build.Training, part, too_large)
    with pytest.raises(TrainingError, match="out of memory") as caught:
        list(work(run))
    assert "train.batch_size" in (caught.value.hint or "")
    assert run.state().status == "failed"
