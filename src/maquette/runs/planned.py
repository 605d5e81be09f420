"""What a run was expected to take when it began: plan.json in its directory."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from maquette.quantities import format_bytes, format_count, format_duration
from maquette.runs import durable
from maquette.runs.state import State
from maquette.runs.store import Run

_NAME = "plan.json"


@dataclass(frozen=True, slots=True)
class Planned:
    """The estimate that its first worker made: of the steps alone, without evaluations."""

    seconds: float
    tokens_per_second: float
    memory_bytes: int  # of the process on a CPU, of the device elsewhere
    measured_flops_per_second: float

    def to_json(self) -> dict[str, Any]:
        """As it is written."""
        return asdict(self)


def write_planned(run: Run, planned: Planned) -> None:
    """Put plan.json in its place. Raises RunError."""
    durable.write_json(run.path / _NAME, planned.to_json())


def read_planned(run: Run) -> Planned | None:
    """What was expected; None for runs from before it was written down, or if it is damaged."""
    try:
        value = json.loads((run.path / _NAME).read_text(encoding="utf-8"))
        return Planned(
            seconds=float(value["seconds"]),
            tokens_per_second=float(value["tokens_per_second"]),
            memory_bytes=int(value["memory_bytes"]),
            measured_flops_per_second=float(value["measured_flops_per_second"]),
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def actual(state: State, now: float) -> dict[str, Any]:
    """What the run takes, as far as it is known: the same keys as those of what was planned."""
    memory = None
    if (telemetry := state.telemetry) is not None:
        memory = telemetry.gpu_memory_bytes or telemetry.memory_bytes
    seconds = None
    if state.step and state.status in ("running", "completed"):
        seconds = state.elapsed_seconds(now) + (state.eta_seconds or 0.0)
    return {
        "seconds": seconds,
        "tokens_per_second": state.tokens_per_second,
        "memory_bytes": memory,
    }


def planned_rows(run: Run, state: State, now: float) -> list[tuple[str, str]]:
    """What was expected and what is, in words; none for a run of which nothing was."""
    planned = read_planned(run)
    if planned is None:
        return []
    forms: dict[str, Callable[[float], str]] = {
        "seconds": format_duration,
        "tokens_per_second": lambda value: f"{format_count(value)} {run.meta.unit}/s",
        "memory_bytes": lambda value: f"{format_bytes(value)} of memory",
    }
    expected, happened = [], []
    for key, value in actual(state, now).items():
        was = getattr(planned, key)
        expected.append(forms[key](was))
        if value is not None and was > 0:
            happened.append(f"{forms[key](value)} ({value / was - 1:+.0%})")
    return [("planned", ", ".join(expected)), ("actual", ", ".join(happened))]
