"""What a plan for a cluster looks like: from a blueprint to a table or JSON."""

import dataclasses
from typing import Any

from maquette.blueprint.blueprint import AnyBlueprint, Blueprint, ImageBlueprint
from maquette.quantities import format_bytes, format_count, format_duration
from maquette.simulation.cluster import memory_of
from maquette.simulation.hardware import THIS, Cluster, parse_cluster
from maquette.simulation.rehearsal import (
    RECOMPUTE,
    Alternative,
    Rehearsal,
    Work,
    largest_micro_batch,
    rehearse,
)
from maquette.simulation.workload import convnext_workload, gpt_workload

Rows = list[tuple[str, str, str]]
_SHOWN = 4  # layouts of other kinds
_FRESH_EPOCHS = 4
"""So often text can be read and be about as good as fresh (Muennighoff et al. 2023,
arXiv:2305.16264)."""


def show_rehearsal(blueprint: AnyBlueprint, cluster: Cluster, *, as_json: bool) -> None:
    """Print how the run would go on a cluster. Raises UsageError where it doesn't fit."""
    from maquette.cli import common

    told = rehearse(work_of(blueprint), cluster)
    if as_json:
        blueprint_json = dataclasses.asdict(blueprint)
        common.print_json({"blueprint": blueprint_json, "rehearsal": to_json(blueprint, told)})
        return
    common.out().print(rehearsal_table(blueprint, told))


def cluster_of(text: str) -> Cluster:
    """What `--on` names: a cluster, or this machine, measured now. Raises UsageError."""
    if text.strip().lower() != THIS:
        return parse_cluster(text)
    from maquette.cli.here import this_machine

    return Cluster(this_machine(), 1)


def work_of(blueprint: AnyBlueprint) -> Work:
    """What the run asks of hardware."""
    plan = blueprint.train
    if isinstance(blueprint, ImageBlueprint):
        return Work(convnext_workload(blueprint.shape), plan.batch_size, plan.steps)
    return Work(gpt_workload(blueprint.shape), plan.batch_size, plan.steps)


def law_fails(blueprint: AnyBlueprint) -> str:
    """Why the scaling law says nothing of a run; empty where it does.

    It was fitted to models of 70M to 16B parameters on 5B to 500B tokens of text (Hoffmann et al.
    2022, arXiv:2203.15556, section 3): a tenth of the least is as far as it is taken here.
    """
    if not isinstance(blueprint, Blueprint):
        return "the scaling law is one of text"
    if blueprint.tokenizer == "bytes":
        return "the scaling law is one of tokens of several bytes"
    if blueprint.train.objective == "chat":
        return "the scaling law is one of pretraining"
    if blueprint.parameters["total"] < 7e6 or blueprint.train.tokens < 5e8:
        return "the scaling law is one of 70M parameters and 5B tokens, or more"
    return ""


def to_json(blueprint: AnyBlueprint, told: Rehearsal) -> dict[str, Any]:
    """The rehearsal for programs: seconds, bytes, dollars."""
    value = dataclasses.asdict(told)
    del value["work"], value["cluster"]["device"]
    if law_fails(blueprint):
        value |= dict.fromkeys(
            ("final_loss", "optimal_loss", "optimal_parameters", "optimal_tokens")
        )
    value["cluster"] |= {"name": told.cluster.name, "device": told.cluster.device.name}
    value["layout"]["name"] = told.layout.name
    value["memory"]["total"] = told.memory.total
    value["step"] |= {"seconds": told.step.seconds, "mfu": told.step.mfu}
    value["step"]["tokens_per_second"] = told.step.tokens_per_second
    context = told.cluster.device.context_bytes
    for row, other in zip(value["alternatives"], told.alternatives, strict=True):
        row["layout"] = other.layout.name
        row["memory"] = dataclasses.asdict(memory_of(told.work.workload, other.layout, context))
    value["largest_micro_batch"] = _largest(told)
    return value


