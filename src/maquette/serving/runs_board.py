"""What the page of runs is told: rows of all runs, and everything about one."""

import contextlib
import itertools
import json
import os
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maquette.errors import RunError
from maquette.forecast import forecast_run
from maquette.runs.durable import finite
from maquette.runs.label import read_label
from maquette.runs.state import ACTIVE, State
from maquette.runs.store import Run, Store
from maquette.runs.tail import Tail, TimedEvent, glimpse
from maquette.serving.runs_curves import curves, running_clock

FRESH_SECONDS = 0.9
"""For so long a listing serves everybody who asks: a page asks every two seconds."""
_FILES = ("meta.json", "state.json", "metrics.jsonl", "label.json")
_CURVE_POINTS = 40
_SAMPLES, _SAMPLE_BYTES = 5, 8000
_LOG_LINES, _LINE_CHARACTERS = 200, 1000
_MESSAGE_CHARACTERS = 2000
_SOURCES = 32
_SAMPLE_NAME = re.compile(r"step-(\d{1,15})\.txt")


@dataclass(slots=True)
class _Known:
    """What was found out about a run, and what its files looked like then."""

    run: Run
    look: object
    row: dict[str, Any]


class Board:
    """A folder of runs. Whatever is in it, every method answers; for any number of threads."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._known: dict[str, _Known] = {}
        self._lock = threading.Lock()
        self._rows: list[dict[str, Any]] = []
        self._listed_at = -FRESH_SECONDS
        self._listing: bytes | None = None

    def rows(self) -> list[dict[str, Any]]:
        """All runs, newest first. Raises RunError where the folder can't be read."""
        with self._lock:
            self._refresh()
            return self._rows

    def listing(self) -> bytes:
        """All runs that aren't put away, newest first, as JSON. Raises RunError."""
        with self._lock:
            self._refresh()
            if self._listing is None:
                rows = [row for row in self._rows if not row["archived"]]
                self._listing = to_json({"folder": str(self.store.root), "runs": rows})
            return self._listing

    def _refresh(self) -> None:
        if time.monotonic() - self._listed_at < FRESH_SECONDS:
            return
        known = {path.name: self._look_at(path) for path in self.store.paths()}
        self._known = {name: one for name, one in known.items() if one is not None}
        self._rows = sorted(
            (one.row for one in self._known.values()),
            key=lambda row: (-(row["created_at"] or 0), row["id"]),
        )
        self._listing = None
        self._listed_at = time.monotonic()

    def _look_at(self, path: Path) -> _Known | None:
        """What is known of a run; its files are read again only where they have changed."""
        known = self._known.get(path.name)
        look = [_look(path / name) for name in _FILES]
        if known is not None and known.look == look and known.row["status"] not in ACTIVE:
            return known
        run = Run(path)
        row = row_of(run, state_of(run))
        if known is not None and known.look == look:
            row["curve"] = known.row["curve"]
        else:
            steps = glimpse(run.metrics_path, _CURVE_POINTS)
            row["curve"] = [float(f"{step.loss:.4g}") for step in steps]
        gone = _look(path / "meta.json") is None
        return None if gone else _Known(run, look, finite(row))


def row_of(run: Run, state: State) -> dict[str, Any]:
    """A run in short. Times are Unix seconds, losses in nats per token."""
    ends, label = None, read_label(run.path)
    if state.eta_seconds is not None and state.heartbeat_at is not None:
        ends = state.heartbeat_at + state.eta_seconds
    return {
        "id": run.id,
        "name": label.name,
        "archived": label.archived,
        "kind": run.meta.kind[:_LINE_CHARACTERS],
        "status": state.status,
        "doing": state.doing[:_LINE_CHARACTERS] if state.doing else None,
        "created_at": run.meta.created_at,
        "heartbeat_at": state.heartbeat_at,
        "ends_at": ends,
        "step": state.step,
        "steps": state.steps,
        "train_loss": state.train_loss,
        "validation_loss": state.validation_loss,
        "accuracy": state.accuracy,
        "tokens_per_second": state.tokens_per_second,
        "unit": run.meta.unit,
        "device": (state.device or run.meta.device)[:_LINE_CHARACTERS],
        "error": state.error.message[:_MESSAGE_CHARACTERS] if state.error else None,
    }


def details(run: Run) -> bytes:
    """Everything about a run but its curves, as JSON."""
    state, meta = state_of(run), run.meta
    commit = str((meta.git or {}).get("commit", ""))[:40]
    return to_json(
        {
            **row_of(run, state),
            "hint": (state.error.hint or "")[:_MESSAGE_CHARACTERS] if state.error else None,
            "epoch": state.epoch,
            "best_loss": state.best_loss,
            "best_step": state.best_step,
            "forecast": told.to_json() if (told := forecast_run(run, state)) else None,
            "elapsed_seconds": round(state.elapsed_seconds(time.time()), 1),
            "parameters": state.parameters,
            "precision": state.precision,
            "compiled": state.compiled,
            "telemetry": state.to_json()["telemetry"],
            "sources": state.to_json()["sources"][:_SOURCES],
            "process": str(state.process) if state.process else None,
            "command": " ".join(meta.command)[:_MESSAGE_CHARACTERS],
            "commit": commit + (" and changes" if (meta.git or {}).get("dirty") else ""),
            "path": str(run.path),
            "checkpoints": [
                {"step": c.step, "best": c.best, "bytes": c.bytes} for c in run.checkpoints()[-50:]
            ],
            "samples": samples(run.samples_path),
            "log": [line[:_LINE_CHARACTERS] for line in run.log_tail(_LOG_LINES)],
        }
    )


def metrics(run: Run, after: str | None) -> bytes:
    """A run's curves as JSON: all, or what is new after the cursor that an answer before gave.

    With `anew`, what was known before no longer counts. Raises ValueError for what is no cursor,
    and RunError.
    """
    tail = Tail(run.metrics_path)
    if after is not None:
        tail.go_on(after)
    state = state_of(run)
    news = tail.read()
    found = curves(news.history + news.events, running_clock(state))
    return to_json({"cursor": tail.cursor, "anew": news.anew, **found})


def state_of(run: Run) -> State:
    """The state as of now; of a large run whose state.json is damaged, by some of its events."""
    return run.state(_Events(run))


class _Events:
    """A run's events, far apart where they are many; read when they are asked for."""

    def __init__(self, run: Run) -> None:
        self._path = run.metrics_path

    def __iter__(self) -> Iterator[TimedEvent]:
        with contextlib.suppress(RunError):
            news = Tail(self._path).read()
            yield from itertools.chain(news.history, news.events)


def to_json(value: Any) -> bytes:
    """Strict JSON in ASCII: texts from a folder may hold what UTF-8 can't."""
    return json.dumps(finite(value), allow_nan=False, separators=(",", ":")).encode("ascii")


def samples(folder: Path) -> list[dict[str, Any]]:
    """The newest texts that the model wrote while it was trained, the newest first."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 - names, not paths
    except OSError:
        return []
    found = [(int(match[1]), name) for name in names if (match := _SAMPLE_NAME.fullmatch(name))]
    samples = []
    for step, name in sorted(found, reverse=True)[:_SAMPLES]:
        with contextlib.suppress(OSError), (folder / name).open("rb") as file:
            data = file.read(_SAMPLE_BYTES + 1)
            text = data[:_SAMPLE_BYTES].decode("utf-8", "replace")
            samples.append({"step": step, "text": text, "cut": len(data) > _SAMPLE_BYTES})
    return samples


def _look(path: Path) -> tuple[int, int, int] | None:
    """Something that differs once a file has been written to; None where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
