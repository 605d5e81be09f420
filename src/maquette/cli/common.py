"""What the commands share: options, consoles, and how errors are told."""

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from maquette.runs.store import Run, Store
    from maquette.spec.task import AnySpec

# The panels of `maquette --help`.
BEGIN = "Begin"
TRAIN = "Train"
RUNS = "Runs"
USE = "Use a model"
LOOK = "Look closer"

RunsDir = Annotated[
    Path | None,
    typer.Option(
        "--runs-dir",
        envvar="MAQUETTE_RUNS",
        show_default="./runs",
        help="Folder that holds the runs.",
        file_okay=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
RunName = Annotated[
    str,
    typer.Argument(metavar="RUN", help="A run's id, the beginning of one, or `latest`."),
]


SpecName = Annotated[
    str, typer.Argument(metavar="SPEC", help="A spec file, or the name of a preset.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Set any field: --set train.steps=100. Repeatable."
    ),
]
Size = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="tiny, small, medium or large (1M, 10M, 124M, 350M parameters): chooses the rest.",
    ),
]
Depth = Annotated[
    int | None, typer.Option(min=1, help="So many blocks; chooses the rest, unless --size does.")
]
Device = Annotated[
    str,
    typer.Option(help="auto (CUDA, then MPS, then the CPU), cpu, cuda, cuda:1 or mps."),
]


def open_store(runs_dir: Path | None) -> "Store":
    """The store that a command's --runs-dir means."""
    from maquette.runs.store import Store

    return Store(runs_dir)


def find_runs(names: "Sequence[str]", runs_dir: Path | None) -> "tuple[list[Run], bool]":
    """The runs of these names, each once, and whether there was a name of none: that is told."""
    from maquette.errors import RunError

    store = open_store(runs_dir)
    runs, failed = {}, False
    for name in names:
        try:
            run = store.find(name)
        except RunError as error:
            print_error(error.message, error.hint)
            failed = True
        else:
            runs[run.path] = run
    return list(runs.values()), failed


def refuse_imported(run: "Run") -> None:
    """A run of others' weights was never trained here, and a simulated one nowhere.

    Raises RunError.
    """
    from maquette.errors import RunError

    if run.meta.kind == "simulation":
        raise RunError(f"{run.id} is a simulation: there is no training of it to go on with")
    if run.meta.kind == "imported":
        raise RunError(
            f"{run.id} was imported: there is no training of it to go on with",
            hint=f"`train: {{from: {run.name}}}` in a spec begins one with its weights",
        )


def stdin_is_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin is not None and sys.stdin.isatty()  # None: closed before Python began


def load_spec(spec: str, overrides: "Sequence[str]", runs_dir: Path | None = None) -> "AnySpec":
    """The spec in a file or preset, with what it takes over from the run that it begins from."""
    from maquette.base import load_spec

    return load_spec(spec, overrides, open_store(runs_dir))


def with_dial(overrides: "Sequence[str] | None", size: str | None, depth: int | None) -> list[str]:
    """The overrides that --size and --depth stand for, before those of --set."""
    dial = [] if size is None else [f"model.size={size}"]
    if depth is not None:
        dial += [] if dial else ["model.size=by-depth"]
        dial.append(f"model.depth={depth}")
    return [*dial, *(overrides or ())]


def out() -> "Console":
    """The console for data: stdout. Colours only on a terminal, and not with NO_COLOR."""
    from rich.console import Console

    # Without a terminal there is no width to keep to: a table isn't to lose columns in a pipe.
    return Console(highlight=False, width=None if sys.stdout.isatty() else 400)


def err() -> "Console":
    """The console for progress and messages: stderr."""
    from rich.console import Console

    class Messages(Console):
        def on_broken_pipe(self) -> None:
            self.quiet = True  # rich would end the program; a training goes on unheard

    return Messages(stderr=True, highlight=False)


def say(message: str) -> None:
    """A line for the person, to stderr."""
    with contextlib.suppress(OSError, ValueError):
        print(message, file=sys.stderr, flush=True)


def print_json(value: Any) -> None:
    """Indented JSON to stdout; numbers that aren't finite become null."""
    import json

    from maquette.runs.durable import finite

    print(json.dumps(finite(value), indent=2, ensure_ascii=False, allow_nan=False))


def print_error(message: str, hint: str | None = None) -> None:
    """`error: ...` and a hint on the next line, to stderr."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    colour = sys.stderr.isatty() and not plain
    word = "\x1b[1;31merror:\x1b[0m" if colour else "error:"
    lines = f"{word} {message}\n" + (f"  {hint}\n" if hint else "")
    with contextlib.suppress(OSError, ValueError):  # nobody listens any more
        sys.stderr.write(lines)
        sys.stderr.flush()


def usage_hint(error: typer.TyperException) -> str | None:
    """Where to read how the command is used, if the error is about its use."""
    context = getattr(error, "ctx", None)
    return f"see `{context.command_path} --help`" if context is not None else None


def describe_os_error(error: OSError) -> tuple[str, str | None]:
    """An error of the operating system in a line, with the file where it is known, and a hint."""
    from maquette.runs.durable import HINTS

    where = f"{error.filename}: " if error.filename else ""
    cause = (error.strerror or str(error) or type(error).__name__).lower()
    return f"{where}{cause}", HINTS.get(error.errno or 0)


def print_unexpected(error: Exception) -> None:
    """Tell of a defect of ours, and keep its traceback for whoever mends it."""
    import traceback

    trace = "".join(traceback.format_exception(error))
    if os.environ.get("MAQUETTE_DEBUG"):
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(trace)
        return
    first = (str(error).strip() or "no message").splitlines()[0]
    print_error(f"unexpected {type(error).__name__}: {first}", _save(trace))


def _save(trace: str) -> str:
    import tempfile

    debug = "MAQUETTE_DEBUG=1 shows the traceback"
    try:
        handle, name = tempfile.mkstemp(prefix="maquette-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(trace)
    except OSError:
        return debug
    return f"this is a defect of maquette; please report it with {name} ({debug})"


def prepare_output() -> None:
    """See to it that anything can be printed: to streams closed from the start, in any encoding.

    And that messages hold nothing up: whatever is at the other end of stderr may stop reading.
    """
    import io

    from maquette.cli.unhurried import unhurried

    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr does
    sys.stderr = unhurried(sys.stderr)


def settle_output() -> None:
    """Keep Python from complaining at its end about a stdout that nobody reads."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def ago(seconds: float) -> str:
    """How long ago, in the largest unit: `12s`, `5min`, `3h`, `2d`."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f}{unit}"
    return f"{max(0.0, seconds):.0f}s"
