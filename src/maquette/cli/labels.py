"""rename and archive: what people call a run, and whether it is listed with the others."""

import dataclasses
from typing import Annotated, Any

import typer

from maquette.cli import common
from maquette.cli.common import Json, RunName, RunsDir
from maquette.errors import RunError


def rename(
    run: RunName,
    name: Annotated[str, typer.Argument(help="What to call it; '' takes the name away.")],
    as_json: Json = False,
    runs_dir: RunsDir = None,
) -> None:
    """Give a run a name to tell it by. Its id stays, and everything that refers to it."""
    from maquette.runs.label import read_label, write_label

    found = common.open_store(runs_dir).find(run)
    label = dataclasses.replace(read_label(found.path), name=name.strip() or None)
    write_label(found.path, label)
    if label.name is None:
        common.say(f"{found.id} has no other name now")
    else:
        common.say(f"{found.id} is called {label.name!r} now")
    if as_json:
        common.print_json({"id": found.id, "path": str(found.path), **dataclasses.asdict(label)})


def archive(
    names: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Runs' ids, or beginnings of them.")
    ],
    undo: Annotated[bool, typer.Option("--undo", help="Bring them back.")] = False,
    as_json: Json = False,
    runs_dir: RunsDir = None,
) -> None:
    """Put runs away: `ps` lists them with --all only. Nothing of them changes or moves."""
    from maquette.runs.label import read_label, write_label

    runs, failed = common.find_runs(names, runs_dir)
    rows: list[dict[str, Any]] = []
    for run in runs:
        label = dataclasses.replace(read_label(run.path), archived=not undo)
        try:
            write_label(run.path, label)
        except RunError as error:
            common.print_error(error.message, error.hint)
            failed = True
        else:
            common.say(f"{run.id} is {'listed again' if undo else 'put away'}")
            rows.append({"id": run.id, "path": str(run.path), **dataclasses.asdict(label)})
    if as_json:
        common.print_json(rows)
    if failed:
        raise typer.Exit(1)
