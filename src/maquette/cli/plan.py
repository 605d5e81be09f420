"""What a plan looks like: a blueprint and an estimate as a table."""

from typing import TYPE_CHECKING, Any

from maquette.blueprint.blueprint import AnyBlueprint, Blueprint, ImageBlueprint
from maquette.quantities import format_bytes, format_count, format_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from maquette.blueprint.choices import Choice


Rows = list[tuple[str, str, str]]


def plan_rows(
    blueprint: AnyBlueprint,
    estimate: dict[str, Any],
    *,
    begins_from: dict[str, Any] | None = None,
    choices: "Sequence[Choice]" = (),
) -> list[Rows]:
    """The plan as labels, values and what they are about, in sections."""
    return [
        _shape_rows(blueprint),
        _parameter_rows(blueprint),
        [*_beginning_rows(blueprint, begins_from), *_training_rows(blueprint)],
        _memory_rows(blueprint, estimate),
        _time_rows(blueprint, estimate),
        _choice_rows(choices),
    ]


def plan_table(sections: list[Rows]) -> "RenderableType":
    """A plan as a table, one section after another."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim", overflow="fold")
    for section in sections:
        for row in section:
            table.add_row(*(Text(cell) for cell in row))
        table.add_section()
        table.add_row()
    return table


def _choice_rows(choices: "Sequence[Choice]") -> Rows:
    """What a budget came to, and why."""
    rows = [(f"  {c.key}", str(c.value), c.why) for c in choices]
    return [("chosen", "", "for the budget"), *rows] if rows else []


def _shape_rows(blueprint: AnyBlueprint) -> Rows:
    if isinstance(blueprint, ImageBlueprint):
        return _convnext_rows(blueprint)
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


def _convnext_rows(blueprint: ImageBlueprint) -> Rows:
    s = blueprint.shape
    why = {
        1: "every pixel",
        2: "patches of 2 x 2 pixels",
        4: "patches of 4 x 4 pixels, as published",
    }
    return [
        ("model", blueprint.name, "ConvNeXt"),
        ("blocks", " ".join(map(str, s.depths)), "in each stage"),
        ("widths", " ".join(map(str, s.widths)), ""),
        ("images", str(s.image_size), "pixels a side"),
        ("stem stride", str(s.stem_stride), why[s.stem_stride]),
        ("classes", str(s.classes), _some(blueprint.facts.classes)),
    ]


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _parameter_rows(blueprint: AnyBlueprint) -> Rows:
    total = blueprint.parameters["total"]
    rows = [
        (f"  {part.replace('_', ' ')}", f"{count:,}", f"{count / total:.1%}")
        for part, count in blueprint.parameters.items()
        if count and part != "total"
    ]
    return [("parameters", f"{total:,}", ""), *rows]


def _beginning_rows(blueprint: AnyBlueprint, begins_from: dict[str, Any] | None) -> Rows:
    rows: Rows = []
    if begins_from is not None:
        if "run" in begins_from:
            rows.append(("begins from", f"step {begins_from['step']}", f"of {begins_from['run']}"))
        else:
            rows.append(("begins from", "a file", begins_from["file"]))
    if isinstance(blueprint, Blueprint) and blueprint.train.objective == "chat":
        rows.append(("learns", "chat", "what the assistant says, and nothing else"))
    return rows


def _training_rows(blueprint: AnyBlueprint) -> Rows:
    plan = blueprint.train
    schedule = plan.schedule
    parts = f" in {plan.accumulation} parts" if plan.accumulation > 1 else ""
    often = f"{plan.checkpoint_every} a checkpoint" if plan.checkpoint_every else "often saved"
    if isinstance(blueprint, Blueprint):
        rows = _text_rows(blueprint)
        seen = f"{format_count(plan.tokens)} tokens"
        batch = f"windows{parts}, {plan.tokens_per_step:,} tokens"
        often = f"{blueprint.train.sample_every} a sample, {often}"
    else:
        rows = _image_rows(blueprint)
        seen = f"{format_count(plan.tokens)} images"
        batch = f"images{parts}"
    return [
        *rows,
        ("steps", f"{plan.steps:,}", f"{plan.epochs:.3g} epochs, {seen}"),
        ("batch", str(plan.batch_size), batch),
        (
            "optimizer",
            plan.optimizer.kind,
            f"{schedule.kind}, warmup {schedule.warmup_steps} steps",
        ),
        ("every", str(plan.evaluate_every), f"steps an evaluation, {often}"),
    ]


def _text_rows(blueprint: Blueprint) -> Rows:
    plan, facts = blueprint.train, blueprint.facts
    total = sum(splits["train"].tokens for splits in facts.sources.values())
    rows = [
        ("training tokens", format_count(total), f"{plan.windows_per_epoch:,} windows an epoch")
    ]
    for name, splits in facts.sources.items():
        train = splits["train"]
        per_token = f"{train.bytes / train.tokens:.2f} bytes a token" if train.tokens else ""
        apart = format_count(splits["validation"].tokens)
        share = f", {plan.mixture.shares[name]:.1%} of the windows" if plan.mixture else ""
        about = f"{per_token}, {apart} held out{share}"
        rows.append((f"  {name}", format_count(train.tokens), about))
    return rows


def _image_rows(blueprint: ImageBlueprint) -> Rows:
    splits, rule = blueprint.facts.splits, blueprint.train.augmentation
    test = f", {splits['test'].images:,} for the test" if "test" in splits else ""
    changed = [
        word
        for word, is_on in (
            ("crop", rule.crop_scale < 1 or rule.pad_crop > 0),
            ("flip", rule.flip),
            (f"{rule.policy} augment", rule.policy != "none"),
            ("erase", rule.erase > 0),
            ("mixup", rule.mixup > 0),
            ("cutmix", rule.cutmix > 0),
            ("label smoothing", rule.label_smoothing > 0),
        )
        if is_on
    ]
    return [
        (
            "training images",
            f"{splits['train'].images:,}",
            f"{splits['validation'].images:,} held out{test}",
        ),
        ("changed by", "", ", ".join(changed) or "nothing"),
    ]


def _memory_rows(blueprint: AnyBlueprint, estimate: dict[str, Any]) -> Rows:
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


def _time_rows(blueprint: AnyBlueprint, estimate: dict[str, Any]) -> Rows:
    images = isinstance(blueprint, ImageBlueprint)
    unit, each = ("images", "an image") if images else ("tokens", "a token")
    costs = blueprint.costs
    rate = f"{estimate['measured_flops_per_second'] / 1e9:,.0f} GFLOP/s"
    return [
        (
            "arithmetic",
            format_count(costs.flops),
            f"operations, {format_count(costs.flops_per_token)} {each}",
        ),
        (
            "time",
            "about " + format_duration(estimate["seconds"]),
            f"{format_count(estimate['tokens_per_second'])} {unit}/s, if training reaches "
            f"{estimate['assumed_share']:.0%} of the {rate} that {estimate['device']} "
            f"just did in {estimate['precision']}",
        ),
    ]
