"""Memory and time of a training step on a cluster, for one way to lay the model out on it.

Each device has a share of the model: 1 / (tensor x pipeline) of its blocks. `data` such groups
work on different windows; with FSDP they keep the state of the model in parts too.
"""

import math
from dataclasses import dataclass
from typing import Literal

from maquette.simulation.hardware import (
    CONTEXT_BYTES,
    Cluster,
    Constants,
    Efficiency,
    constants,
    efficiency_of,
)
from maquette.simulation.workload import SELECTIVE, Recompute, Workload, kept_bytes

Loss = Literal["whole", "fused", "parts"]
_STATE = {"weights": 4, "gradients": 4, "optimizer": 8}  # bytes a parameter: float32, AdamW
_BF16 = 2
_LOGIT_BYTES: dict[Loss, float] = {"whole": 14.0, "fused": 6.0, "parts": 0.0}
"""Kept a logit at the peak: as bf16, float32, its logarithm and gradient; fused by a compiler, as
bf16 and one float32; or computed in parts, as maquette does with large vocabularies."""
_LOGIT_TRAFFIC: dict[Loss, float] = {"whole": 40.0, "fused": 16.0, "parts": 16.0}
_BLOCK_WORK = 1.5  # a block's activations and their gradients, while it goes backward
_OPTIMIZER_TRAFFIC = 28  # bytes a parameter of an AdamW step: four read, three written
_BACKWARD = 2.0
_ATTENTION_BACKWARD = 2.5  # fused attention computes the scores again
_BASE_SECONDS, _HOP_SECONDS, _NETWORK_HOP_SECONDS = 8.4e-6, 3.4e-6, 14e-6
"""What a collective takes however little it sends, and each hop of its ring, inside a server and to
the next: those that NCCL chooses its algorithms by (src/graph/tuning.cc, Simple protocol)."""
_BUCKET_BYTES = 25 * 2**20  # gradients that DDP adds up at once, as PyTorch's does


