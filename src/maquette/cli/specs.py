"""new, check, schema, plan: from an empty folder to a spec that is known to be right."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maquette.cli import common
from maquette.cli.common import Depth, Device, Json, Overrides, RunsDir, Size, SpecName
from maquette.errors import UsageError
from maquette.quantities import format_bytes

if TYPE_CHECKING:
    from maquette.spec.task import AnySpec

On = Annotated[
    str | None,
    typer.Option("--on", metavar="CLUSTER", help="Rehearse it there: h100x64, rtx4090, this."),
]
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


def check(
    spec: SpecName,
    overrides: Overrides = None,
    size: Size = None,
    depth: Depth = None,
    runs_dir: RunsDir = None,
) -> None:
    """Say whether a spec is right; if not, what is wrong, in which line, and what to write."""
    sound = common.load_spec(spec, common.with_dial(overrides, size, depth), runs_dir)
    print(f"{spec}: ok ({_summary(sound)})")


def schema() -> None:
    """Print the spec's JSON Schema, for editors and other programs."""
    from maquette.spec.starter import schema_text

    print(schema_text(), end="")


def plan(
    spec: SpecName,
    overrides: Overrides = None,
    size: Size = None,
    depth: Depth = None,
    device: Device = "auto",
    on: On = None,
    resolved: Annotated[
        bool, typer.Option("--resolved", help="Print the spec with what its budget came to.")
    ] = False,
    runs_dir: RunsDir = None,
    as_json: Json = False,
) -> None:
    """Show what a spec comes to: shape, parameters, steps, memory, time, here or on a cluster."""
    from maquette.cli.data import preparing
    from maquette.cli.plan import plan_rows, plan_table
    from maquette.cli.rehearsal import cluster_of, show_rehearsal
    from maquette.settling import plan_spec
    from maquette.spec.dump import to_yaml

    cluster = None if on is None else cluster_of(on)
    written = common.load_spec(spec, common.with_dial(overrides, size, depth), runs_dir)
    if cluster is None:
        from maquette.training.device import choose_device
        from maquette.training.estimate import estimate_here

        chosen = choose_device(device)
    with preparing() as progress:
        sound, choices, prepared, blueprint = plan_spec(written, device=device, progress=progress)
    if resolved:
        print(to_yaml(sound), end="")
        return
    if cluster is not None:
        show_rehearsal(blueprint, cluster, as_json=as_json)
        return
    estimate = estimate_here(blueprint, chosen)
    if as_json:
        common.print_json(
            {
                "blueprint": dataclasses.asdict(blueprint),
                "choices": [choice._asdict() for choice in choices],
                "data": {"folder": str(prepared.folder), "reused": prepared.reused},
                "estimate": estimate,
                "from": _from(sound),
            }
        )
        return
    rows = plan_rows(blueprint, estimate, begins_from=_from(sound), choices=choices)
    common.out().print(plan_table(rows))
    if estimate["peak_bytes"] > estimate["memory_bytes"]:
        common.say(
            f"note: about {format_bytes(estimate['peak_bytes'])} are needed, and "
            f"{estimate['device']} has {format_bytes(estimate['memory_bytes'])} free; "
            "raise train.accumulation, or lower train.batch_size"
        )


def _from(spec: "AnySpec") -> dict[str, Any] | None:
    """The run and the step that a spec begins from, or the file."""
    from maquette.spec.parts import WEIGHTS

    train = spec.train
    if train.from_run is None:
        return None
    if train.from_run.endswith(WEIGHTS):
        return {"file": train.from_run}
    return {"run": train.from_run, "step": train.from_checkpoint}


def _summary(spec: "AnySpec") -> str:
    from maquette.spec.schema import Spec

    asked = _budget(spec)
    if asked:
        return f"{asked}, sources {', '.join(spec.data.sources)}; `maquette plan` says what that is"
    train = spec.train
    length = f"{train.epochs:g} epochs" if train.epochs is not None else f"{_steps(train)} steps"
    begins = _from(spec)
    after = ""
    if begins:
        step = f" step {begins['step']}" if "step" in begins else ""
        after = f", from {Path(begins.get('run') or begins['file']).name}{step}"
    sources = ", ".join(spec.data.sources)
    if not isinstance(spec, Spec):
        return (
            f"ConvNeXt {spec.model.variant}, source {sources}, "
            f"{length} of {train.batch_size} images{after}"
        )
    model = spec.model
    vocabulary = getattr(spec.tokenizer, "vocabulary", None)
    tokens = "bytes" if vocabulary is None else f"bpe {vocabulary}"
    return (
        f"{model.depth} x {model.width}, context {model.context}, {tokens}, "
        f"sources {sources}, {length} of {train.batch_size} windows"
        f"{after}{', for chat' if spec.train.objective == 'chat' else ''}"
    )


def _budget(spec: "AnySpec") -> str:
    """What a spec asks for instead of dimensions, in words; empty for others."""
    from maquette.quantities import format_count, format_duration
    from maquette.spec.budget import budget

    show: dict[str, Callable[[Any], str]] = {
        "size": str,
        "parameters": lambda count: f"{format_count(count)} parameters",
        "memory": lambda size: f"{format_bytes(size)} of memory",
        "latency": lambda seconds: f"{format_duration(seconds)} a token",
        "minutes": lambda minutes: f"{minutes:g} minutes",
    }
    return ", ".join(show[key](value) for key, value in budget(spec).items())


def _steps(train: Any) -> int:
    from maquette.blueprint.plans import DEFAULT_STEPS

    return DEFAULT_STEPS if train.steps is None else int(train.steps)
