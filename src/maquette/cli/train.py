"""train and demo: a spec becomes a run, with a live view of it."""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maquette.cli import common
from maquette.cli.common import Device, Overrides, RunsDir, SpecName
from maquette.errors import DeviceError
from maquette.events import Finished, Sampled

if TYPE_CHECKING:
    from maquette.events import Event
    from maquette.runs.store import Run

Detach = Annotated[
    bool, typer.Option("--detach", "-d", help="In the background: closing the shell ends nothing.")
]
Queue = Annotated[
    bool, typer.Option("--queue", help="Wait until the device is free, and for its turn.")
]


def train(
    spec: SpecName,
    overrides: Overrides = None,
    device: Device = "auto",
    detach: Detach = False,
    queue: Queue = False,
    runs_dir: RunsDir = None,
) -> None:
    """Train a model; prints the run's id. Ctrl-C ends it after the step, with a checkpoint."""
    create = _create_unprepared if detach else _create
    run = create(spec, overrides or [], device=device, runs_dir=runs_dir)
    carry_out(run, detach=detach, queue=queue, runs_dir=runs_dir)


def carry_out(
    run: "Run",
    *,
    detach: bool,
    queue: bool,
    checkpoint: int | str = "latest",
    runs_dir: Path | None = None,
    as_json: bool = False,
) -> None:
    """Work on a run, here and shown live or in the background, and say what comes next.

    Prints its id, or its state as JSON: in the background as soon as its worker has it, here at
    the end.
    """
    program, name = _program(), _name(run, runs_dir)
    if detach:
        from maquette.runs.control import start_worker

        options = ["--queue"] if queue else []
        try:
            start_worker(run, *options, "--checkpoint", str(checkpoint))
        except KeyboardInterrupt:
            common.say(f"{run.id} may have its worker already; `{program} stop {name}` ends it")
            raise
        _print(run, as_json=as_json)
        common.say("in the queue for its device" if queue else "training in the background")
        common.say(f"  {program} watch {name}    # how it goes")
        common.say(f"  {program} stop {name}     # ends it after its step, with a checkpoint")
        return
    finished = False
    try:
        for event in _work(run, queue=queue, checkpoint=checkpoint):
            finished = isinstance(event, Finished) and event.reason != "stopped"
    except KeyboardInterrupt:
        common.say(f"stopped; `{program} resume {name}` goes on with it")
        raise
    _print(run, as_json=as_json)
    if finished:
        chats = run.meta.spec.get("train", {}).get("objective") == "chat"
        use = f"chat {name}" if chats else f"generate {name} --prompt 'Once upon a time'"
        common.say(f"next: {program} {use}")
    else:
        common.say(f"stopped; its last checkpoint is in {run.checkpoints_path}")
        common.say(f"  {program} resume {name}    # goes on from it")


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
    from maquette.spec.load import read_spec_text

    parsed = common.load_spec(spec, overrides, runs_dir)
    text = read_spec_text(spec)
    _check_device(device)
    with preparing() as progress:
        from maquette.training.device import choose_device
        from maquette.worker.training import create_run

        choose_device(device)
        return create_run(
            parsed,
            common.open_store(runs_dir),
            spec_text=text,
            device=device,
            command=_command(),
            progress=progress,
        )


def _create_unprepared(
    spec: str, overrides: list[str], *, device: str, runs_dir: Path | None
) -> "Run":
    """A run of the spec in the store, at once: its worker prepares the data."""
    from maquette.spec.load import read_spec_text

    parsed = common.load_spec(spec, overrides, runs_dir)
    text = read_spec_text(spec)
    _check_device(device)
    run = common.open_store(runs_dir).create(
        parsed.name,
        spec_text=text,
        spec=parsed.model_dump(mode="json"),
        command=_command(),
        device=device,
    )
    if parsed.train.from_run is not None:
        inherited = Path(parsed.train.from_run) / run.tokenizer_path.name
        run.write_tokenizer(lambda path: shutil.copyfile(inherited, path))
    return run


def _check_device(name: str) -> None:
    """Refuse what no machine has, without torch: whether this one has it, the worker finds out."""
    if not re.fullmatch(r"auto|(cpu|mps)(:0)?|cuda(:\d{1,3})?", name):
        raise DeviceError(
            f"--device {name!r} is not a device", hint="use auto, cpu, cuda, cuda:1 or mps"
        )


def _work(
    run: "Run", *, queue: bool = False, checkpoint: int | str = "latest"
) -> Iterator["Event"]:
    """The run's events, shown live as they come."""
    from maquette.cli.panel import progress
    from maquette.loading import read_blueprint
    from maquette.worker import work
    from maquette.worker.signals import StopOnSignal

    def waiting(ahead: int) -> None:
        runs = "1 run is" if ahead == 1 else f"{ahead} runs are"
        common.say(f"waiting for the device: {runs} ahead")

    plan = read_blueprint(run).train
    with (
        StopOnSignal(common.say) as stop,
        progress(
            common.err(), title=run.id, steps=plan.steps, tokens_per_step=plan.tokens_per_step
        ) as panel,
    ):
        for event in work(run, stop=stop, queue=queue, checkpoint=checkpoint, waiting=waiting):
            panel.show(event)
            yield event


def _print(run: "Run", *, as_json: bool) -> None:
    if as_json:
        from maquette.cli.runs import summary

        common.print_json(summary(run, run.state()))
    else:
        print(run.id, flush=True)


def _command() -> list[str]:
    return ["maquette", *map(_readable, sys.argv[1:])]


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
