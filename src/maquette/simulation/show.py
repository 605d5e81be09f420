"""The show: a story's training as lines of text, phase after phase."""

import random
from collections.abc import Iterator

from maquette.blueprint.costs import parameters
from maquette.quantities import format_bytes, format_count, format_duration
from maquette.shapes import GPTShape
from maquette.simulation.ending import ending
from maquette.simulation.paint import Line, Painter
from maquette.simulation.progress import Progress
from maquette.simulation.simulate import simulate
from maquette.simulation.story import MODULES, Story


def show(story: Story, *, width: int = 80, coloured: bool = False) -> Iterator[Line]:
    """Every line of a story, in at most `width` columns: the same ones always."""
    painter = Painter(width, coloured=coloured)
    rng = random.Random(f"show {story.module} {story.seed}")
    yield from _opening(story, painter)
    yield from _data(story, painter, rng)
    yield from _cluster(story, painter, rng)
    progress = Progress(story, painter, rng)
    for at, event in simulate(story):
        yield from progress.lines(at, event)
    yield from ending(story, progress.outcome, painter)


def _opening(story: Story, p: Painter) -> Iterator[Line]:
    yield p.line("")
    yield p.title(story.model, 0.6)
    yield p.line(f"  {MODULES[story.module]}, seed {story.seed}", 0.4)
    yield from _model(story, p)


def _model(story: Story, p: Painter) -> Iterator[Line]:
    total = story.parameters
    yield p.pair("parameters", format_count(total), f"{total:,}", 0.3)
    s = story.shape
    if not isinstance(s, GPTShape):
        yield p.pair("blocks", " ".join(map(str, s.depths)), "ConvNeXt, by stage", 0.2)
        yield p.pair("channels", " ".join(map(str, s.widths)), "", 0.2)
        yield p.pair("images", f"{s.image_size} pixels", f"{s.classes:,} classes", 0.2)
        return
    yield p.pair("blocks", str(s.depth), f"width {s.width}, feed-forward {s.hidden}", 0.2)
    yield p.pair("heads", f"{s.heads}", f"{s.kv_heads} for keys and values, of {s.head_dim}", 0.2)
    yield p.pair("context", f"{s.context:,} tokens", "rotary positions, RMSNorm, SwiGLU", 0.2)
    for part, count in parameters(s).items():
        if count and part != "total":
            name = part.replace("_", " ")
            yield p.pair(f"  {name}", format_count(count), f"{count / total:.1%}", 0.08)


def _data(story: Story, p: Painter, rng: random.Random) -> Iterator[Line]:
    yield p.title("data", 0.4)
    if isinstance(story.shape, GPTShape):
        yield p.pair("tokenizer", "byte-level BPE", f"{story.shape.vocabulary:,} tokens", 0.4)
    epoch = story.rehearsal.work.tokens / story.epochs
    yield p.pair("data set", story.data, "", 0.3)
    yield p.pair("size", format_bytes(story.data_bytes), f"{story.data_files:,} files", 0.3)
    each = "each seen once" if story.epochs == 1 else f"each seen {story.epochs} times"
    yield p.pair(story.unit, format_count(epoch), each, 0.3)
    shares = sorted(rng.uniform(0.02, 0.98) for _ in range(12))
    for share in shares:
        files = f"{round(share * story.data_files):,} files"
        yield p.progress("index", share, files, 0.12, passing=True)
    yield p.progress("index", 1.0, f"{story.data_files:,} files", 0.3, passing=False)


def _cluster(story: Story, p: Painter, rng: random.Random) -> Iterator[Line]:
    told = story.rehearsal
    cluster, layout = told.cluster, told.layout
    yield p.title("cluster", 0.4)
    yield p.pair("devices", f"{cluster.count} x {cluster.device.name}", "", 0.3)
    per_node = min(cluster.count, cluster.device.per_node)
    yield p.pair("servers", str(cluster.nodes), f"{per_node} devices each", 0.2)
    yield p.pair("links", story.topology, story.library, 0.3)
    yield p.pair("layout", layout.name, f"{layout.devices} ranks", 0.3)
    again = "no" if layout.recompute == "none" else layout.recompute
    count = f"{layout.accumulation} passes" if layout.accumulation > 1 else "one pass"
    passes = f"{count} a step, {again} recomputation"
    yield p.pair("micro-batch", str(layout.micro_batch), passes, 0.2)
    memory = format_bytes(told.memory.total)
    yield p.pair("memory", memory, f"of {format_bytes(cluster.device.memory_bytes)}", 0.2)
    for part in ("weights", "gradients", "optimizer", "activations", "logits", "buffers"):
        if value := getattr(told.memory, part):
            yield p.pair(f"  {part}", format_bytes(value), "", 0.06)
    ready = 0
    while ready < layout.devices:
        yield p.progress("ranks", ready / layout.devices, f"{ready}", 0.1, passing=True)
        ready += rng.randint(1, max(2, layout.devices // 8))
    ranks = f"{layout.devices} of {layout.devices}"
    yield p.progress("ranks", 1.0, ranks, 0.4, passing=False)
    yield p.pair("step", f"{story.tokens_per_step:,} {story.unit}", f"{story.steps:,} steps", 0.2)
    speed = f"{format_count(told.step.tokens_per_second)} {story.unit}/s"
    yield p.pair("expected", speed, f"MFU {told.step.mfu:.1%}", 0.3)
    days = format_duration(told.wall_seconds)
    cost = f"${told.dollars:,.0f}" if told.dollars is not None else ""
    yield p.pair("time", days, f"{cost}, {told.failures:.1f} failures expected" * bool(cost), 0.6)
