"""Searches for tests: trials whose runs are made up, and specs small enough to train."""

from pathlib import Path
from typing import Any

from maquette.search.record import Options, Search, Trial
from maquette.spec.load import load_spec
from tests.training.tiny import tiny_spec


def search_of(folder: Path, **options: Any) -> Search:
    """A search of a preset that has tried nothing yet."""
    spec = load_spec("stories").model_dump(mode="json")
    (folder / "stories-calm-owl").mkdir(exist_ok=True)
    return Search(folder / "stories-calm-owl", spec, "language", Options(**options), 1200)


def tried(search: Search, spec: dict[str, Any], score: float | None, **fields: Any) -> Trial:
    """Put a trial that has ended."""
    number = len(search.trials)
    status = fields.pop("status", "failed" if score is None else "done")
    fields = {"candidate": number, "changes": "", "steps": 100, "step_seconds": 0.1, **fields}
    fields = {"parameters": 1000, "tokens_per_second": 100.0, **fields}
    return search.put(Trial(number=number, spec=spec, status=status, score=score, **fields))


def tiny_data(folder: Path) -> dict[str, Any]:
    """A spec that trains in a moment, in full."""
    return tiny_spec(folder).model_dump(mode="json")
