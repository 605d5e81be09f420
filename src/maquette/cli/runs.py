"""ps, status, rm: the runs on disk."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maquette.cli import common
from maquette.cli.common import Json, RunName, RunsDir
from maquette.cli.table import Cell, paint, print_columns, print_pairs, terminal_width
from maquette.errors import RunError, UsageError
from maquette.quantities import format_bytes, format_count, format_duration

if TYPE_CHECKING:
    from maquette.runs.state import State
    from maquette.runs.store import Run

COLOURS = {
    "queued": "yellow",
    "running": "green",
    "completed": "cyan",
    "stopped": "yellow",
    "failed": "red",
    "lost": "red",
}
_SHOWN = 20  # runs that `ps` lists without --all
_LOG_LINES = 15


def ps(
    everything: Annotated[
        bool, typer.Option("--all", "-a", help=f"All runs, not just the newest {_SHOWN}.")
    ] = False,
    as_json: Json = False,
    runs_dir: RunsDir = None,
) -> None:
    """List runs: how far they are, how well they do, how fast they go."""
    store = common.open_store(runs_dir)
    runs = store.list()
    states = [(run, run.state()) for run in (runs if everything else runs[:_SHOWN])]
    if not everything:  # a live run is shown however old it is
        older = [(run, run.state()) for run in runs[_SHOWN:]]
        states += [(run, state) for run, state in older if state.status in ("queued", "running")]
    if as_json:
        common.print_json([_summary(run, state) for run, state in states])
        return
    if not runs:
        common.say(f"no runs in {store.root} yet; `maquette train SPEC` starts one")
        return
    rows = [_row(run, state, time.time()) for run, state in states]
    headers = ("run", "status", "step", "loss", "validation", "tokens/s", "left", "age", "device")
    print_columns(headers, rows, left=2, width=terminal_width())
    if len(states) < len(runs):
        common.say(f"{len(runs) - len(states)} older ones: `maquette ps --all`")


def status(name: RunName = "latest", as_json: Json = False, runs_dir: RunsDir = None) -> None:
    """Show everything about a run."""
    run = common.open_store(runs_dir).find(name)
    state = run.state()
    if as_json:
        common.print_json(_details(run, state))
        return
    print_pairs(_status_pairs(run, state), width=terminal_width())
    if state.status in ("failed", "lost") and (lines := run.log_tail(_LOG_LINES)):
        print(f"\nthe end of {_path(run.log_path)}:")
        for line in lines:
            print(paint(f"  {line}", "dim"))


def rm(
    names: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Runs' ids, or beginnings of them.")
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    runs_dir: RunsDir = None,
) -> None:
    """Delete runs with everything in them. A live run is refused."""
    store = common.open_store(runs_dir)
    runs = list({run.id: run for run in map(store.find, names)}.values())
    for run in runs:
        if run.state().status in ("queued", "running"):
            raise RunError(f"{run.id} is {run.state().status}", hint="let it end first")
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("can't ask here: stdin is not a terminal", hint="add --yes to delete")
        listed = ", ".join(run.id for run in runs)
        typer.confirm(f"Delete {listed} with all checkpoints?", abort=True, err=True)
    for run in runs:
        run.remove()
        common.say(f"removed {run.id}")


def _summary(run: "Run", state: "State") -> dict[str, Any]:
    return {
        "id": run.id,
        "path": str(run.path),
        "created_at": run.meta.created_at,
        "kind": run.meta.kind,
        **state.to_json(),
        "elapsed_seconds": state.elapsed_seconds(time.time()),
    }


def _details(run: "Run", state: "State") -> dict[str, Any]:
    checkpoints = [
        {"step": c.step, "best": c.best, "bytes": c.bytes, "path": str(c.path)}
        for c in run.checkpoints()
    ]
    failed = state.status in ("failed", "lost")
    return {
        **_summary(run, state),
        "alive": state.status == "running",
        "meta": run.meta.to_json(),
        "checkpoints": checkpoints,
        "log": run.log_tail(_LOG_LINES) if failed else [],
    }


def _row(run: "Run", state: "State", now: float) -> list[Cell]:
    left = state.eta_seconds
    texts = [
        f"{state.step}/{state.steps}" if state.steps else "",
        _loss(state.train_loss),
        _loss(state.validation_loss),
        format_count(state.tokens_per_second) if state.tokens_per_second else "",
        format_duration(left) if left is not None else "",
        common.ago(now - run.meta.created_at),
        state.device or run.meta.device,
    ]
    return [Cell(run.id), Cell(state.status, COLOURS[state.status]), *map(Cell, texts)]


def _status_pairs(run: "Run", state: "State") -> list[tuple[str, Cell]]:
    pairs = [("run", Cell(run.id)), ("status", Cell(state.status, COLOURS[state.status]))]
    pairs += [(label, Cell(value)) for label, value in _status_rows(run, state) if value]
    if state.error is not None:
        pairs.append(("error", Cell(state.error.message, "red")))
        if state.error.hint:
            pairs.append(("", Cell(state.error.hint)))
    elif state.status == "lost":
        what = "its worker is gone without a word: it was killed, or the machine went down"
        pairs.append(("error", Cell(what, "red")))
    return pairs


def _status_rows(run: "Run", state: "State") -> list[tuple[str, str]]:
    now = time.time()
    meta = run.meta
    percent = f" ({100 * state.step / state.steps:.0f}%)" if state.steps else ""
    losses = [f"training {_loss(state.train_loss)}"] if state.train_loss is not None else []
    if state.validation_loss is not None:
        losses.append(f"validation {_loss(state.validation_loss)}")
    if state.best_loss is not None:
        losses.append(f"best {_loss(state.best_loss)} at step {state.best_step}")
    speed = [f"{format_count(state.tokens_per_second)} tokens/s"] if state.tokens_per_second else []
    if state.eta_seconds is not None:
        speed.append(f"{format_duration(state.eta_seconds)} left")
    device = [state.device or meta.device, state.precision or ""]
    device += ["compiled"] if state.compiled else []
    git = meta.git or {}
    commit = f"{str(git.get('commit', ''))[:10]}{' and changes' if git.get('dirty') else ''}"
    created = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(meta.created_at))
    return [
        ("history", _history(state)),
        ("step", f"{state.step} of {state.steps}{percent}, epoch {state.epoch:.2f}"),
        ("loss", ", ".join(losses)),
        ("speed", ", ".join(speed)),
        ("elapsed", format_duration(state.elapsed_seconds(now))),
        ("model", f"{format_count(state.parameters)} parameters" if state.parameters else ""),
        ("device", ", ".join(part for part in device if part)),
        ("process", _process_line(state)),
        ("checkpoints", _checkpoints_line(run)),
        ("created", f"{created} ({common.ago(now - meta.created_at)} ago)"),
        ("command", " ".join(meta.command)),
        ("versions", ", ".join(f"{name} {version}" for name, version in meta.versions.items())),
        ("commit", commit),
        ("folder", _path(run.path)),
    ]


def _history(state: "State") -> str:
    changes = [
        f"{change.status} {time.strftime('%H:%M:%S', time.localtime(change.at))}"
        for change in state.history[-6:]
    ]
    return ", ".join(changes)


def _process_line(state: "State") -> str:
    if state.process is None:
        return ""
    where = f"{state.process.pid} on {state.process.host}"
    return where if state.status == "running" else f"{where}, which has ended"


def _checkpoints_line(run: "Run") -> str:
    checkpoints = run.checkpoints()
    if not checkpoints:
        return "none"
    best = [c.step for c in checkpoints if c.best]
    parts = [f"latest step {checkpoints[-1].step}"]
    parts += [f"best step {best[-1]}"] if best else []
    size = format_bytes(sum(c.bytes for c in checkpoints))
    return f"{', '.join(parts)}; {len(checkpoints)} on disk, {size}"


def _loss(loss: float | None) -> str:
    return "" if loss is None else f"{loss:.3f}"


def _path(path: Path) -> str:
    """The path as a person would type it from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
