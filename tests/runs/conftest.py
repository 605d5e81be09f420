"""A store in a temporary folder, and a run with a little history."""

from pathlib import Path

import pytest

from maquette.events import CheckpointSaved, Evaluated, Finished, Sampled, Started, StepDone
from maquette.runs.recorder import Recorder
from maquette.runs.store import Run, Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


@pytest.fixture
def run(store: Store) -> Run:
    return store.create("tiny", spec_text="name: tiny\n", blueprint_text="{}\n")


def step(number: int, loss: float = 2.0) -> StepDone:
    return StepDone(number, number / 10, 64, loss, 1e-3, 0.5, 0.01)


def save(run: Run, number: int, *, best: bool = False) -> CheckpointSaved:
    def fill(folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(bytes([number % 256]) * 1000)
        (folder / "trainer.json").write_text(f'{{"step": {number}}}\n')

    saved = run.commit_checkpoint(number, fill, best=best)
    return CheckpointSaved(number, best, saved.bytes, 0.0)


def train(run: Run, *, first: int = 1, last: int = 6, every: int = 2, finish: bool = True) -> None:
    """Record steps, with an evaluation and a checkpoint `every` so many."""
    with Recorder(run) as recorder:
        recorder.begin(steps=last, tokens_per_step=64, after_step=first - 1)
        recorder.record(Started(first - 1, last, 1234, "cpu", "float32", False))
        for number in range(first, last + 1):
            recorder.record(step(number, loss=5 - number / 10))
            if number % every == 0:
                best = number <= 4
                recorder.record(Evaluated(number, "validation", 5.0, 148.0, 7.2, None, best, 0.01))
                recorder.record(Sampled(number, "Once", " upon a time"))
                recorder.record(save(run, number, best=best))
        if finish:
            recorder.record(Finished(last, "completed"))
