"""status: everything about a run, as names and values or as JSON."""

import dataclasses
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.cli import common
from maquette.cli.common import Json, RunName, RunsDir
from maquette.cli.table import Cell, paint, print_pairs, terminal_width
from maquette.errors import RunError
from maquette.quantities import format_bytes, format_count, format_duration
from maquette.runs.label import read_label

if TYPE_CHECKING:
    from maquette.runs.state import State
    from maquette.runs.store import Run

_COLOURS = {
    "queued": "yellow",
    "running": "green",
    "completed": "cyan",
    "stopped": "yellow",
    "failed": "red",
    "lost": "red",
}
_LOG_LINES = 15
_SILENT_SECONDS = 15.0  # of a running one; its state is written once a second or once a step


def status(name: RunName = "latest", as_json: Json = False, runs_dir: RunsDir = None) -> None:
    """Show everything about a run."""
    run = common.open_store(runs_dir).find(name)
    state = run.state()
    if as_json:
        common.print_json(_details(run, state))
        return
    print_pairs(status_pairs(run, state), width=terminal_width())
    if state.status in ("failed", "lost") and (lines := run.log_tail(_LOG_LINES)):
        print(f"\nthe end of {_path(run.log_path)}:")
        for line in lines:
            print(paint(f"  {line}", "dim"))


def summary(run: "Run", state: "State") -> dict[str, Any]:
    """A run's state as a JSON-ready object, with what identifies it."""
    return {
        "id": run.id,
        "path": str(run.path),
        **dataclasses.asdict(read_label(run.path)),
        "created_at": run.meta.created_at,
        "kind": run.meta.kind,
        "damage": run.damage,
        **state.to_json(),
        "elapsed_seconds": state.elapsed_seconds(time.time()),
    }


def _details(run: "Run", state: "State") -> dict[str, Any]:
    from maquette.forecast import forecast_run
    from maquette.runs.planned import actual, read_planned

    checkpoints = [
        {"step": c.step, "best": c.best, "bytes": c.bytes, "path": str(c.path)}
        for c in run.checkpoints()
    ]
    failed = state.status in ("failed", "lost")
    return {
        **summary(run, state),
        "alive": state.process is not None and state.status in ("queued", "running"),
        "ends_at": _ends_at(state),
        "lost": _loss_of_worker(run, state) if state.status == "lost" else None,
        "forecast": told.to_json() if (told := forecast_run(run, state)) else None,
        "extensions": _extensions(run),
        "planned": plan.to_json() if (plan := read_planned(run)) else None,
        "actual": actual(state, time.time()),
        "meta": run.meta.to_json(),
        "checkpoints": checkpoints,
        "log": run.log_tail(_LOG_LINES) if failed else [],
    }


def status_cell(run: "Run", state: "State") -> Cell:
    """The status, with what a worker is at before it trains, and whether the run is damaged."""
    doing = f": {state.doing}" if state.status == "running" and state.doing else ""
    damaged = ", damaged" if run.damage else ""
    imported = run.meta.kind == "imported" and state.status == "completed"
    status = "imported" if imported else state.status
    simulated = ", simulated" if run.meta.kind == "simulation" else ""
    return Cell(
        f"{status}{doing}{simulated}{damaged}", "red" if damaged else _COLOURS[state.status]
    )


def loss_text(loss: float | None) -> str:
    """Nothing where there is none."""
    return "" if loss is None else f"{loss:.3f}"


def status_pairs(run: "Run", state: "State") -> list[tuple[str, Cell]]:
    """Everything about a run as names and values; one without a name goes on with that before."""
    called = read_label(run.path)
    away = "put away: `maquette archive --undo` lists it again" if called.archived else ""
    pairs = [("run", Cell(run.id)), ("name", Cell(called.name or "")), ("archived", Cell(away))]
    pairs = [pair for pair in pairs if pair[1].text]
    pairs.append(("status", status_cell(run, state)))
    if run.damage:
        pairs.append(("damage", Cell(run.damage, "red")))
        closed = not os.access(run.path, os.R_OK | os.X_OK)
        way_out = "see its mode and owner" if closed else f"`maquette rm {run.name}` deletes it"
        pairs.append(("", Cell(way_out)))
    pairs += [(label, Cell(value)) for label, value in _status_rows(run, state) if value]
    if state.error is not None:
        pairs.append(("error", Cell(state.error.message, "red")))
        if state.error.hint:
            pairs.append(("", Cell(state.error.hint)))
    elif state.status == "lost":
        lost = _loss_of_worker(run, state)
        pairs.append(("error", Cell(lost["cause"], "red")))
        pairs.append(("", Cell(_goes_on(run, lost["resume_from_step"]))))
    return pairs


