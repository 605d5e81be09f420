"""The end of the show: the same model exported, and the account of it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from maquette.quantities import format_bytes, format_count, format_duration
from maquette.shapes import GPTShape
from maquette.simulation.loss import perplexity
from maquette.simulation.paint import Line, Painter
from maquette.simulation.story import Story

if TYPE_CHECKING:
    from maquette.simulation.progress import Outcome

GGUF_BITS = 4.5
"""A weight in Q4_0: blocks of 32 weights of 4 bits and a scale of 16."""
_BARS = 60  # files that get a line of their own


def format_dollars(value: float) -> str:
    """'$1,234', '$0.60': cents only where they tell something."""
    return f"${value:,.0f}" if value >= 100 else f"${value:,.2f}"


def ending(story: Story, outcome: "Outcome", p: Painter) -> Iterator[Line]:
    """Export and summary."""
    yield from _export(story, outcome, p)
    yield from _summary(story, outcome, p)


def _export(story: Story, outcome: "Outcome", p: Painter) -> Iterator[Line]:
    folder = f"{story.folder}/export"
    shards = story.shards
    yield p.title("export", 0.5)
    yield p.pair("model", story.model, f"step {outcome.best_step}, the best", 0.4)
    for index, size in enumerate(shards[:_BARS], 1):
        name = f"model-{index:05d}-of-{len(shards):05d}"
        for share in (0.4, 0.8):
            yield p.progress(name, share, "", 0.15, passing=True)
        yield p.progress(name, 1.0, format_bytes(size), 0.1, passing=False)
    total = format_bytes(story.export_bytes)
    files = f"{len(shards)} files" if len(shards) > 1 else "one file"
    yield p.pair("safetensors", total, f"{files}, bf16", 0.4)
    yield p.pair("config.json", "written", "", 0.2)
    if isinstance(story.shape, GPTShape):
        yield p.pair("tokenizer.json", f"{story.shape.vocabulary:,} tokens", "", 0.2)
        for share in (0.1, 0.35, 0.6, 0.85):
            block = f"block {round(share * story.shape.depth)} of {story.shape.depth}"
            yield p.progress("gguf q4_0", share, block, 0.3, passing=True)
        packed = format_bytes(story.parameters * GGUF_BITS / 8)
        yield p.progress("gguf q4_0", 1.0, packed, 0.4, passing=False)
    yield p.pair("folder", folder, "", 0.4)


def _summary(story: Story, outcome: "Outcome", p: Painter) -> Iterator[Line]:
    told = story.rehearsal
    device = told.cluster.device
    hours = outcome.seconds / 3600 * told.cluster.count
    speed = outcome.stepped * story.tokens_per_step / outcome.stepping_seconds
    yield p.title("summary", 0.5)
    how = "stopped early" if outcome.reason == "early_stop" else "completed"
    yield p.pair("training", how, f"{outcome.steps:,} of {story.steps:,} steps", 0.2)
    stepping = format_duration(outcome.stepping_seconds)
    yield p.pair("time", format_duration(outcome.seconds), f"{stepping} of it in steps", 0.2)
    yield p.pair("speed", f"{format_count(speed)} {story.unit}/s", "", 0.2)
    lost = outcome.stepped - outcome.steps
    again = f"{format_count(lost * story.tokens_per_step)} more were lost" if lost else ""
    yield p.pair(story.unit, format_count(outcome.tokens), again, 0.2)
    if outcome.restarts:
        yield p.pair("restarts", str(outcome.restarts), "", 0.2)
    final, best = outcome.final_loss, outcome.best_loss
    says = f"perplexity {perplexity(final):.3f}" if story.unit == "tokens" else ""
    yield p.pair("final loss", f"{final:.4f}", says, 0.2)
    yield p.pair("best loss", f"{best:.4f}", f"at step {outcome.best_step}", 0.2)
    size = f"{format_bytes(told.checkpoint_bytes)} each"
    yield p.pair("checkpoints", str(outcome.checkpoints), size, 0.2)
    if device.watts is not None:
        kwh = (device.watts + device.host_watts) * hours / 1000
        yield p.pair("energy", f"{kwh:,.0f} kWh" if kwh >= 100 else f"{kwh:.3g} kWh", "", 0.2)
    if device.price is not None:
        dollars = device.price.dollars_per_hour * hours
        each = f"${device.price.dollars_per_hour:g} a device and hour"
        yield p.pair("cost", format_dollars(dollars), each, 0.2)
    yield p.line("", 2.0)
