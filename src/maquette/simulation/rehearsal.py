"""A whole run on a cluster before anyone pays: layout, memory, time, money, failures, loss."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from maquette.errors import UsageError
from maquette.quantities import format_count
from maquette.simulation.cluster import Layout, Memory, Step, memory_of, step_of
from maquette.simulation.hardware import Cluster
from maquette.simulation.loss import CHINCHILLA
from maquette.simulation.workload import Recompute, Workload

USABLE = 0.94  # of a device's memory: the allocator leaves gaps
FAILURES_PER_DEVICE_DAY = 419 / (54 * 16384)
"""Unexpected interruptions of Llama 3's training: 419 in 54 days on 16,384 GPUs (Grattafiori et al.
2024, arXiv:2407.21783, section 3.3.4)."""
RESTART_SECONDS = 600.0  # assumed: to notice, replace the server, load the checkpoint
_STORAGE_BYTES_PER_NODE = 1e9
"""A second, of a server to shared storage: Llama 3's sustained 2 TB/s for about 2,000 servers
(the same, section 3.3.1)."""
_CHECKPOINT_BYTES = 12  # a parameter: weights and AdamW's two numbers in float32
RECOMPUTE: tuple[Recompute, ...] = ("none", "selective", "full")
_POWERS = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be trained: windows a step, and steps."""

    workload: Workload
    windows: int
    steps: int

    @property
    def tokens(self) -> int:
        """Of the whole run."""
        return self.windows * self.workload.context * self.steps


@dataclass(frozen=True, slots=True)
class Alternative:
    """The best layout of another kind; with full recomputation, and 0 tokens/s, if none fits."""

    layout: Layout
    memory_bytes: float
    tokens_per_second: float


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A run as it is expected to go. Times are seconds; `seconds` has no failures in it."""

    cluster: Cluster
    work: Work
    layout: Layout
    memory: Memory
    step: Step
    reasons: tuple[str, ...]
    alternatives: tuple[Alternative, ...]  # the fastest first
    seconds: float
    checkpoint_bytes: float
    checkpoint_seconds: float
    checkpoint_every_seconds: float
    failures: float
    goodput: float  # share of the time that makes lasting progress
    wall_seconds: float  # with checkpoints, failures and what they undo
    kwh: float | None
    dollars: float | None
    final_loss: float | None
    optimal_parameters: float | None
    optimal_tokens: float | None
    optimal_loss: float | None


def rehearse(work: Work, cluster: Cluster) -> Rehearsal:
    """The fastest layout that fits, and what the run comes to on it.

    Raises UsageError where the model doesn't fit on the cluster whatever the layout.
    """
    found = list(_candidates(work, cluster))
    chosen = _simplest(found)
    if chosen is None:
        raise UsageError(
            f"{format_count(work.workload.parameters)} parameters don't fit on {cluster.name}: "
            f"even in parts a device needs {_gib(_least(work, cluster))}, "
            f"and has {_gib(USABLE * cluster.device.memory_bytes)}",
            hint="take more devices, or ones with more memory",
        )
    _, layout, step = chosen
    seconds = work.steps * step.seconds
    checkpoint_bytes = _CHECKPOINT_BYTES * work.workload.parameters
    writing = checkpoint_bytes / (_STORAGE_BYTES_PER_NODE * cluster.nodes)
    every, goodput = _goodput(cluster.count, writing)
    wall = seconds / goodput
    hours = wall / 3600
    price = cluster.device.price
    watts = cluster.device.watts
    text = work.workload.kind == "text"
    parameters, tokens = CHINCHILLA.optimal(6.0 * work.workload.parameters * work.tokens)
    return Rehearsal(
        cluster=cluster,
        work=work,
        layout=layout,
        memory=memory_of(work.workload, layout, cluster.device.context_bytes),
        step=step,
        reasons=tuple(_reasons(work, cluster, layout)),
        alternatives=_alternatives(work, cluster, layout, found),
        seconds=seconds,
        checkpoint_bytes=checkpoint_bytes,
        checkpoint_seconds=writing,
        checkpoint_every_seconds=every,
        failures=FAILURES_PER_DEVICE_DAY * cluster.count * wall / 86400,
        goodput=goodput,
        wall_seconds=wall,
        kwh=None
        if watts is None
        else (watts + cluster.device.host_watts) * cluster.count * hours / 1000,
        dollars=price.dollars_per_hour * cluster.count * hours if price else None,
        final_loss=CHINCHILLA.loss(work.workload.parameters, work.tokens) if text else None,
        optimal_parameters=parameters if text else None,
        optimal_tokens=tokens if text else None,
        optimal_loss=CHINCHILLA.loss(parameters, tokens) if text else None,
    )


Candidate = tuple[float, Layout, Step]


def _simplest(found: list[Candidate]) -> Candidate | None:
    """The simplest of those that are as fast as the fastest but for 3 %; of equals the fastest."""
    if not found:
        return None
    enough = 0.97 * max(speed for speed, _, _ in found)
    return min((c for c in found if c[0] >= enough), key=lambda c: (*_complexity(c[1]), -c[0]))


def _complexity(layout: Layout) -> tuple[int, int, bool, int]:
    return (
        layout.pipeline,
        layout.tensor,
        layout.sharded,
        RECOMPUTE.index(layout.recompute),
    )


def _candidates(work: Work, cluster: Cluster) -> Iterator[Candidate]:
    for layout in _layouts(work, cluster):
        if fits(work.workload, layout, cluster):
            step = step_of(work.workload, layout, cluster)
            yield step.tokens_per_second, layout, step


def _layouts(work: Work, cluster: Cluster) -> Iterator[Layout]:
    """Every way to lay out the batch: micro-batches that divide it, from large to small."""
    most = min(cluster.count, work.windows)
    divisors = [d for d in range(1, most + 1) if work.windows % d == 0]
    for tensor in _POWERS:
        if tensor > cluster.device.per_node or work.workload.heads % tensor:
            continue
        for pipeline in _POWERS:
            share = tensor * pipeline
            if pipeline > work.workload.layers or share > cluster.count:
                continue
            if pipeline > 1 and work.workload.kind == "images":
                continue
            data = max(d for d in divisors if d * share <= cluster.count)
            for sharded in (False, True) if data > 1 else (False,):
                for recompute in RECOMPUTE if work.workload.kind == "text" else ("none",):
                    yield from _micro_batches(work, data, tensor, pipeline, sharded, recompute)


def _micro_batches(
    work: Work, data: int, tensor: int, pipeline: int, sharded: bool, recompute: Recompute
) -> Iterator[Layout]:
    own = work.windows // data
    for micro in sorted({*_POWERS, own}):
        if own % micro == 0:
            yield Layout(
                data=data,
                tensor=tensor,
                pipeline=pipeline,
                sharded=sharded,
                micro_batch=micro,
                accumulation=own // micro,
                recompute=recompute,
            )


def fits(workload: Workload, layout: Layout, cluster: Cluster) -> bool:
    """Whether a step's memory is there on every device."""
    return (
        memory_of(workload, layout, cluster.device.context_bytes).total
        <= USABLE * cluster.device.memory_bytes
    )