def _goes_on(run: "Run", step: int | None) -> str:
    from maquette.runs.control import way_on

    if run.meta.kind != "training":
        return way_on(run)
    start = f"from step {step}" if step is not None else "from its start: it has no checkpoint"
    return f"`maquette resume {run.name}` goes on {start}"


def _status_rows(run: "Run", state: "State") -> list[tuple[str, str]]:
    from maquette.runs.planned import planned_rows

    now = time.time()
    meta = run.meta
    share = f"{100 * state.step / state.steps:.0f}%" if state.steps else ""
    losses = [f"training {loss_text(state.train_loss)}"] if state.train_loss is not None else []
    if state.validation_loss is not None:
        losses.append(f"validation {loss_text(state.validation_loss)}")
    if state.best_loss is not None:
        losses.append(f"best {loss_text(state.best_loss)} at step {state.best_step}")
    speed = format_count(state.tokens_per_second) if state.tokens_per_second else ""
    device = [state.device or meta.device, state.precision or ""]
    device += ["compiled"] if state.compiled else []
    git = meta.git or {}
    commit = f"{str(git.get('commit', ''))[:10]}{' and changes' if git.get('dirty') else ''}"
    created = _clock(meta.created_at, always="%Y-%m-%d %H:%M:%S")
    return [
        ("history", _history(state)),
        ("queue", _queue_line(state)),
        ("step", f"{state.step} of {state.steps} ({share}), epoch {state.epoch:.2f}" * bool(share)),
        ("extended", _extensions_line(run)),
        ("loss", ", ".join(losses)),
        ("forecast", _forecast_line(run, state)),
        ("sources", _sources_line(state)),
        ("accuracy", "" if state.accuracy is None else f"validation {state.accuracy:.2%}"),
        ("speed", f"{speed} {meta.unit}/s" if speed else ""),
        ("elapsed", format_duration(state.elapsed_seconds(now))),
        *planned_rows(run, state, now),
        ("left", _left_line(state, now)),
        ("model", f"{format_count(state.parameters)} parameters" if state.parameters else ""),
        ("device", ", ".join(part for part in device if part)),
        ("process", _process_line(state, now)),
        *_telemetry_rows(state),
        ("checkpoints", _checkpoints_line(run)),
        ("created", f"{created} ({common.ago(now - meta.created_at)} ago)"),
        ("command", " ".join(meta.command)),
        ("versions", ", ".join(f"{name} {version}" for name, version in meta.versions.items())),
        ("commit", commit),
        ("folder", _path(run.path)),
    ]


def _forecast_line(run: "Run", state: "State") -> str:
    """Where the validation loss is heading, where that can be told."""
    from maquette.forecast import forecast_run

    told = forecast_run(run, state)
    if told is None:
        return ""
    band = f"{loss_text(told.low)} to {loss_text(told.high)}"
    return f"validation {loss_text(told.loss)} ({band}) at step {told.step}"


def _history(state: "State") -> str:
    return ", ".join(f"{change.status} {_clock(change.at)}" for change in state.history[-6:])


def _sources_line(state: "State") -> str:
    return ", ".join(
        f"{s.name} {loss_text(s.loss)} ({format_count(s.tokens_seen)} tokens seen)"
        for s in state.sources
    )


def _queue_line(state: "State") -> str:
    if state.status != "queued" or state.process is None or state.process.elsewhere():
        return ""
    from maquette.runs.queue import ahead_of
    from maquette.worker import queue_folder

    return f"{ahead_of(queue_folder(), state.process.pid)} ahead"