@dataclass(frozen=True, slots=True)
class Layout:
    """How a model and its batch are laid out on devices."""

    data: int = 1
    tensor: int = 1
    pipeline: int = 1
    sharded: bool = False  # FSDP: state in parts over the data-parallel devices
    micro_batch: int = 1  # windows a device, a pass
    accumulation: int = 1  # passes a step; the pipeline's micro-batches
    recompute: Recompute = "none"
    interleaved: int = 1  # parts of the model each pipeline stage has
    compiled: bool = True
    loss: Loss = "parts"
    fp8: bool = False
    overlapped_tensor: bool = False  # half of the tensor parallel communication hides

    @property
    def devices(self) -> int:
        """Devices it takes."""
        return self.data * self.tensor * self.pipeline

    @property
    def windows(self) -> int:
        """Windows of a step on all devices."""
        return self.data * self.micro_batch * self.accumulation

    @property
    def name(self) -> str:
        """FSDP 8 x TP 8 x PP 8, in words."""
        kind = "FSDP" if self.sharded else "DDP"
        parts = [f"{kind} {self.data}"] if self.data > 1 else []
        parts += [f"TP {self.tensor}"] if self.tensor > 1 else []
        parts += [f"PP {self.pipeline}"] if self.pipeline > 1 else []
        return " x ".join(parts) or "one device"


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on the fullest device, by part."""

    weights: float
    gradients: float
    optimizer: float
    activations: float
    logits: float
    buffers: float

    @property
    def total(self) -> float:
        """All of it."""
        state = self.weights + self.gradients + self.optimizer
        return state + self.activations + self.logits + self.buffers


@dataclass(frozen=True, slots=True)
class Step:
    """Seconds of a step by what they go to; they add up to `seconds`."""

    products: float
    attention: float
    traffic: float
    communication: float  # what doesn't hide
    bubble: float
    optimizer: float
    overhead: float
    tokens: int
    model_flops: float
    peak_flops: float  # of all devices, in bf16

    @property
    def seconds(self) -> float:
        """The whole step."""
        computing = self.products + self.attention + self.traffic + self.overhead
        return computing + self.communication + self.bubble + self.optimizer

    @property
    def tokens_per_second(self) -> float:
        """Of all devices."""
        return self.tokens / self.seconds

    @property
    def mfu(self) -> float:
        """Model FLOPs utilisation of the dense bf16 rate."""
        return self.model_flops * self.tokens / (self.seconds * self.peak_flops)


def memory_of(workload: Workload, layout: Layout, context_bytes: float = CONTEXT_BYTES) -> Memory:
    """What a step takes on the fullest device.

    The first of P pipeline stages keeps the activations of P micro-batches (1F1B).
    """
    w, share = workload, layout.tensor * layout.pipeline
    own = w.parameters / share
    parts = own / layout.data if layout.sharded else own
    tokens = layout.micro_batch * w.context
    in_flight = float(min(layout.pipeline, layout.accumulation))
    if layout.interleaved > 1:
        in_flight *= 1 + (layout.pipeline - 1) / (layout.pipeline * layout.interleaved)
    kept = kept_bytes(w, layout.recompute) / share * tokens * in_flight
    block = kept_bytes(w, "none") / w.layers / layout.tensor * tokens
    working = _BLOCK_WORK * block if layout.recompute != "none" else 0.5 * block
    return Memory(
        weights=_STATE["weights"] * parts,
        gradients=_STATE["gradients"] * parts,
        optimizer=_STATE["optimizer"] * parts,
        activations=kept + working,
        logits=_LOGIT_BYTES[layout.loss] * w.vocabulary / layout.tensor * tokens,
        buffers=context_bytes + _buffers(w, layout, own),
    )


def _buffers(w: Workload, layout: Layout, own: float) -> float:
    """Weights in bf16, whole blocks gathered from their parts, gradients on their way out."""
    if not layout.sharded or layout.data == 1:
        return _BF16 * own
    if layout.pipeline > 1:  # stages keep their gathered weights and gradients for all passes
        return 2 * _BF16 * own
    block = w.block_parameters / w.layers / layout.tensor
    ends = (w.parameters - w.block_parameters) / layout.tensor
    return _BF16 * ends + (2 * _BF16 + _BF16 + 4) * block


def step_of(
    workload: Workload,
    layout: Layout,
    cluster: Cluster,
    *,
    efficiency: Efficiency | None = None,
    fixed: Constants | None = None,
) -> Step:
    """How long a step takes, by roofline: what computes, what moves, what can't hide."""
    e, c = efficiency or efficiency_of(cluster.device), fixed or constants()
    passes, tokens = layout.accumulation, layout.micro_batch * workload.context
    products = _products_seconds(workload, layout, cluster, tokens, e, c)
    attention = _attention_seconds(workload, layout, cluster, tokens, e)
    traffic = _traffic_seconds(workload, layout, cluster, tokens, c)
    overhead = c.launch_seconds * workload.layers / layout.pipeline
    computing = products + attention + traffic + overhead
    waiting = _tensor_seconds(workload, layout, cluster, tokens, c)
    waiting += _stage_seconds(workload, layout, cluster, tokens, c)
    waiting += _exposed(_shard_seconds(workload, layout, cluster, c), computing, c)
    per_step = _exposed(_reduce_seconds(workload, layout, cluster, c), computing, c)
    bubble = (layout.pipeline - 1) / layout.interleaved * (computing + waiting)
    own = workload.parameters / layout.devices
    if not layout.sharded:
        own *= layout.data
    bandwidth = cluster.device.memory_bytes_per_second * c.memory_share
    return Step(
        products=passes * products,
        attention=passes * attention,
        traffic=passes * traffic,
        overhead=passes * overhead,
        communication=passes * waiting + per_step,
        bubble=bubble,
        optimizer=_OPTIMIZER_TRAFFIC * own / bandwidth,
        tokens=layout.windows * workload.context,
        model_flops=workload.model_flops,
        peak_flops=layout.devices * cluster.device.bf16_flops,
    )


def _products_seconds(
    w: Workload, layout: Layout, cluster: Cluster, tokens: int, e: Efficiency, c: Constants
) -> float:
    """Forward, backward, and what is computed again."""
    again = {"none": 0.0, "selective": SELECTIVE, "full": 1.0}[layout.recompute]
    share = layout.tensor * layout.pipeline
    best = cluster.device.bf16_flops * e.matrix
    block_rate = best
    if layout.fp8 and cluster.device.fp8_flops:
        block_rate = cluster.device.fp8_flops * e.fp8
    narrow = w.width / (w.width + c.half_width)
    blocks = (1 + _BACKWARD + again) * w.block_flops / block_rate
    head = (1 + _BACKWARD) * w.head_flops / best
    return tokens / share * (blocks + head) / narrow


def _attention_seconds(
    w: Workload, layout: Layout, cluster: Cluster, tokens: int, e: Efficiency
) -> float:
    again = 1.0 if layout.recompute == "full" else 0.0
    flops = (1 + _ATTENTION_BACKWARD + again) * w.attention_flops
    share = layout.tensor * layout.pipeline
    return tokens / share * flops / (cluster.device.bf16_flops * e.attention)


