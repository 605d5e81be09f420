"""search: short trainings of changed specs, beside that of the spec itself."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from maquette.cli import common
from maquette.cli.common import Depth, Device, Json, Overrides, RunsDir, Size
from maquette.errors import UsageError

if TYPE_CHECKING:
    from maquette.runs.store import Store
    from maquette.search.record import Options, Search, Trial
    from maquette.spec.task import AnySpec
    from maquette.worker.signals import StopOnSignal

PICTURE, WINNER = "search.png", "best.yaml"


def search(
    spec: Annotated[
        str | None,
        typer.Argument(metavar="SPEC", help="A spec file, or the name of a preset."),
    ] = None,
    overrides: Overrides = None,
    size: Size = None,
    depth: Depth = None,
    trials: Annotated[int, typer.Option(min=2, help="Specs to try, SPEC itself among them.")] = 12,
    minutes: Annotated[float, typer.Option(min=0.1, help="For all of it, about.")] = 30.0,
    steps: Annotated[
        int | None,
        typer.Option(min=2, help="Of SPEC's own trial, in place of --minutes; others: as long."),
    ] = None,
    strategy: Annotated[
        Literal["random", "evolution", "halving"], typer.Option(help="What to try next.")
    ] = "random",
    seed: Annotated[int, typer.Option(min=0, help="Chooses what is tried.")] = 0,
    keep: Annotated[
        list[str] | None,
        typer.Option("--keep", metavar="KEY", help="Change no such key: --keep model.position."),
    ] = None,
    confirm: Annotated[
        bool, typer.Option(help="Train the best one and SPEC once more with another seed.")
    ] = True,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the winner as a spec file here.")
    ] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="NAME", help="Go on with this search, or show it again.")
    ] = None,
    new: Annotated[bool, typer.Option("--new", help="Don't go on with one like this.")] = False,
    device: Device = "auto",
    as_json: Json = False,
    runs_dir: RunsDir = None,
) -> None:
    """Look for a better spec: short trainings of changed ones, all of equal time.

    Each trial is an ordinary run. Interrupted by Ctrl-C, the same command goes on.
    """
    from maquette.search.record import Options, find
    from maquette.worker.signals import StopOnSignal

    store = common.open_store(runs_dir)
    options = Options(
        trials=trials,
        minutes=minutes,
        steps=steps,
        strategy=strategy,
        seed=seed,
        device=device,
        keep=_known(keep or []),
        confirm=confirm,
    )
    if (spec is None) == (resume is None):
        raise UsageError("name a SPEC to begin with, or --resume NAME", hint="not both")
    if resume is not None:
        found = find(store.root, resume)
    else:
        assert spec is not None
        written = common.load_spec(spec, common.with_dial(overrides, size, depth), runs_dir)
        found = _begin(written, options, store, new=new)
    if not found.finished:
        with StopOnSignal() as stop:
            _carry_on(found, store, stop)
    _end(found, output, as_json=as_json)


def _known(keep: list[str]) -> tuple[str, ...]:
    from maquette.search.space import keys

    for key in keep:
        if key not in keys() and key not in ("model.width", "model.hidden"):
            raise UsageError(f"--keep {key}: no search changes that", hint=", ".join(keys()))
    return tuple(keep)


def _begin(spec: "AnySpec", options: "Options", store: "Store", *, new: bool) -> "Search":
    """A new search, or the one of this spec and these options that was interrupted."""
    from maquette.cli.data import preparing
    from maquette.search.record import make, searches

    with preparing() as progress:
        from maquette.settling import plan_spec

        plan = plan_spec(spec, device=options.device, progress=progress)
    data = plan.spec.model_dump(mode="json")
    for old in searches(store.root):
        if not new and not old.finished and (old.spec, old.options) == (data, options):
            common.say(f"going on with {old.name}, {len(old.trials)} trials in (--new begins anew)")
            return old
    made = make(store.root, data, options, whole_steps=plan.blueprint.train.steps)
    common.say(f"search {made.name}: {options.trials} trials, {options.strategy}")
    return made


def _carry_on(found: "Search", store: "Store", stop: "StopOnSignal") -> None:
    from maquette.cli.train import command_line
    from maquette.search.carry import carry_on

    try:
        carry_on(found, store, common.say, tuple(command_line()))
    except KeyboardInterrupt:
        common.say(f"stopped; `maquette search --resume {found.name}{store.option}` goes on")
        raise typer.Exit(stop.exit_code) from None


def _end(found: "Search", output: Path | None, *, as_json: bool) -> None:
    """Show what was found, draw it, and write the winner."""
    from maquette.data.image.paper import write_picture
    from maquette.runs.durable import write_text
    from maquette.search.picture import draw_search
    from maquette.search.report import verdict_of, verdict_words
    from maquette.search.specs import best_spec
    from maquette.spec.dump import to_yaml

    best = verdict_of(found)
    verdict = verdict_words(found)
    about = [f"The winner of the search {found.name}:", *verdict]
    text = to_yaml(best_spec(found), about=about)
    places = [found.path / WINNER, *([output] if output else [])]
    for place in places:
        write_text(place.absolute(), text)
    write_picture(found.path / PICTURE, draw_search(found))
    if as_json:
        common.print_json(_figures(found, best, verdict))
        return
    _print(found)
    for line in verdict:
        common.say(line)
    common.say(f"  maquette train {places[-1]}    # trains it")
    common.say(f"  {found.path / PICTURE}    # shows it")


def _figures(found: "Search", best: "Trial | None", verdict: list[str]) -> dict[str, Any]:
    front = found.front()
    return {
        "name": found.name,
        "path": str(found.path),
        "options": dataclasses.asdict(found.options),
        "measure": "accuracy" if found.higher_is_better else "bits_per_byte",
        "seconds": found.seconds,
        "ended": found.ended,
        "winner": None if best is None else best.number + 1,
        "verdict": verdict,
        "picture": str(found.path / PICTURE),
        "spec": str(found.path / WINNER),
        "trials": [
            {
                **dataclasses.asdict(trial),
                "number": trial.number + 1,
                "candidate": trial.candidate + 1,
                "front": trial.number in front,
            }
            for trial in found.trials
        ],
    }


def _print(found: "Search") -> None:
    """A row for each trial, the best first; those of no score at the end, with the cause."""
    from maquette.cli.table import Cell, print_columns, terminal_width
    from maquette.quantities import format_count

    ranked, front = found.ranked(), found.front()
    rest = [t for t in found.trials if t not in ranked]
    several = len({t.share for t in ranked}) > 1
    rows = []
    for trial in [*ranked, *rest]:
        score = "" if trial.score is None else f"{trial.score:.4f}"
        colour = "red" if trial.status == "failed" else "cyan" if trial.is_default else ""
        what = ("with another seed: " if trial.confirms else "") + trial.changes
        how = {"early": "stopped early", "failed": trial.cause or "failed"}.get(trial.status, "")
        rows.append(
            [
                Cell(str(trial.number + 1)),
                Cell(f"{what} - {how}" if how else what, colour),
                Cell("*" if trial.number in front else ""),
                Cell(score),
                Cell(format_count(trial.parameters) if trial.parameters else ""),
                Cell(format_count(trial.tokens_per_second) if trial.tokens_per_second else ""),
                Cell(f"{trial.steps or ''}{f' (x{trial.share})' if several else ''}"),
            ]
        )
    score = "accuracy" if found.higher_is_better else "bits per byte"
    unit = "images/s" if found.higher_is_better else "tokens/s"
    headers = ["trial", "changes", "", score, "parameters", unit, "steps"]
    print_columns(headers, rows, left=3, width=terminal_width())
