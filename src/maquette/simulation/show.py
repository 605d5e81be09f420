"""The show: a story's training as lines of text, phase after phase."""

import random
from collections.abc import Iterator

from maquette.blueprint.costs import parameters
from maquette.quantities import format_bytes, format_count, format_duration
from maquette.shapes import GPTShape
from maquette.simulation.ending import ending, format_dollars
from maquette.simulation.hardware import Cluster
from maquette.simulation.paint import Line, Painter
from maquette.simulation.progress import Progress
from maquette.simulation.simulate import simulate
from maquette.simulation.story import Story

_PARTS = {"token_embedding": "embedding", "position_embedding": "positions"}
_POSITIONS = {"rope": "rotary positions", "learned": "learned positions"}
_NORMS = {"rms": "RMSNorm", "layer": "LayerNorm"}
_BENDS = {"swiglu": "SwiGLU", "gelu": "GELU", "relu2": "squared ReLU"}


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
    yield p.line(f"  {story.about}", 0.4)
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
    yield p.pair("context", f"{s.context:,} tokens", "", 0.2)
    parts = f"{_POSITIONS[s.position]}, {_NORMS[s.norm]}, {_BENDS[s.mlp]}"
    yield p.pair("architecture", parts, "", 0.2)
    for part, count in parameters(s).items():
        if count and part != "total":
            name = _PARTS.get(part, part).replace("_", " ")
            yield p.pair(f"  {name}", format_count(count), f"{count / total:.1%}", 0.08)


def _data(story: Story, p: Painter, rng: random.Random) -> Iterator[Line]:
    yield p.title("data", 0.4)
    if isinstance(story.shape, GPTShape):
        vocabulary = f"{story.shape.vocabulary:,} tokens"
        kind = "byte-level BPE" if story.data_bytes else "the spec's own"
        yield p.pair("tokenizer", kind, vocabulary, 0.4)
    epoch = story.rehearsal.work.tokens / story.epochs
    yield p.pair("data set", story.data, "", 0.3)
    whole, of = round(epoch), story.unit
    if story.data_bytes:
        whole, of = story.data_files, "files"
        yield p.pair("size", format_bytes(story.data_bytes), f"{whole:,} files", 0.3)
    yield p.pair(story.unit, format_count(epoch), _seen(story.epochs), 0.3)
    shares = sorted(rng.uniform(0.02, 0.98) for _ in range(12))
    for share in shares:
        yield p.progress("index", share, f"{round(share * whole):,} {of}", 0.12, passing=True)
    yield p.progress("index", 1.0, f"{whole:,} {of}", 0.3, passing=False)


def _seen(epochs: float) -> str:
    if epochs < 1:
        return f"{epochs:.1%} of them seen"
    return "each seen once" if epochs == 1 else f"each seen {epochs:.3g} times"


def _cluster(story: Story, p: Painter, rng: random.Random) -> Iterator[Line]:
    told = story.rehearsal
    cluster, layout = told.cluster, told.layout
    yield p.title("cluster", 0.4)
    yield p.pair("devices", f"{cluster.count} x {cluster.device.name}", "", 0.3)
    yield p.pair("servers", str(cluster.nodes), _each(cluster), 0.2)
    if cluster.count > 1:
        links = story.topology if cluster.nodes > 1 else "inside the server"
        yield p.pair("links", links, story.library, 0.3)
    ranks = "1 rank" if layout.devices == 1 else f"{layout.devices} ranks"
    yield p.pair("layout", layout.name, ranks, 0.3)
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
    cost = f"{format_dollars(told.dollars)}, " if told.dollars is not None else ""
    yield p.pair("time", days, f"{cost}{told.failures:.1f} failures expected", 0.6)


def _each(cluster: Cluster) -> str:
    """How many devices the servers have."""
    if cluster.nodes == 1:
        return ""
    per_node = cluster.device.per_node
    last = cluster.count % per_node
    return f"{per_node} devices each" + (f", the last one {last}" if last else "")