def _traffic_seconds(
    w: Workload, layout: Layout, cluster: Cluster, tokens: int, c: Constants
) -> float:
    """What norms, bends, residuals and the loss move through the device's memory."""
    times = c.traffic_compiled if layout.compiled else c.traffic_eager
    share = layout.tensor * layout.pipeline
    blocks = times * kept_bytes(w, "none")
    loss = _LOGIT_TRAFFIC[layout.loss] * w.vocabulary
    rate = cluster.device.memory_bytes_per_second * c.memory_share
    return tokens / share * (blocks + loss) / rate


def _tensor_seconds(
    w: Workload, layout: Layout, cluster: Cluster, tokens: int, c: Constants
) -> float:
    """Gathers and scatters of activations around each block's two parts."""
    if layout.tensor == 1:
        return 0.0
    times = 4 + 6 + (4 if layout.recompute == "full" else 0)
    sent = tokens * w.width * _BF16 * (layout.tensor - 1) / layout.tensor
    inside = layout.tensor <= cluster.device.per_node
    rate = c.link_share * (
        cluster.device.link_bytes_per_second if inside else cluster.device.network_bytes_per_second
    )
    waiting = _hops_seconds(layout.tensor, 1 if inside else layout.tensor)
    seconds = times * w.layers / layout.pipeline * (sent / rate + waiting)
    return seconds / 2 if layout.overlapped_tensor else seconds


def _stage_seconds(
    w: Workload, layout: Layout, cluster: Cluster, tokens: int, c: Constants
) -> float:
    """Activations to the next pipeline stage, and their gradients back."""
    if layout.pipeline == 1:
        return 0.0
    device, sent = cluster.device, tokens * w.width * _BF16 / layout.tensor
    if layout.devices <= device.per_node:
        rate, hop = device.link_bytes_per_second, _HOP_SECONDS
    else:
        rate, hop = device.network_bytes_per_second, _NETWORK_HOP_SECONDS
    return 2 * (sent / (c.link_share * rate) + _BASE_SECONDS + hop)


def _shard_seconds(w: Workload, layout: Layout, cluster: Cluster, c: Constants) -> float:
    """FSDP, a pass: weights gathered forward and backward in bf16, gradients scattered."""
    if not layout.sharded or layout.data == 1:
        return 0.0
    own = w.parameters / (layout.tensor * layout.pipeline)
    gathers = 1 if layout.pipeline > 1 else 2
    sent = (gathers * _BF16 + 4) * own * (layout.data - 1) / layout.data
    blocks = w.layers / layout.pipeline
    waiting = (gathers + 1) * blocks * _hops_seconds(layout.data, _ring_nodes(layout, cluster))
    seconds = sent / _ring_rate(layout, cluster, c) + waiting
    return seconds / layout.accumulation if layout.pipeline > 1 else seconds  # once a step


def _reduce_seconds(w: Workload, layout: Layout, cluster: Cluster, c: Constants) -> float:
    """DDP, a step: gradients added up over all data-parallel devices."""
    if layout.sharded or layout.data == 1:
        return 0.0
    own = w.parameters / (layout.tensor * layout.pipeline)
    sent = 2 * 4 * own * (layout.data - 1) / layout.data
    buckets = math.ceil(4 * own / _BUCKET_BYTES)
    nodes = _ring_nodes(layout, cluster)
    tree = _hops_seconds(layout.data / nodes, 1) + math.log2(nodes) * _NETWORK_HOP_SECONDS
    return sent / _ring_rate(layout, cluster, c) + 2 * buckets * tree


def _ring_rate(layout: Layout, cluster: Cluster, c: Constants) -> float:
    """Bytes a second of a ring: through a server's network ports together if it leaves it.

    Where tensor parallelism has the server's devices, each ring has a port to itself.
    """
    device = cluster.device
    if layout.devices <= device.per_node or device.network_bytes_per_second == 0:
        return c.link_share * device.link_bytes_per_second
    together = max(1, device.per_node // layout.tensor)
    network = device.network_bytes_per_second * together
    return c.link_share * min(device.link_bytes_per_second, network)


def _ring_nodes(layout: Layout, cluster: Cluster) -> int:
    """Servers that the data-parallel devices are in."""
    return math.ceil(layout.data * layout.tensor / cluster.device.per_node)


def _hops_seconds(ranks: float, nodes: int) -> float:
    """What a gather or scatter around a ring takes beyond the sending."""
    return _BASE_SECONDS + (ranks - nodes) * _HOP_SECONDS + (nodes - 1) * _NETWORK_HOP_SECONDS


def _exposed(communication: float, computing: float, c: Constants) -> float:
    """What of it adds to the time: what is longer than computing, and a share of what isn't."""
    return max(0.0, communication - computing) + c.exposed * min(communication, computing)
