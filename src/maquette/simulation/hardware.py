"""What a cluster is made of: devices, their links, what they draw and cost. From data files."""

import functools
import importlib.resources
import json
import re
from dataclasses import dataclass
from typing import Any

from maquette.errors import UsageError

THIS = "this"
"""What `--on` calls the machine itself, which is measured rather than looked up."""
CONTEXT_BYTES = float(2**30)
"""Of a device's memory for its driver, communication, and the allocator's rounding."""
_CLUSTER = re.compile(r"(?P<device>[a-z0-9-]+?)(?:[x*:](?P<count>[0-9]{1,9}))?")


@dataclass(frozen=True, slots=True)
class Price:
    """List price of a device for an hour, when and where it was seen."""

    dollars_per_hour: float
    as_of: str
    source: str


@dataclass(frozen=True, slots=True)
class Device:
    """One accelerator of a server. Rates are dense; bandwidths are one way, a device."""

    id: str
    name: str
    family: str  # which efficiencies hold: a key of efficiency.json
    memory_bytes: int
    context_bytes: float  # that a process takes of it before it has a model
    memory_bytes_per_second: float
    bf16_flops: float
    fp8_flops: float | None
    per_node: int
    link_bytes_per_second: float  # to the others of its server
    network_bytes_per_second: float  # to other servers
    watts: float | None  # where it is known
    host_watts: float  # its share of the rest of the server
    price: Price | None
    source: str


@dataclass(frozen=True, slots=True)
class Efficiency:
    """How much of a rate programs get. `matrix` and `attention` are shares of the bf16 rate."""

    matrix: float
    attention: float
    fp8: float  # share of the fp8 rate that matrix products get
    about: str


@dataclass(frozen=True, slots=True)
class Constants:
    """Constants of the estimate that don't depend on the device."""

    half_width: float  # channels at which matrix products reach half of their best rate
    traffic_compiled: float  # times that activations cross the memory's bus in a step
    traffic_eager: float
    memory_share: float  # of the memory's bandwidth that is reached
    link_share: float  # of links' bandwidth that collectives reach
    exposed: float  # share of what could hide behind computing that doesn't
    launch_seconds: float  # fixed time a block, a micro-batch


@dataclass(frozen=True, slots=True)
class Cluster:
    """So many devices of one kind."""

    device: Device
    count: int

    @property
    def nodes(self) -> int:
        """Servers, the last one maybe not full."""
        return -(-self.count // self.device.per_node)

    @property
    def name(self) -> str:
        """As it is written after `--on`."""
        separator = "" if self.device.id.endswith("x") else "x"
        return f"{self.device.id}{separator}{self.count}" if self.count > 1 else self.device.id


@functools.cache
def read_data(name: str) -> Any:
    """One of the data files, read once."""
    file = importlib.resources.files("maquette.simulation") / "data" / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8"))


@functools.cache
def devices() -> dict[str, Device]:
    """Every known device by its id."""
    return {name: _device(name, row) for name, row in read_data("hardware")["devices"].items()}


@functools.cache
def constants() -> Constants:
    """The constants of the estimate."""
    return Constants(**read_data("efficiency")["constants"])


def efficiency_of(device: Device) -> Efficiency:
    """What programs get of a device's rates."""
    return Efficiency(**read_data("efficiency")["families"][device.family])


def parse_cluster(text: str) -> Cluster:
    """`h100x64` -> 64 H100s; `h100` is one. Raises UsageError, which suggests what is near.

    A name that ends with an x needs no second one: `mi300x8`.
    """
    known, plain = devices(), text.strip().lower()
    match = _CLUSTER.fullmatch(plain)
    name, number = (match["device"], match["count"]) if match else (plain, None)
    if plain in known:  # some names end like a number of devices: rtx4090
        name, number = plain, None
    elif number and f"{name}x" in known and name not in known:  # mi300x64
        name = f"{name}x"
    if name not in known:
        import difflib

        near = difflib.get_close_matches(name, known, n=2, cutoff=0.5)
        mean = f"did you mean {' or '.join(near)}? " if near else ""
        raise UsageError(
            f"--on {text}: no such hardware", hint=f"{mean}there are {', '.join((*known, THIS))}"
        )
    count = int(number or 1)
    if not 1 <= count <= 100_000:
        raise UsageError(f"--on {text}: 1 to 100000 devices", hint="write it like h100x64")
    device = known[name]
    if device.per_node == 1 and count > 1:
        raise UsageError(
            f"--on {text}: {device.name} is estimated alone", hint=f"write --on {device.id}"
        )
    return Cluster(device, count)


def _device(name: str, row: dict[str, Any]) -> Device:
    return Device(
        id=name,
        name=row["name"],
        family=row["family"],
        memory_bytes=int(row["memory_gib"] * 2**30),
        context_bytes=CONTEXT_BYTES,
        memory_bytes_per_second=row["memory_gb_per_second"] * 1e9,
        bf16_flops=row["bf16_tflops"] * 1e12,
        fp8_flops=None if row["fp8_tflops"] is None else row["fp8_tflops"] * 1e12,
        per_node=row["per_node"],
        link_bytes_per_second=row["link_gb_per_second"] * 1e9,
        network_bytes_per_second=row["network_gbit_per_second"] * 1e9 / 8,
        watts=row["watts"],
        host_watts=row["host_watts"],
        price=Price(**row["price"]) if row["price"] else None,
        source=row["source"],
    )
