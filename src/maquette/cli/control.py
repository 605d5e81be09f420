"""stop and resume: from outside, a run is ended and gone on with."""

import re
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from maquette.cli import common
from maquette.cli.common import Json, RunName, RunsDir
from maquette.cli.train import Detach, Queue, carry_out
from maquette.errors import CheckpointError, RunError, UsageError

if TYPE_CHECKING:
    from maquette.runs.control import Ending
    from maquette.runs.state import State
    from maquette.runs.store import Checkpoint, Run

Schedule = Literal["continue", "rewarm", "constant"]


def stop(
    names: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Runs' ids, or beginnings of them.")
    ],
    now: Annotated[
        bool, typer.Option("--now", help="At once: without a checkpoint, killed after 10 s.")
    ] = False,
    as_json: Json = False,
    runs_dir: RunsDir = None,
) -> None:
    """End runs after the step they are at, with a checkpoint; waits until they have ended."""
    from maquette.cli.status import summary
    from maquette.runs.control import ask_to_stop

    runs, failed = common.find_runs(names, runs_dir)
    endings: list[Ending] = []
    for run in runs:  # all are asked before any is waited for
        try:
            state = run.state()
            endings.append(ask_to_stop(run, now=now))
        except RunError as error:
            common.print_error(error.message, error.hint)
            failed = True
        else:
            common.say(f"{run.id}: {_what_comes(run, state, now=now)}")
    try:
        states = [(ending.run, ending.wait()) for ending in endings]
    except KeyboardInterrupt:
        common.say("not waiting any longer; they were asked to end, and will")
        raise
    for run, state in states:
        common.say(f"{run.id}: {_what_came(run, state)}")
    if as_json:
        common.print_json([summary(run, state) for run, state in states])
    if failed:
        raise typer.Exit(1)


def resume(
    name: RunName,
    checkpoint: Annotated[
        str | None, typer.Option(metavar="best|latest|STEP", help="Where to go on from.")
    ] = None,
    more_epochs: Annotated[
        float | None, typer.Option(help="Train so many epochs more than that checkpoint has.")
    ] = None,
    more_steps: Annotated[
        int | None, typer.Option(min=1, help="Train so many steps more than that checkpoint has.")
    ] = None,
    schedule: Annotated[
        Schedule | None,
        typer.Option(
            help="The learning rate of the steps added: continue (the schedule stretched over all"
            " steps), rewarm (up again, then down) or constant.",
            show_default="rewarm where it has fallen to its end, else continue",
        ),
    ] = None,
    detach: Detach = False,
    queue: Queue = False,
    as_json: Json = False,
    runs_dir: RunsDir = None,
) -> None:
    """Go on with a run as though it had never ended, to its end or beyond it."""
    _check_options(checkpoint, more_epochs, more_steps, schedule)
    from maquette.runs.control import refuse_live, starting_point

    run = common.open_store(runs_dir).find(name)
    common.refuse_imported(run)
    refuse_live(run)
    with run.lock() as lock:
        found = starting_point(run, checkpoint or "latest")
        for damage in found.passed_over if found else ():
            common.say(f"passed over: {damage}")
        if more_epochs is not None or more_steps is not None:
            _extend(run, found, more_epochs, more_steps, schedule)
        elif run.blueprint_path.exists():
            _check_unfinished(run, found, chosen=checkpoint is not None)
        elif not detach:
            _prepare(run)
        step = found.step if found else 0
        common.say(f"{run.id} goes on {f'from step {step}' if step else 'from its start'}")
        which = found.step if found else "latest"
        carry_out(run, detach=detach, queue=queue, checkpoint=which, lock=lock, as_json=as_json)


def _check_options(
    checkpoint: str | None,
    more_epochs: float | None,
    more_steps: int | None,
    schedule: Schedule | None,
) -> None:
    if more_epochs is not None and more_steps is not None:
        raise UsageError("--more-epochs and --more-steps say the same thing: use one of them")
    if schedule is not None and more_epochs is None and more_steps is None:
        raise UsageError(
            "--schedule is about steps that are added, and none are",
            hint="add --more-epochs or --more-steps",
        )
    if checkpoint is not None and not re.fullmatch(r"best|latest|[0-9]+", checkpoint):
        raise UsageError(
            f"--checkpoint {checkpoint!r} names no checkpoint",
            hint="use best, latest or the number of a step",
        )


def _extend(
    run: "Run",
    found: "Checkpoint | None",
    more_epochs: float | None,
    more_steps: int | None,
    schedule: Schedule | None,
) -> None:
    """Add steps to a run's blueprint, and say so. For the holder of its lock."""
    from maquette.blueprint import serial
    from maquette.blueprint.extend import extend
    from maquette.reading import read_blueprint

    if found is None:
        raise CheckpointError(
            f"{run.id} has no checkpoint that more steps could be added to",
            hint=f"`maquette resume {run.name}` without them begins it at the start",
        )
    _prepare(run)  # first: an extension is not to stay behind from a resume that can't be
    blueprint = read_blueprint(run)
    longer = extend(
        blueprint,
        after_step=found.step,
        more_steps=more_steps,
        more_epochs=more_epochs,
        how=schedule,
    )
    run.write_blueprint(serial.to_json(longer))
    added = longer.train.extensions[-1]
    common.say(
        f"more training: from step {found.step} to {longer.train.steps}, schedule {added.how}"
    )
    if longer.train.steps < blueprint.train.steps:
        common.say(f"that is less than the {blueprint.train.steps} steps it was meant for before")


def _check_unfinished(run: "Run", found: "Checkpoint | None", *, chosen: bool) -> None:
    """Refuse a completed run with nothing left to do."""
    state = run.state()
    if state.status != "completed":
        return
    from maquette.reading import read_blueprint

    plan = read_blueprint(run).train
    step = found.step if found else 0
    added = any(extension.after_step == step for extension in plan.extensions)
    if step >= plan.steps or not (chosen or added):
        what = "is completed" if not chosen else f"has nothing left to do after step {step}"
        raise RunError(
            f"{run.id} {what}",
            hint="add --more-epochs or --more-steps, or an earlier --checkpoint",
        )


def _prepare(run: "Run") -> None:
    """Prepare the data of a run, if it isn't there as it was, and show how that goes."""
    from maquette.cli.data import preparing

    with preparing() as progress:
        from maquette.worker.training import prepare_run

        prepare_run(run, progress=progress)


def _what_comes(run: "Run", state: "State", *, now: bool) -> str:
    if state.status == "queued":
        return "leaving the queue"
    if state.doing:
        return "ending: it does not train yet"
    if now or run.meta.kind == "simulation":
        return "ending at once, without a checkpoint"
    return "ending after the step it is at, with a checkpoint"


def _what_came(run: "Run", state: "State") -> str:
    if run.meta.kind == "simulation":
        return state.status
    checkpoints = run.checkpoints()
    kept = f"step {checkpoints[-1].step}" if checkpoints else "none yet"
    at = f" at step {state.step}" if state.step else ""
    return f"{state.status}{at}; its last checkpoint: {kept}"