def _process_line(state: "State", now: float) -> str:
    if state.process is None:
        return ""
    where = f"{state.process.pid} on {state.process.host}"
    if state.status not in ("queued", "running"):
        return f"{where}, which has ended"
    silent = now - (state.heartbeat_at or now)
    heard = f"; last heard of {common.ago(silent)} ago" if silent >= _SILENT_SECONDS else ""
    return f"{where}, which lives{heard if state.status == 'running' else ''}"


def _telemetry_rows(state: "State") -> list[tuple[str, str]]:
    """What the run takes of its machine, or took when that was written down last."""
    telemetry = state.telemetry
    if telemetry is None:
        return []
    parts = []
    if telemetry.cpu_percent is not None:
        parts.append(f"CPU {telemetry.cpu_percent:.0f}% (100% is one core)")
    if telemetry.memory_bytes is not None:
        parts.append(f"memory {_of(telemetry.memory_bytes, telemetry.machine_memory_bytes)}")
    gpu = [] if telemetry.gpu_percent is None else [f"{telemetry.gpu_percent:.0f}% in use"]
    if telemetry.gpu_memory_bytes is not None:
        gpu.append(f"memory {_of(telemetry.gpu_memory_bytes, telemetry.gpu_total_bytes)}")
    gpu += [telemetry.gpu_note] if telemetry.gpu_note else []
    past = "" if state.status == "running" else " (at its last word)"
    return [
        ("takes", ", ".join(parts) + past if parts else ""),
        ("GPU", ", ".join(gpu)),
    ]


def _of(part: int, whole: int | None) -> str:
    return format_bytes(part) + (f" of {format_bytes(whole)}" if whole is not None else "")


def _ends_at(state: "State") -> float | None:
    """When the run will be through, in Unix seconds; None if that isn't known."""
    if state.eta_seconds is None or state.heartbeat_at is None:
        return None
    return state.heartbeat_at + state.eta_seconds


def _left_line(state: "State", now: float) -> str:
    ends_at = _ends_at(state)
    if ends_at is None:
        return ""
    return f"{format_duration(max(0.0, ends_at - now))}, until {_clock(ends_at)}"


def _clock(at: float, *, always: str | None = None) -> str:
    """The time of day, and the day if it isn't today; or in the format that is `always` used."""
    try:
        local = time.localtime(at)
    except (OverflowError, ValueError, OSError):
        return "a time that no calendar has"
    today = local[:3] == time.localtime()[:3]
    return time.strftime(always or ("%H:%M:%S" if today else "%Y-%m-%d %H:%M"), local)


def _loss_of_worker(run: "Run", state: "State") -> dict[str, Any]:
    """What can be told of a worker that is gone without a word, and where to go on from."""
    from maquette.runs.control import why_lost

    heard_at = state.heartbeat_at
    ago = f", last heard of {common.ago(time.time() - heard_at)} ago" if heard_at else ""
    checkpoints = run.checkpoints()
    return {
        "cause": why_lost(state) + ago,
        "last_heard_at": heard_at,
        "resume_from_step": checkpoints[-1].step if checkpoints else None,
        "next": f"maquette resume {run.name}" if run.meta.kind == "training" else None,
    }


def _extensions(run: "Run") -> list[dict[str, Any]]:
    """Where, how and how far the run was made longer than its spec asks."""
    from maquette.blueprint import serial

    try:
        blueprint = serial.from_json(run.blueprint_path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RunError):
        return []
    return [
        {
            "after_step": extension.after_step,
            "to_step": extension.schedule.steps
            + (0 if extension.how == "continue" else extension.after_step),
            "schedule": extension.how,
        }
        for extension in blueprint.train.extensions
    ]


def _extensions_line(run: "Run") -> str:
    return ", then ".join(
        f"from step {e['after_step']} to {e['to_step']}, schedule {e['schedule']}"
        for e in _extensions(run)
    )


def _checkpoints_line(run: "Run") -> str:
    checkpoints = run.checkpoints()
    if not checkpoints:
        return "none"
    best = [c.step for c in checkpoints if c.best]
    parts = [f"latest step {checkpoints[-1].step}"]
    parts += [f"best step {best[-1]}"] if best else []
    size = format_bytes(sum(c.bytes for c in checkpoints))
    return f"{', '.join(parts)}; {len(checkpoints)} on disk, {size}"


def _path(path: Path) -> str:
    """The path as a person would type it from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
