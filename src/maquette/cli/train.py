"""train and demo: a spec becomes a run, with a live view of it."""

import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maquette.cli import common
from maquette.cli.common import Depth, Device, Overrides, RunsDir, Size, SpecName
from maquette.errors import DeviceError, RunError
from maquette.events import Finished, Sampled

if TYPE_CHECKING:
    from maquette.events import Event
    from maquette.runs.process import WorkerLock
    from maquette.runs.store import Run
    from maquette.worker.signals import StopOnSignal

Detach = Annotated[
    bool, typer.Option("--detach", "-d", help="In the background: closing the shell ends nothing.")
]
Queue = Annotated[
    bool, typer.Option("--queue", help="Wait until the device is free, and for its turn.")
]


def train(
    spec: SpecName,
    overrides: Overrides = None,
    size: Size = None,
    depth: Depth = None,
    device: Device = "auto",
    detach: Detach = False,
    queue: Queue = False,
    runs_dir: RunsDir = None,
) -> None:
    """Train a model; prints the run's id. Ctrl-C ends it after the step, with a checkpoint.

    Exit code 0 only if it came to its end; stopped by a signal, it is 128 and the signal's number:
    130 after Ctrl-C, 143 after SIGTERM (`maquette stop`).
    """
    create = _create_unprepared if detach else _create
    run = create(spec, common.with_dial(overrides, size, depth), device=device, runs_dir=runs_dir)
    carry_out(run, detach=detach, queue=queue, new=True)


def carry_out(
    run: "Run",
    *,
    detach: bool,
    queue: bool,
    new: bool = False,
    checkpoint: int | str = "latest",
    lock: "WorkerLock | None" = None,
    as_json: bool = False,
) -> None:
    """Work on a run, here and shown live or in the background, and say what comes next.

    Prints its id, or its state as JSON: in the background as soon as its worker has it, here at
    the end. A `new` run that is interrupted before it has begun is removed. `lock` is the run's, if
    it is taken already.
    """
    if detach:
        _start(run, queue=queue, new=new, checkpoint=checkpoint, lock=lock)
        _print(run, as_json=as_json)
        program = _program()
        common.say("in the queue for its device" if queue else "training in the background")
        common.say(f"  {program} watch {run.name}    # how it goes")
        common.say(f"  {program} stop {run.name}     # ends it after its step, with a checkpoint")
        return
    from maquette.worker.signals import StopOnSignal

    stop = StopOnSignal(common.say)
    finished = False
    try:
        for event in _work(run, stop, queue=queue, checkpoint=checkpoint, lock=lock):
            finished = isinstance(event, Finished) and event.reason != "stopped"
    except KeyboardInterrupt:
        if new and run.stored_state().process is None:
            _remove(run)
        else:
            common.say(f"stopped; `{_program()} resume {run.name}` goes on with it")
        raise typer.Exit(stop.exit_code) from None
    _print(run, as_json=as_json)
    if finished:
        common.say(f"next: {_program()} {_use(run)}")
    else:
        common.say(f"stopped; its last checkpoint is in {run.checkpoints_path}")
        common.say(f"  {_program()} resume {run.name}    # goes on from it")
        raise typer.Exit(stop.exit_code)


def _use(run: "Run") -> str:
    """The command that uses a trained run, by what it learned."""
    from maquette.cli.chat import has_dialogues

    if run.meta.unit == "images":
        return f"classify {run.name} IMAGE"
    if has_dialogues(run.meta.spec):
        return f"chat {run.name}"
    return f"generate {run.name} --prompt 'Once upon a time'"


def _start(
    run: "Run", *, queue: bool, new: bool, checkpoint: int | str, lock: "WorkerLock | None"
) -> None:
    """Start a worker in the background; Ctrl-C takes it back."""
    from maquette.runs.control import start_worker

    options = ["--queue"] if queue else []
    try:
        start_worker(run, *options, "--checkpoint", str(checkpoint), lock=lock)
    except KeyboardInterrupt:
        if new:
            _remove(run)
        else:
            common.say(f"interrupted before it began: {run.id} is {run.state().status}")
        raise


