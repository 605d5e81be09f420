"""What people call a run, and whether they have put it away: label.json, beside the rest.

A run's id never changes: specs, commands and notes refer to it. What may change is here.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from maquette.errors import RunError
from maquette.runs import durable

_LONGEST = 80


@dataclass(frozen=True, slots=True)
class Label:
    """`name`: what people call the run. `archived`: listed only where all runs are asked for."""

    name: str | None = None
    archived: bool = False


def read_label(folder: Path) -> Label:
    """A run's label; one that can't be read is as though there were none."""
    try:
        content = json.loads((folder / "label.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return Label()
    if not isinstance(content, dict):
        return Label()
    name = content.get("name")
    known = name[:_LONGEST] if isinstance(name, str) and name.isprintable() and name else None
    return Label(known, content.get("archived") is True)


def write_label(folder: Path, label: Label) -> None:
    """Put label.json in its place. Raises RunError, also for a name that no line could show."""
    name = label.name
    if name is not None and not (name.strip() == name != "" and name.isprintable()):
        raise RunError(
            f"{name!r} can't be a run's name", hint="one line of text, without space around it"
        )
    if name is not None and len(name) > _LONGEST:
        raise RunError(f"a name of {len(name)} characters", hint=f"{_LONGEST} at most")
    durable.write_json(folder / "label.json", asdict(label))
