"""A finished run of a tiny model, made without training it."""

from pathlib import Path
from typing import Any

from maquette.blueprint import serial
from maquette.blueprint.resolve import resolve
from maquette.build import Training
from maquette.data.prepare import Prepared, prepare
from maquette.runs.store import Run, Store
from maquette.spec.schema import Spec

WORDS = ("the", "cat", "sat", "on", "a", "mat", "and", "the", "dog", "ran", "to", "a", "hat")


def write_texts(folder: Path) -> dict[str, Any]:
    """Two sources with a test split each, as a spec names them."""
    sources = {}
    for name, shift in (("first", 0), ("second", 5)):
        for split, lines in (("train", 200), ("validation", 20), ("test", 10)):
            text = "\n".join(
                " ".join(WORDS[(i * 7 + shift + j * j) % len(WORDS)] for j in range(6))
                for i in range(lines)
            )
            (folder / f"{name}-{split}.txt").write_text(text, encoding="utf-8")
        sources[name] = {
            "kind": "files",
            "path": str(folder / f"{name}-train.txt"),
            "validation_path": str(folder / f"{name}-validation.txt"),
            "test_path": str(folder / f"{name}-test.txt"),
        }
    return sources


def trained_run(folder: Path, *, steps: tuple[int, ...] = (1, 2, 3), best: int = 2) -> Run:
    """A run in `folder`/runs with checkpoints of these steps; each has other weights."""
    spec = Spec.model_validate(
        {
            "name": "tiny",
            "model": {"depth": 1, "width": 16, "heads": 2, "context": 16},
            "data": {"sources": write_texts(folder)},
            "train": {"steps": max(steps), "batch_size": 4, "precision": "float32"},
        }
    )
    data = prepared(folder, spec)
    blueprint = resolve(spec, data.facts)
    run = Store(folder / "runs").create(
        spec.name,
        spec_text=spec.model_dump_json(),
        spec=spec.model_dump(mode="json"),
        blueprint_text=serial.to_json(blueprint),
    )
    data.tokenizer.save(run.tokenizer_path)
    training = Training(blueprint, data, device="cpu")
    for step in steps:
        training.state.step = step
        for p in training.model.parameters():
            p.data += 0.05 * step * p.data.sign()
        run.commit_checkpoint(step, training.save, best=step == best)
    return run


def prepared(folder: Path, spec: Spec) -> Prepared:
    """The data of a spec, in a cache inside the folder."""
    return prepare(spec, cache=folder / "cache")