def rehearsal_table(blueprint: AnyBlueprint, told: Rehearsal) -> Any:
    """The rehearsal as a table of labels and values, one section after another."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim", overflow="fold")
    sections = (
        _place_rows(blueprint, told),
        _memory_rows(told),
        _speed_rows(told),
        _cost_rows(told),
        _loss_rows(blueprint, told),
    )
    for index, section in enumerate(sections):
        if index:
            table.add_row()
        for row in section:
            table.add_row(*(Text(cell) for cell in row))
    return table


def _place_rows(blueprint: AnyBlueprint, told: Rehearsal) -> Rows:
    device, layout = told.cluster.device, told.layout
    nodes = f", {told.cluster.nodes} servers" if told.cluster.nodes > 1 else ""
    passes = f"{layout.accumulation} passes a step" if layout.accumulation > 1 else "one pass"
    again = "no" if layout.recompute == "none" else layout.recompute
    size = format_count(blueprint.parameters["total"])
    return [
        ("model", size, f"parameters: {blueprint.name}"),
        ("on", told.cluster.name, f"{device.name}{nodes}"),
        ("layout", "", f"{layout.name}: {passes}, {again} recomputation"),
        ("micro-batch", str(layout.micro_batch), f"of at most {_largest(told)} windows a device"),
        *(("  because", "", reason) for reason in told.reasons),
        *(("  or", "", _alternative(told, other)) for other in told.alternatives[:_SHOWN]),
    ]


def _alternative(told: Rehearsal, other: Alternative) -> str:
    size = format_bytes(other.memory_bytes)
    if not other.tokens_per_second:
        return f"{other.layout.name}: doesn't fit, {size} at least"
    change = other.tokens_per_second / told.step.tokens_per_second - 1
    speed = "as fast" if abs(change) < 0.005 else f"{abs(change):.0%} "
    if abs(change) >= 0.005:
        speed += "slower" if change < 0 else "faster, and less simple"
    return f"{other.layout.name}: {speed}, {size}"


def _largest(told: Rehearsal) -> int:
    return largest_micro_batch(told.work.workload, told.layout, told.cluster)


def _memory_rows(told: Rehearsal) -> Rows:
    memory = told.memory
    of = f"of {format_bytes(told.cluster.device.memory_bytes)} on the fullest device"
    parts = ("weights", "gradients", "optimizer", "activations", "logits", "buffers")
    notes = {"activations": _recomputed(told)}
    return [
        ("memory", format_bytes(memory.total), of),
        *(
            (f"  {part}", format_bytes(value), notes.get(part, ""))
            for part in parts
            if (value := getattr(memory, part))
        ),
    ]


def _recomputed(told: Rehearsal) -> str:
    """What activations would take with the other ways to recompute them."""
    if told.work.workload.kind == "images":
        return ""
    words = {"none": "all kept", "selective": "half recomputed", "full": "all recomputed"}
    sizes = {
        way: memory_of(
            told.work.workload,
            dataclasses.replace(told.layout, recompute=way),
            told.cluster.device.context_bytes,
        )
        for way in RECOMPUTE
        if way != told.layout.recompute
    }
    return ", ".join(f"{format_bytes(m.activations)} {words[way]}" for way, m in sizes.items())


def _speed_rows(told: Rehearsal) -> Rows:
    step = told.step
    unit = "tokens" if told.work.workload.kind == "text" else "images"
    parts = {
        "products": step.products,
        "attention": step.attention,
        "memory traffic": step.traffic,
        "communication": step.communication,
        "pipeline bubble": step.bubble,
        "optimizer": step.optimizer,
        "launches": step.overhead,
    }
    shares = sorted(((v / step.seconds, name) for name, v in parts.items()), reverse=True)
    shown = ", ".join(f"{name} {share:.0%}" for share, name in shares if share >= 0.005)
    return [
        ("step", format_duration(step.seconds), shown),
        (
            "speed",
            format_count(step.tokens_per_second),
            f"{unit}/s, {format_count(step.tokens_per_second / told.layout.devices)} a device",
        ),
        ("MFU", f"{step.mfu:.1%}", "of the dense bf16 rate"),
    ]


def _cost_rows(told: Rehearsal) -> Rows:
    price = told.cluster.device.price
    failures = f"{told.failures:.2g}" if told.failures >= 0.01 else "under 0.01"
    rows = [
        (
            "time",
            format_duration(told.wall_seconds),
            f"{told.work.steps:,} steps; {told.goodput:.1%} of it lasting progress",
        ),
        (
            "checkpoint",
            format_bytes(told.checkpoint_bytes),
            f"written in {format_duration(told.checkpoint_seconds)}, "
            f"best every {format_duration(told.checkpoint_every_seconds)}",
        ),
        ("failures", failures, "expected, at the rate of Llama 3's training"),
    ]
    if told.kwh is not None:
        energy = f"{told.kwh:,.0f}" if told.kwh >= 100 else f"{told.kwh:.3g}"
        rows.append(("energy", f"{energy} kWh", "at rated power, servers included"))
    if told.dollars is not None and price is not None:
        each = f"at ${price.dollars_per_hour:g} a device and hour, as of {price.as_of}"
        rows.append(("cost", f"${told.dollars:,.2f}", each))
    return rows


def _loss_rows(blueprint: AnyBlueprint, told: Rehearsal) -> Rows:
    from maquette.simulation.loss import CHINCHILLA

    if not isinstance(blueprint, Blueprint):
        return []
    if why := law_fails(blueprint):
        return [("loss", "unknown", why)]
    assert told.final_loss is not None
    assert told.optimal_loss is not None
    assert told.optimal_parameters is not None
    assert told.optimal_tokens is not None
    law = CHINCHILLA
    formula = (
        f"{law.irreducible} + {law.a} / N^{law.alpha} + {law.b} / D^{law.beta} nats a token of "
        f"fresh text ({law.source})"
    )
    best = (
        f"with {format_count(told.optimal_parameters)} parameters and "
        f"{format_count(told.optimal_tokens)} tokens, for as many operations"
    )
    rows = [("loss", f"{told.final_loss:.3f}", formula)]
    if blueprint.train.epochs > _FRESH_EPOCHS:
        times = format_count(blueprint.train.epochs)
        rows.append(("", "", f"fresh text: this one is read {times} times, and ends higher"))
    return [*rows, ("at best", f"{told.optimal_loss:.3f}", best)]
