"""A training small enough for a test, on text that it makes itself."""

from pathlib import Path
from typing import Any

from maquette.blueprint.resolve import resolve
from maquette.build import Training
from maquette.data.prepare import Prepared, prepare
from maquette.spec.schema import Spec

WORDS = ("the", "cat", "sat", "on", "a", "mat", "and", "the", "dog", "ran", "to", "a", "hat")


def write_text(folder: Path, words: int = 1500) -> Path:
    """A text file with a rhythm to learn."""
    file = folder / "text.txt"
    lines = [" ".join(WORDS[(i * 7 + j * j) % len(WORDS)] for j in range(6)) for i in range(words)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def tiny_spec(folder: Path, *, model: dict[str, Any] | None = None, **train: Any) -> Spec:
    """A spec of a few thousand parameters, a dozen steps, and a text of its own."""
    return Spec.model_validate(
        {
            "name": "tiny",
            "seed": 3,
            "model": {"depth": 2, "width": 16, "heads": 2, "context": 16, **(model or {})},
            "data": {"sources": {"text": {"kind": "files", "path": str(write_text(folder))}}},
            "train": {
                "steps": 12,
                "batch_size": 4,
                "precision": "float32",
                "compile": False,
                "evaluate": {"windows": 4},
                "sample": {"max_new_tokens": 4},
                **train,
            },
        }
    )


def prepared(folder: Path, spec: Spec) -> Prepared:
    """The spec's data, in a cache inside the folder."""
    return prepare(spec, cache=folder / "cache")


def tiny_training(folder: Path, spec: Spec | None = None) -> Training:
    """The whole training at step 0."""
    spec = spec or tiny_spec(folder)
    data = prepared(folder, spec)
    return Training(resolve(spec, data.facts), data, device="cpu")