def largest_micro_batch(workload: Workload, layout: Layout, cluster: Cluster) -> int:
    """Windows a device can take at once in this layout; 0 if not even one."""
    largest = 0
    step = 1
    while fits(workload, replace(layout, micro_batch=step), cluster) and step < 2**20:
        largest, step = step, step * 2
    while step > 1:
        step //= 2
        if fits(workload, replace(layout, micro_batch=largest + step), cluster):
            largest += step
    return largest


def _goodput(devices: int, writing_seconds: float) -> tuple[float, float]:
    """How often to save, and the share of time left: by Young's and Daly's optimum.

    Every sqrt(2 w M) seconds, where w is the time that saving stops the training and M the mean
    time between failures, which lose half an interval and a restart (Young 1974,
    doi:10.1145/361147.361115).
    """
    between = 86400 / (FAILURES_PER_DEVICE_DAY * devices)
    every = math.sqrt(2 * writing_seconds * between)
    lost = writing_seconds / every + (every / 2 + RESTART_SECONDS) / between
    return every, 1 / (1 + lost)


def _least(work: Work, cluster: Cluster) -> float:
    totals = [
        memory_of(work.workload, layout, cluster.device.context_bytes).total
        for layout in _layouts(work, cluster)
    ]
    return min(totals)


def _reasons(work: Work, cluster: Cluster, chosen: Layout) -> Iterator[str]:
    """Why this layout, in sentences."""
    w, room = work.workload, USABLE * cluster.device.memory_bytes
    idle = cluster.count - chosen.devices
    if idle:
        yield (
            f"{idle} of {cluster.count} devices idle: a batch of {work.windows:,} doesn't divide "
            "among more"
        )
    if cluster.count > 1:
        plain = Layout(data=chosen.devices, accumulation=1, recompute="full")
        need = memory_of(w, plain, cluster.device.context_bytes).total
        if need > room:
            yield f"a whole copy on each device takes {_gib(need)} of {_gib(room)} at least"
        elif not chosen.sharded and chosen.tensor * chosen.pipeline == 1:
            yield f"a whole copy fits on each device ({_gib(need)} of {_gib(room)} at least)"
    if chosen.recompute != "none":
        yield f"{chosen.recompute} recomputation: the activations don't fit, or pay, without it"


def _alternatives(
    work: Work, cluster: Cluster, chosen: Layout, found: list[Candidate]
) -> tuple[Alternative, ...]:
    """For each other kind of layout its fastest, or the one that takes the least memory."""
    best: dict[tuple[bool, bool, bool], Alternative] = {}
    for speed, layout, _ in found:
        if _kind(layout) not in best or speed > best[_kind(layout)].tokens_per_second:
            memory = memory_of(work.workload, layout, cluster.device.context_bytes).total
            best[_kind(layout)] = Alternative(layout, memory, speed)
    for layout in _layouts(work, cluster):
        kind = _kind(layout)
        if kind in best and best[kind].tokens_per_second:
            continue
        memory = memory_of(work.workload, layout, cluster.device.context_bytes).total
        if kind not in best or memory < best[kind].memory_bytes:
            best[kind] = Alternative(layout, memory, 0.0)
    best.pop(_kind(chosen))
    return tuple(sorted(best.values(), key=lambda a: (-a.tokens_per_second, a.memory_bytes)))


def _kind(layout: Layout) -> tuple[bool, bool, bool]:
    return (layout.sharded, layout.tensor > 1, layout.pipeline > 1)


def _gib(value: float) -> str:
    return f"{value / 2**30:.1f} GiB"
