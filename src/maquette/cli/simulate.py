"""simulate: a training run that costs nothing, as a show."""

import enum
import itertools
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maquette.cli import common
from maquette.cli.common import Overrides, RunsDir
from maquette.errors import UsageError

if TYPE_CHECKING:
    from maquette.runs.store import Run
    from maquette.simulation.story import Story


class How(enum.StrEnum):
    """What is written of a simulated run."""

    finished = "finished"
    live = "live"


Spec = Annotated[
    str | None, typer.Argument(metavar="[SPEC]", help="Rehearse this one; it needs --on.")
]
On = Annotated[
    str | None,
    typer.Option("--on", metavar="CLUSTER", help="Where SPEC is rehearsed: h100x64, this."),
]
Modules = Annotated[
    list[str] | None,
    typer.Option("--module", "-m", metavar="MODULE", help="Only this one. Repeatable."),
]
ListModules = Annotated[bool, typer.Option("--list-modules", help="Name the modules, and end.")]
Speed = Annotated[float, typer.Option("--speed-factor", "-s", help="So many times as fast.")]
InstantLines = Annotated[
    int, typer.Option("--instant-print-lines", metavar="N", help="N lines at once.")
]
EndTime = Annotated[
    str | None,
    typer.Option("--exit-after-time", metavar="TIME", help="End then: 90s, 2h10min."),
]
EndModules = Annotated[
    int | None, typer.Option("--exit-after-modules", metavar="N", help="End after N modules.")
]
Seed = Annotated[
    int | None, typer.Option(help="The same seed shows the same; else each time another.")
]
Inhibit = Annotated[bool, typer.Option("--inhibit", help="Keep the machine and its screen awake.")]
Written = Annotated[
    How | None,
    typer.Option("--run", help="Write a run instead: finished at once, or as it goes on."),
]
Web = Annotated[bool, typer.Option("--web", help="Serve it as a page, for this machine only.")]
Port = Annotated[
    int | None,
    typer.Option(min=0, max=65535, show_default="8000", help="Of the page; 0 takes a free one."),
]
Open = Annotated[bool, typer.Option("--open", help="Open the page in the browser.")]


def simulate(
    spec: Spec = None,
    on: On = None,
    overrides: Overrides = None,
    modules: Modules = None,
    list_modules: ListModules = False,
    speed_factor: Speed = 1.0,
    instant_print_lines: InstantLines = 0,
    exit_after_time: EndTime = None,
    exit_after_modules: EndModules = None,
    seed: Seed = None,
    inhibit: Inhibit = False,
    run: Written = None,
    web: Web = False,
    port: Port = None,
    open_browser: Open = False,
    runs_dir: RunsDir = None,
) -> None:
    """Show a large training that isn't one: made-up models, figures that agree. Ctrl-C ends it.

    With a SPEC and --on it is that model's training, rehearsed.
    """
    from maquette.simulation import terminal

    if list_modules:
        _list_modules()
        return
    options = terminal.read_options(
        modules=modules or (),
        speed_factor=speed_factor,
        instant_print_lines=instant_print_lines,
        exit_after_time=exit_after_time,
        exit_after_modules=exit_after_modules,
        seed=seed,
    )
    if web:
        unlike = {"SPEC": spec, "--on": on, "--set": overrides, "--run": run, "--inhibit": inhibit}
        _refuse(unlike, "not with --web", hint="it shows made-up trainings in a browser")
        from maquette.cli.web import serve_page

        serve_page(options, 8000 if port is None else port, open_browser=open_browser)
        return
    _refuse({"--port": port, "--open": open_browser}, "only with --web")
    if spec is None:
        unlike = {"--on": on, "--set": overrides}
        _refuse(unlike, "only with a SPEC", hint="name one: a file or a preset")
        stories = terminal.stories(options)
    else:
        _refuse({"--module": modules}, "not with a SPEC", hint="its own training is shown")
        stories = iter([_rehearsed(spec, on, overrides or [], runs_dir, seed or 0)])
    if run is not None:
        count = exit_after_modules or 1
        _write_runs(itertools.islice(stories, count), run, speed_factor, runs_dir)
        return
    from maquette.cli.show import play

    play(stories, options, inhibit=inhibit)


def _list_modules() -> None:
    from maquette.simulation.story import MODULES

    for name, about in MODULES.items():
        print(f"{name:<16}{about}")


def _refuse(given: Mapping[str, object], why: str, *, hint: str | None = None) -> None:
    """Raise UsageError, which names them, where any of these was given."""
    names = [n for n, value in given.items() if value is not False and value not in (None, [])]
    if names:
        raise UsageError(f"{', '.join(names)}: {why}", hint=hint)


def _rehearsed(
    spec: str, on: str | None, overrides: list[str], runs_dir: Path | None, seed: int
) -> "Story":
    """A spec's training on a cluster. Raises SpecError, DataError, UsageError."""
    from maquette.cli.data import preparing
    from maquette.cli.rehearsal import cluster_of, law_fails, work_of
    from maquette.settling import plan_spec
    from maquette.simulation.rehearsal import rehearse
    from maquette.simulation.story import retell

    if on is None:
        raise UsageError("a SPEC is rehearsed on a cluster", hint="add --on h100x64, or another")
    cluster = cluster_of(on)
    written = common.load_spec(spec, overrides, runs_dir)
    with preparing() as progress:
        blueprint = plan_spec(written, progress=progress).blueprint
    told, plan = rehearse(work_of(blueprint), cluster), blueprint.train
    return retell(
        told,
        name=blueprint.name,
        shape=blueprint.shape,
        epochs=plan.epochs,
        learning_rate=plan.optimizer.learning_rate,
        warmup_steps=plan.schedule.warmup_steps,
        final_loss=None if law_fails(blueprint) else told.final_loss,
        seed=seed,
    )


def _write_runs(stories: "Iterator[Story]", how: How, speed: float, runs_dir: Path | None) -> None:
    """Write a run directory for each story, and print its id."""
    from maquette.cli.simulated import finished_run, live_run

    store = common.open_store(runs_dir)
    command = ["maquette", *sys.argv[1:]]
    for story in stories:
        if how is How.finished:
            print(finished_run(story, store, command).id)
            continue
        if live_run(story, store, command, speed=speed, begun=_begun).status == "stopped":
            raise typer.Exit(130)


def _begun(run: "Run") -> None:
    print(run.id, flush=True)
    common.say(f"`maquette watch {run.name}` shows it; Ctrl-C ends it")
