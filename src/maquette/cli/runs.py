"""ps and rm: the runs on disk."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from maquette.cli import common
from maquette.cli.common import Json, RunsDir
from maquette.cli.status import loss_text, status_cell, summary
from maquette.cli.table import Cell, print_columns, terminal_width
from maquette.errors import RunError, UsageError
from maquette.quantities import format_count, format_duration
from maquette.runs.label import read_label

if TYPE_CHECKING:
    from maquette.runs.state import State
    from maquette.runs.store import Run

_SHOWN = 20  # runs that `ps` lists without --all


def ps(
    everything: Annotated[
        bool,
        typer.Option(
            "--all", "-a", help=f"All runs, not just the newest {_SHOWN}; also those put away."
        ),
    ] = False,
    as_json: Json = False,
    runs_dir: RunsDir = None,
) -> None:
    """List runs: how far they are, how well they do, how fast they go."""
    store = common.open_store(runs_dir)
    everyone = store.list()
    labels = {run.id: read_label(run.path) for run in everyone}
    runs = [run for run in everyone if everything or not labels[run.id].archived]
    states = [(run, run.state()) for run in (runs if everything else runs[:_SHOWN])]
    if not everything:  # a live run is shown however old it is
        older = [(run, run.state()) for run in runs[_SHOWN:]]
        states += [(run, state) for run, state in older if state.status in ("queued", "running")]
    if as_json:
        common.print_json([summary(run, state) for run, state in states])
        return
    if not everyone:
        common.say(f"no runs in {store.root} yet; `maquette train SPEC{store.option}` starts one")
        return
    units = {run.meta.unit for run, _ in states}
    speed = f"{units.pop()}/s" if len(units) == 1 else "speed"
    told = any(state.accuracy is not None for _, state in states)
    rows = [
        _row(run, state, time.time(), accuracy=told, unit=speed == "speed") for run, state in states
    ]
    accuracy = ["accuracy"] if told else []
    headers = ["run", "status", "step", "loss", "validation", *accuracy, speed]
    headers += ["left", "age", "device"]
    if any(labels[run.id].name for run, _ in states):
        headers.append("name")
        for (run, _), row in zip(states, rows, strict=True):
            row.append(Cell(labels[run.id].name or ""))
    if rows:
        print_columns(headers, rows, left=2, width=terminal_width())
    if len(states) < len(runs):
        common.say(f"{len(runs) - len(states)} older ones: `maquette ps --all{store.option}`")
    if len(runs) < len(everyone):
        count = len(everyone) - len(runs)
        common.say(f"{count} put away: `maquette ps --all{store.option}` lists them too")


def rm(
    names: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Runs' ids, or beginnings of them.")
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    as_json: Json = False,
    runs_dir: RunsDir = None,
) -> None:
    """Delete runs with everything in them. A live run is refused, the others are deleted."""
    runs, failed = common.find_runs(names, runs_dir)
    ended = []
    for run in runs:
        status = run.state().status
        if status in ("queued", "running"):
            hint = f"`maquette stop {run.name}` ends it first"
            common.print_error(f"{run.id} is {status}", hint)
            failed = True
        else:
            ended.append(run)
    if ended and not yes:
        if not common.stdin_is_terminal():
            raise UsageError("can't ask here: stdin is not a terminal", hint="add --yes to delete")
        listed = ", ".join(run.id for run in ended)
        typer.confirm(f"Delete {listed} with all checkpoints?", abort=True, err=True)
    removed = []
    for run in ended:
        try:
            run.remove()
        except RunError as error:
            common.print_error(error.message, error.hint)
            failed = True
        else:
            removed.append(run)
            common.say(f"removed {run.id}")
    if as_json:
        rows = [{"id": run.id, "path": str(run.path), "removed": True} for run in removed]
        common.print_json(rows)
    if failed:
        raise typer.Exit(1)


def _row(run: "Run", state: "State", now: float, *, accuracy: bool, unit: bool) -> list[Cell]:
    left = state.eta_seconds
    speed = format_count(state.tokens_per_second) if state.tokens_per_second else ""
    told = "" if state.accuracy is None else f"{state.accuracy:.2%}"
    texts = [
        f"{state.step}/{state.steps}" if state.steps else "",
        loss_text(state.train_loss),
        loss_text(state.validation_loss),
        *([told] if accuracy else []),
        f"{speed} {run.meta.unit}/s" if speed and unit else speed,
        format_duration(left) if left is not None else "",
        common.ago(now - run.meta.created_at),
        state.device or run.meta.device,
    ]
    return [Cell(run.id), status_cell(run, state), *map(Cell, texts)]
