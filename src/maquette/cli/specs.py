"""new, check, schema, plan: from an empty folder to a spec that is known to be right."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maquette.cli import common
from maquette.cli.common import Device, Json, Overrides, RunsDir, SpecName
from maquette.errors import UsageError
from maquette.quantities import format_bytes, format_count, format_duration

if TYPE_CHECKING:
    from rich.console import RenderableType

    from maquette.blueprint.blueprint import Blueprint
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
    from maquette.data.prepare import prepare
    from maquette.training.device import choose_device

    sound = common.load_spec(spec, overrides or (), runs_dir)
    chosen = choose_device(device)
    with preparing() as progress:
        prepared = prepare(sound, progress=progress)
    blueprint = resolve(sound, prepared.facts)
    estimate = _estimate(blueprint, chosen)
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


def _estimate(blueprint: "Blueprint", device: Any) -> dict[str, Any]:
    """What the run takes on this machine, from a rate measured now."""
    from maquette.training.device import ACHIEVED_SHARE, choose_precision, measure_rates

    costs, plan = blueprint.costs, blueprint.train
    precision = choose_precision(plan.precision, device)
    rate = max(1.0, measure_rates(device)[precision])
    held = costs.weights_bytes + costs.gradients_bytes + costs.optimizer_bytes
    seconds = costs.flops / (rate * ACHIEVED_SHARE)
    return {
        "device": str(device),
        "precision": precision,
        "measured_flops_per_second": rate,
        "assumed_share": ACHIEVED_SHARE,
        "seconds": seconds,
        "tokens_per_second": plan.tokens / seconds,
        "peak_bytes": held + costs.activations_bytes,
        "memory_bytes": _memory(device),
        "disk_bytes": costs.checkpoint_bytes * (plan.checkpoint_keep + 1),
    }


def _memory(device: Any) -> int:
    import psutil
    import torch

    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def plan_table(
    blueprint: "Blueprint", estimate: dict[str, Any], *, begins_from: dict[str, Any] | None = None
) -> "RenderableType":
    """The plan as a table of labels and values, one section after another."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim", overflow="fold")
    for section in (
        _shape_rows(blueprint),
        _parameter_rows(blueprint),
        [*_beginning_rows(blueprint, begins_from), *_training_rows(blueprint)],
        _memory_rows(blueprint, estimate),
        _time_rows(blueprint, estimate),
    ):
        for row in section:
            table.add_row(*(Text(cell) for cell in row))
        table.add_section()
        table.add_row()
    return table


Rows = list[tuple[str, str, str]]


def _shape_rows(blueprint: "Blueprint") -> Rows:
    s = blueprint.shape
    norm = "LayerNorm" if s.norm == "layer" else "RMSNorm"
    tied = "tied output" if s.tie_embeddings else "separate output"
    kv = f", {s.kv_heads} for keys and values" if s.kv_heads != s.heads else ""
    return [
        ("model", blueprint.name, f"{s.position} positions, {norm}, {s.mlp}, {tied}"),
        ("blocks", str(s.depth), ""),
        ("width", str(s.width), f"feed-forward {s.hidden}"),
        ("heads", str(s.heads), f"of {s.head_dim} channels{kv}"),
        ("context", str(s.context), "tokens"),
        ("vocabulary", str(s.vocabulary), blueprint.tokenizer),
    ]


def _parameter_rows(blueprint: "Blueprint") -> Rows:
    total = blueprint.parameters["total"]
    rows = [
        (f"  {part.replace('_', ' ')}", f"{count:,}", f"{count / total:.1%}")
        for part, count in blueprint.parameters.items()
        if count and part != "total"
    ]
    return [("parameters", f"{total:,}", ""), *rows]


def _beginning_rows(blueprint: "Blueprint", begins_from: dict[str, Any] | None) -> Rows:
    rows: Rows = []
    if begins_from is not None:
        rows.append(("begins from", f"step {begins_from['step']}", f"of {begins_from['run']}"))
    if blueprint.train.objective == "chat":
        rows.append(("learns", "chat", "what the assistant says, and nothing else"))
    return rows


def _training_rows(blueprint: "Blueprint") -> Rows:
    plan, facts = blueprint.train, blueprint.facts
    rows = []
    for name, splits in facts.sources.items():
        train = splits["train"]
        per_token = f"{train.bytes / train.tokens:.2f} bytes a token" if train.tokens else ""
        apart = format_count(splits["validation"].tokens)
        share = f", {plan.mixture.shares[name]:.1%} of the windows" if plan.mixture else ""
        about = f"{per_token}, {apart} held out{share}"
        rows.append((f"  {name}", format_count(train.tokens), about))
    parts = f" in {plan.accumulation} parts" if plan.accumulation > 1 else ""
    tokens, schedule = sum(s["train"].tokens for s in facts.sources.values()), plan.schedule
    length = f"{plan.epochs:.3g} epochs, {format_count(plan.tokens)} tokens"
    often = f"{plan.checkpoint_every} a checkpoint" if plan.checkpoint_every else "often saved"
    saved = f"{plan.sample_every} a sample, {often}"
    return [
        ("training tokens", format_count(tokens), f"{plan.windows_per_epoch:,} windows an epoch"),
        *rows,
        ("steps", f"{plan.steps:,}", length),
        ("batch", str(plan.batch_size), f"windows{parts}, {plan.tokens_per_step:,} tokens"),
        (
            "optimizer",
            plan.optimizer.kind,
            f"{schedule.kind}, warmup {schedule.warmup_steps} steps",
        ),
        ("every", str(plan.evaluate_every), f"steps an evaluation, {saved}"),
    ]


def _memory_rows(blueprint: "Blueprint", estimate: dict[str, Any]) -> Rows:
    costs = blueprint.costs
    return [
        ("memory", format_bytes(estimate["peak_bytes"]), "at the peak, activations in float32"),
        ("  weights", format_bytes(costs.weights_bytes), ""),
        ("  gradients", format_bytes(costs.gradients_bytes), ""),
        ("  optimizer", format_bytes(costs.optimizer_bytes), ""),
        ("  activations", format_bytes(costs.activations_bytes), "at most, less when compiled"),
        (
            "disk",
            format_bytes(estimate["disk_bytes"]),
            f"{blueprint.train.checkpoint_keep} checkpoints and the best, "
            f"{format_bytes(costs.checkpoint_bytes)} each",
        ),
    ]


def _time_rows(blueprint: "Blueprint", estimate: dict[str, Any]) -> Rows:
    costs = blueprint.costs
    rate = f"{estimate['measured_flops_per_second'] / 1e9:,.0f} GFLOP/s"
    return [
        (
            "arithmetic",
            format_count(costs.flops),
            f"operations, {format_count(costs.flops_per_token)} a token",
        ),
        (
            "time",
            "about " + format_duration(estimate["seconds"]),
            f"{format_count(estimate['tokens_per_second'])} tokens/s, if training reaches "
            f"{estimate['assumed_share']:.0%} of the {rate} that {estimate['device']} "
            f"just did in {estimate['precision']}",
        ),
    ]
