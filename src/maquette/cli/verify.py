"""verify-resume: a training that is killed and resumed, compared with one that isn't."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maquette.cli import common
from maquette.cli.common import Json, Overrides, RunsDir
from maquette.cli.table import Cell, print_columns, terminal_width
from maquette.errors import RunError, UsageError

if TYPE_CHECKING:
    from maquette.events import Started
    from maquette.runs.store import Run
    from maquette.spec.task import AnySpec
    from maquette.verification import Verdict


def verify_resume(
    name: Annotated[
        str,
        typer.Argument(metavar="SPEC|RUN", help="A spec file, a preset, or a run, for its spec."),
    ],
    overrides: Overrides = None,
    steps: Annotated[
        int | None,
        typer.Option(min=2, show_default="40", help="Train so many of its first steps."),
    ] = None,
    kills: Annotated[int, typer.Option(min=1, help="Kill so many workers.")] = 3,
    seed: Annotated[
        int | None, typer.Option(help="Chooses when to kill.", show_default="another each time")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="As in train.", show_default="auto, or the run's"),
    ] = None,
    as_json: Json = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the trainings.")] = False,
    runs_dir: RunsDir = None,
) -> None:
    """Prove here that a resumed training computes the same bits as an undisturbed one.

    Trains the first steps twice, once with workers that are killed at random points and resumed.
    Exit code 0 if nothing differs, 1 if anything does. A run that is named is only read.
    """
    from maquette.worker.signals import StopOnSignal

    with StopOnSignal(), _place(keep) as folder:  # a signal ends this like Ctrl-C, tidily
        spec, started, its_device = _spec(name, overrides or [], runs_dir)
        same = device is None or started is None or device == started.device
        verdict = _verify(
            spec,
            folder,
            steps=steps,
            kills=kills,
            seed=seed,
            device=device or its_device,
            like=started if same else None,
        )
    if as_json:
        common.print_json(_figures(verdict))
    else:
        _print(verdict)
    if not verdict.exact:
        raise typer.Exit(1)


def _spec(
    name: str, overrides: list[str], runs_dir: Path | None
) -> "tuple[AnySpec, Started | None, str]":
    """The spec, and of a run how it began and its device."""
    from maquette.events import Started
    from maquette.reading import run_spec
    from maquette.spec.load import parse_spec, preset_names

    if Path(name).is_file() or name in preset_names() or Path(name).suffix in (".yaml", ".yml"):
        return common.load_spec(name, overrides, runs_dir), None, "auto"
    run = _run(name, runs_dir)
    common.refuse_imported(run)
    if not run.meta.spec:
        raise RunError(f"{run.path / 'meta.json'} holds no spec")
    spec = run_spec(run)
    if overrides:
        text = spec.model_dump_json()
        spec = parse_spec(text, origin=run.id, overrides=overrides)
    started = next((event for _, event in run.events() if isinstance(event, Started)), None)
    return spec, started, started.device if started else run.meta.device


def _run(name: str, runs_dir: Path | None) -> "Run":
    store = common.open_store(runs_dir)
    try:
        return store.find(name)
    except RunError as error:
        what = f"{name!r} is no spec file and no preset, and {error.message}"
        raise UsageError(what, hint=error.hint) from None


def _verify(
    spec: "AnySpec",
    folder: Path,
    *,
    steps: int | None,
    kills: int,
    seed: int | None,
    device: str,
    like: "Started | None",
) -> "Verdict":
    from maquette.cli.data import preparing
    from maquette.runs.store import Store

    with preparing() as progress:
        from maquette.settling import plan_spec
        from maquette.training.device import choose_device
        from maquette.verification import shorten, verify

        device = str(choose_device(device))
        spec, _, prepared, blueprint = plan_spec(spec, device=device, progress=progress)
        blueprint = shorten(blueprint, steps=steps, device=device, like=like)
    common.say(
        f"training {blueprint.train.steps} steps of {spec.name} twice on {device}:"
        f" undisturbed, then with {kills} kill{'s' * (kills != 1)}"
    )
    return verify(
        spec,
        prepared,
        blueprint,
        store=Store(folder),
        device=device,
        kills=kills,
        seed=seed,
        say=common.say,
    )


@contextlib.contextmanager
def _place(keep: bool) -> Iterator[Path]:
    """A folder for the trainings, removed afterwards unless they are to be kept."""
    folder = Path(tempfile.mkdtemp(prefix="maquette-verify-"))
    try:
        yield folder
    finally:
        if keep:
            common.say(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _figures(verdict: "Verdict") -> dict[str, Any]:
    import dataclasses

    first = verdict.first
    return {
        "exact": verdict.exact,
        **dataclasses.asdict(verdict),
        "repeated": sum(kill.repeated for kill in verdict.kills),
        "first": dataclasses.asdict(first) if first else None,
    }


def _print(verdict: "Verdict") -> None:
    rows = [
        [
            Cell(each.name),
            Cell("differs", "red") if each.difference else Cell("same", "green"),
            Cell(str(each.values)),
        ]
        for each in verdict.compared
    ]
    print_columns(("compared", "result", "values"), rows, left=2, width=terminal_width())
    how = ", ".join(
        (verdict.device, verdict.precision, *(("compiled",) if verdict.compiled else ()))
    )
    first = verdict.first
    if first is None:
        kills = len(verdict.kills)
        repeated = sum(kill.repeated for kill in verdict.kills)
        print(
            f"exact: {verdict.steps} steps ({how}), killed {kills} time{'s' * (kills != 1)}"
            f" and resumed ({repeated} repeated), are bit by bit those of an undisturbed training"
        )
    else:
        print(f"not exact ({how}); what differs first is the {first.difference}")
