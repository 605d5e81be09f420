"""simulate: a training run that costs nothing, as a show."""

import enum
import itertools
import os
import random
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maquette.cli import common
from maquette.cli.common import Overrides, RunsDir
from maquette.errors import UsageError

if TYPE_CHECKING:
    from maquette.runs.store import Run
    from maquette.simulation.story import Module, Story

_PLAIN = str.maketrans({"━": "=", "─": "-", "°": " "})  # for terminals that know ASCII only
_NARROW = 60  # columns of a pipe, unless COLUMNS says another number

Modules = Annotated[
    list[str] | None,
    typer.Option("--module", "-m", metavar="MODULE", help="Only this one. Repeatable."),
]


class How(enum.StrEnum):
    """What is written of a simulated run."""

    finished = "finished"
    live = "live"


def simulate(
    spec: Annotated[
        str | None, typer.Argument(metavar="[SPEC]", help="Rehearse this one; it needs --on.")
    ] = None,
    on: Annotated[
        str | None,
        typer.Option("--on", metavar="CLUSTER", help="Where SPEC is rehearsed, like h100x64."),
    ] = None,
    overrides: Overrides = None,
    modules: Modules = None,
    list_modules: Annotated[
        bool, typer.Option("--list-modules", help="Name the modules, and end.")
    ] = False,
    speed_factor: Annotated[
        float, typer.Option("--speed-factor", "-s", help="So many times as fast.")
    ] = 1.0,
    instant_print_lines: Annotated[
        int, typer.Option("--instant-print-lines", metavar="N", min=0, help="N lines at once.")
    ] = 0,
    exit_after_time: Annotated[
        str | None,
        typer.Option("--exit-after-time", metavar="TIME", help="End then: 90s, 2h10min."),
    ] = None,
    exit_after_modules: Annotated[
        int | None,
        typer.Option("--exit-after-modules", metavar="N", min=1, help="End after N modules."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="The same seed shows the same; else each time another.")
    ] = None,
    inhibit: Annotated[
        bool, typer.Option("--inhibit", help="Keep the machine and its screen awake.")
    ] = False,
    run: Annotated[
        How | None,
        typer.Option("--run", help="Write a run instead: finished at once, or as it goes on."),
    ] = None,
    runs_dir: RunsDir = None,
) -> None:
    """Show a large training that isn't one: made-up models, figures that agree. Ctrl-C ends it.

    With a SPEC and --on it is that model's training, rehearsed.
    """
    from maquette.simulation.story import MODULES

    if list_modules:
        for name, about in MODULES.items():
            print(f"{name:<16}{about}")
        return
    if speed_factor <= 0:
        raise UsageError(f"--speed-factor {speed_factor:g}: more than 0", hint="1 is as meant")
    if spec is None:
        if on is not None or overrides:
            raise UsageError("--on and --set are of a SPEC", hint="name one: a file or a preset")
        stories = _stories(_chosen(modules), seed)
    else:
        stories = iter([_rehearsed(spec, on, overrides or [], runs_dir, seed or 0)])
    if run is not None:
        count = exit_after_modules or 1
        _write_runs(itertools.islice(stories, count), run, speed_factor, runs_dir)
        return
    clock = _Clock(speed_factor, instant_print_lines, _seconds(exit_after_time))
    with _awake(inhibit):
        try:
            for number, story in enumerate(stories, 1):
                if not _play(story, clock) or number == exit_after_modules:
                    return
        except KeyboardInterrupt:
            _write("\n" if _is_live() else "")
            common.say("Saving work to disk...")


def _rehearsed(
    spec: str, on: str | None, overrides: list[str], runs_dir: Path | None, seed: int
) -> "Story":
    """A spec's training on a cluster. Raises SpecError, DataError, UsageError."""
    from maquette.cli.data import preparing
    from maquette.cli.rehearsal import law_fails, work_of
    from maquette.settling import plan_spec
    from maquette.simulation.hardware import parse_cluster
    from maquette.simulation.rehearsal import rehearse
    from maquette.simulation.story import retell

    if on is None:
        raise UsageError("a SPEC is rehearsed on a cluster", hint="add --on h100x64, or another")
    cluster = parse_cluster(on)
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


class _Clock:
    """How long to wait, and when to end."""

    def __init__(self, speed: float, instant: int, seconds: float | None) -> None:
        self.speed = speed
        self.instant = instant
        self.ends_at = None if seconds is None else time.monotonic() + seconds

    def wait(self, pause: float) -> bool:
        """Wait as long as a line stands; False when the time is over."""
        left = float("inf") if self.ends_at is None else self.ends_at - time.monotonic()
        if self.instant > 0:
            self.instant -= 1
            return left > 0
        if pause:
            time.sleep(max(0.0, min(pause / self.speed, left)))
        return pause / self.speed < left


def _chosen(modules: list[str] | None) -> "list[Module]":
    """Raises UsageError, which names the modules."""
    from maquette.simulation.story import MODULES

    known = {str(name): name for name in MODULES}
    for name in modules or ():
        if name not in known:
            import difflib

            near = difflib.get_close_matches(name, known, n=1, cutoff=0.3)
            mean = f"did you mean {near[0]}? " if near else ""
            raise UsageError(
                f"--module {name}: there is no such module",
                hint=f"{mean}there are {', '.join(known)}",
            )
    return [known[name] for name in modules or known]


def _seconds(text: str | None) -> float | None:
    from maquette.quantities import parse_duration

    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--exit-after-time: {error}") from None


def _stories(modules: "list[Module]", seed: int | None) -> "Iterator[Story]":
    """One after another for ever, each module's turn by chance."""
    from maquette.simulation.story import tell

    first = random.SystemRandom().randrange(10**6) if seed is None else seed
    rng = random.Random(f"modules {first}")
    number = 0
    while True:
        yield tell(rng.choice(modules), first + number)
        number += 1


def _play(story: "Story", clock: _Clock) -> bool:
    """Show one story; False if the time was over before its end."""
    from maquette.cli.table import coloured
    from maquette.simulation.paint import chunks
    from maquette.simulation.show import show

    live = _is_live()
    width = shutil.get_terminal_size((_NARROW if not live else 80, 24)).columns
    lines = show(story, width=width, coloured=coloured())
    for text, pause in chunks(lines, live=live):
        _write(text)
        if not clock.wait(pause):
            _write("\n" if live else "")
            return False
    return True


def _is_live() -> bool:
    """Whether stdout is a terminal in which a line can give way to the next."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def _write(text: str) -> None:
    encoding = (getattr(sys.stdout, "encoding", None) or "ascii").lower()
    if text:
        sys.stdout.write(text if encoding.startswith("utf") else text.translate(_PLAIN))
        sys.stdout.flush()


def _awake(wanted: bool) -> Any:
    from contextlib import nullcontext

    if not wanted:
        return nullcontext()
    from maquette.cli.awake import awake

    return awake()