def _remove(run: "Run") -> None:
    """Remove a run that was interrupted before it began."""
    try:
        run.remove()
    except RunError as error:
        common.print_error(error.message, error.hint)
    else:
        common.say(f"interrupted before it began: {run.id} is removed")


def demo(device: Device = "auto", runs_dir: RunsDir = None) -> None:
    """Train a small story teller in a minute or two, and read what it wrote before and after."""
    from maquette.worker.signals import StopOnSignal

    common.say("A small GPT learns to tell stories: a minute or two on two CPU cores.")
    run = _create("demo", [], device=device, runs_dir=runs_dir)
    name = run.name
    stop = StopOnSignal(common.say)
    samples, finished = [], False
    for event in _work(run, stop):
        finished = isinstance(event, Finished) and event.reason != "stopped"
        if isinstance(event, Sampled):
            samples.append(event)
    if not finished:
        common.say(f"stopped before the end; {name} has what it learned so far")
        raise typer.Exit(stop.exit_code)
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
            command=command_line(),
            progress=progress,
        )


def _create_unprepared(
    spec: str, overrides: list[str], *, device: str, runs_dir: Path | None
) -> "Run":
    """A run of the spec in the store, at once: its worker prepares the data."""
    from maquette.spec.budget import to_data
    from maquette.spec.load import read_spec_text
    from maquette.tracking import require

    parsed = common.load_spec(spec, overrides, runs_dir)
    require(parsed.track)
    text = read_spec_text(spec)
    _check_device(device)
    run = common.open_store(runs_dir).create(
        parsed.name,
        spec_text=text,
        spec=to_data(parsed),
        command=command_line(),
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
    run: "Run",
    stop: "StopOnSignal",
    *,
    queue: bool = False,
    checkpoint: int | str = "latest",
    lock: "WorkerLock | None" = None,
) -> Iterator["Event"]:
    """The run's events, shown live as they come."""
    from maquette.cli.panel import progress
    from maquette.reading import read_blueprint
    from maquette.worker import work

    def waiting(ahead: int) -> None:
        runs = "1 run is" if ahead == 1 else f"{ahead} runs are"
        common.say(f"waiting for the device: {runs} ahead")

    plan = read_blueprint(run).train
    with (
        stop,
        progress(
            common.err(),
            title=run.id,
            steps=plan.steps,
            tokens_per_step=plan.tokens_per_step,
            unit=run.meta.unit,
        ) as panel,
    ):
        for event in work(
            run, stop=stop, queue=queue, checkpoint=checkpoint, lock=lock, waiting=waiting
        ):
            panel.show(event)
            yield event


def _print(run: "Run", *, as_json: bool) -> None:
    if as_json:
        from maquette.cli.status import summary

        common.print_json(summary(run, run.state()))
    else:
        print(run.id, flush=True)


def command_line() -> list[str]:
    """What was typed, for the run to remember."""
    return ["maquette", *map(_readable, sys.argv[1:])]


def _program() -> str:
    """What a person types to call this program: after `make demo` its folder isn't in $PATH."""
    if shutil.which("maquette"):
        return "maquette"
    if Path(sys.argv[0]).name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m maquette"
    return shlex.quote(sys.argv[0])


def _readable(argument: str) -> str:
    """An argument as text that can be written down; bytes that aren't UTF-8 become U+FFFD."""
    return argument.encode(errors="surrogateescape").decode(errors="replace")


def _show_sample(title: str, prompt: str, text: str) -> None:
    from rich.panel import Panel
    from rich.text import Text

    story = Text.assemble((prompt, "bold"), text.strip("\x00\n"))
    common.out().print(Panel(story, title=title, title_align="left", width=88))
