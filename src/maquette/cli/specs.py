"""new, check, schema, plan: from an empty folder to a spec that is known to be right."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maquette.cli import common
from maquette.cli.common import Device, Json, Overrides, RunsDir, SpecName
from maquette.errors import UsageError
from maquette.quantities import format_bytes

if TYPE_CHECKING:
    from maquette.spec.schema import Spec

Preset = Annotated[
    str | None, typer.Option("--preset", metavar="NAME", help="Copy this preset instead.")
]


def new(
    name: Annotated[
        str, typer.Argument(metavar="[NAME]", help="The model's name; the file is NAME.yaml.")
    ] = "my-model",
    preset: Preset = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
) -> None:
    """Write a commented spec to start from, and the schema that lets editors complete it."""
    from maquette.runs.durable import write_text
    from maquette.spec import starter

    file = Path(name if name.endswith((".yaml", ".yml")) else f"{name}.yaml").expanduser()
    text = starter.starter_text(file.stem, preset)
    if file.exists() and not force:
        raise UsageError(
            f"{file} is there already", hint="choose another name, or --force to overwrite it"
        )
    if not file.parent.is_dir():
        raise UsageError(f"there is no folder {file.parent}", hint="make it first")
    write_text(file, text)
    schema_file = file.with_name(starter.SCHEMA_FILE)
    if not schema_file.exists() or starter.is_ours(schema_file):
        write_text(schema_file, starter.schema_text())
    print(file)
    common.say(f"next: `maquette plan {file}`, then `maquette train {file}`")


def check(spec: SpecName, overrides: Overrides = None, runs_dir: RunsDir = None) -> None:
    """Say whether a spec is right; if not, what is wrong, in which line, and what to write."""
    sound = common.load_spec(spec, overrides or (), runs_dir)
    print(f"{spec}: ok ({_summary(sound)})")


def schema() -> None:
    """Print the spec's JSON Schema, for editors and other programs."""
    from maquette.spec.starter import schema_text

    print(schema_text(), end="")


def plan(
    spec: SpecName,
    overrides: Overrides = None,
    device: Device = "auto",
    runs_dir: RunsDir = None,
    as_json: Json = False,
) -> None:
    """Show what a spec comes to: shape, parameters, steps, memory, disk, time on this machine."""
    from maquette.blueprint.resolve import resolve
    from maquette.cli.data import preparing
    from maquette.cli.plan import estimate_here, plan_table
    from maquette.data.prepare import prepare
    from maquette.training.device import choose_device

    sound = common.load_spec(spec, overrides or (), runs_dir)
    chosen = choose_device(device)
    with preparing() as progress:
        prepared = prepare(sound, progress=progress)
    blueprint = resolve(sound, prepared.facts)
    estimate = estimate_here(blueprint, chosen)
    if as_json:
        common.print_json(
            {
                "blueprint": dataclasses.asdict(blueprint),
                "data": {"folder": str(prepared.folder), "reused": prepared.reused},
                "estimate": estimate,
                "from": _from(sound),
            }
        )
        return
    common.out().print(plan_table(blueprint, estimate, begins_from=_from(sound)))
    if estimate["peak_bytes"] > estimate["memory_bytes"]:
        common.say(
            f"note: about {format_bytes(estimate['peak_bytes'])} are needed, and "
            f"{estimate['device']} has {format_bytes(estimate['memory_bytes'])} free; "
            "raise train.accumulation, or lower train.batch_size or model.context"
        )


def _from(spec: "Spec") -> dict[str, Any] | None:
    """The run and the step that a spec begins from."""
    train = spec.train
    return {"run": train.from_run, "step": train.from_checkpoint} if train.from_run else None


def _summary(spec: "Spec") -> str:
    model, train = spec.model, spec.train
    vocabulary = getattr(spec.tokenizer, "vocabulary", None)
    tokens = "bytes" if vocabulary is None else f"bpe {vocabulary}"
    length = f"{train.epochs:g} epochs" if train.epochs is not None else f"{_steps(train)} steps"
    begins = _from(spec)
    after = f", from {Path(begins['run']).name} step {begins['step']}" if begins else ""
    return (
        f"{model.depth} x {model.width}, context {model.context}, {tokens}, "
        f"sources {', '.join(spec.data.sources)}, {length} of {train.batch_size} windows"
        f"{after}{', for chat' if train.objective == 'chat' else ''}"
    )


def _steps(train: Any) -> int:
    from maquette.blueprint.plans import DEFAULT_STEPS

    return DEFAULT_STEPS if train.steps is None else int(train.steps)
