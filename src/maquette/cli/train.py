"""train and demo: a spec becomes a run, with a live view of it."""

import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from maquette.cli import common
from maquette.cli.common import Device, Overrides, RunsDir, SpecName
from maquette.events import Finished, Sampled

if TYPE_CHECKING:
    from maquette.events import Event
    from maquette.runs.store import Run


def train(
    spec: SpecName,
    overrides: Overrides = None,
    device: Device = "auto",
    runs_dir: RunsDir = None,
) -> None:
    """Train a model; prints the run's id. Ctrl-C ends it after the step, with a checkpoint."""
    run = _create(spec, overrides or [], device=device, runs_dir=runs_dir)
    finished = False
    for event in _work(run):
        finished = isinstance(event, Finished) and event.reason != "stopped"
    print(run.id)
    if finished:
        name = _name(run, runs_dir)
        common.say(f"next: {_program()} generate {name} --prompt 'Once upon a time'")
    else:
        common.say(f"stopped; its last checkpoint is in {run.checkpoints_path}")


def demo(device: Device = "auto", runs_dir: RunsDir = None) -> None:
    """Train a small story teller in a minute or two, and read what it wrote before and after."""
    common.say("A small GPT learns to tell stories: a minute or two on two CPU cores.")
    run = _create("demo", [], device=device, runs_dir=runs_dir)
    name = _name(run, runs_dir)
    samples, finished = [], False
    for event in _work(run):
        finished = isinstance(event, Finished) and event.reason != "stopped"
        if isinstance(event, Sampled):
            samples.append(event)
    if not finished:
        common.say(f"stopped before the end; {name} has what it learned so far")
        return
    _show_sample("Before the first step it wrote", samples[0].prompt, samples[0].text)
    _show_sample("After the last step it wrote", samples[-1].prompt, samples[-1].text)
    common.say("")
    common.say("Try next:")
    program = _program()
    common.say(f"  {program} generate {name} --prompt 'After breakfast Zoe'")
    common.say(f"  {program} plan stories          # what a longer training would take")
    common.say(f"  {program} new my-model          # a spec of your own")


def _create(spec: str, overrides: list[str], *, device: str, runs_dir: Path | None) -> "Run":
    """A run of the spec in the store, its data prepared; every mistake is told before it."""
    from maquette.cli.data import preparing
    from maquette.spec.load import load_spec, read_spec_text

    parsed = load_spec(spec, overrides)
    text = read_spec_text(spec)
    with preparing() as progress:
        from maquette.training.device import choose_device
        from maquette.worker.training import create_run

        choose_device(device)
        return create_run(
            parsed,
            common.open_store(runs_dir),
            spec_text=text,
            device=device,
            command=["maquette", *map(_readable, sys.argv[1:])],
            progress=progress,
        )


def _work(run: "Run") -> Iterator["Event"]:
    """The run's events, shown live as they come."""
    from maquette.cli.panel import progress
    from maquette.loading import read_blueprint
    from maquette.worker import work
    from maquette.worker.signals import StopOnSignal

    plan = read_blueprint(run).train
    with (
        StopOnSignal(common.say) as stop,
        progress(
            common.err(), title=run.id, steps=plan.steps, tokens_per_step=plan.tokens_per_step
        ) as panel,
    ):
        for event in work(run, stop=stop):
            panel.show(event)
            yield event


def _program() -> str:
    """What a person types to call this program: after `make demo` its folder isn't in $PATH."""
    return "maquette" if shutil.which("maquette") else shlex.quote(sys.argv[0])


def _readable(argument: str) -> str:
    """An argument as text that can be written down; bytes that aren't UTF-8 become U+FFFD."""
    return argument.encode(errors="surrogateescape").decode(errors="replace")


def _name(run: "Run", runs_dir: Path | None) -> str:
    """What a person types to name the run in the next command: in another folder, its path."""
    if runs_dir is None or os.environ.get("MAQUETTE_RUNS") == str(runs_dir):
        return run.id
    return shlex.quote(str(run.path))


def _show_sample(title: str, prompt: str, text: str) -> None:
    from rich.panel import Panel
    from rich.text import Text

    story = Text.assemble((prompt, "bold"), text.strip("\x00\n"))
    common.out().print(Panel(story, title=title, title_align="left", width=88))
