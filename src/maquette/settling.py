"""From a spec to all that can be known before its run: data, dimensions, blueprint.

What a budget needs to know of this machine is measured here. Without torch, until that is.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from maquette.blueprint.blueprint import AnyBlueprint
from maquette.blueprint.budget import choose_vocabulary, settle
from maquette.blueprint.budget_images import settle_images
from maquette.blueprint.choices import Choice
from maquette.facts import DataFacts, ImageFacts, MachineFacts
from maquette.preparation import prepare_data, resolve_any
from maquette.spec.budget import budget
from maquette.spec.schema import Spec
from maquette.spec.task import AnySpec

if TYPE_CHECKING:
    from maquette.preparation import AnyPrepared, AnyProgress

_TOKENS = 12  # generated to measure with; the first ones pay for set-up


class Plan(NamedTuple):
    """A spec without a budget, what was chosen for it, its data, and every number of its run."""

    spec: AnySpec
    choices: tuple[Choice, ...]
    prepared: "AnyPrepared"
    blueprint: AnyBlueprint


def plan_spec(
    spec: AnySpec,
    *,
    device: str = "auto",
    cache: Path | None = None,
    progress: "Callable[[AnyProgress], None] | None" = None,
    tokenizer: Path | None = None,
) -> Plan:
    """Prepare a spec's data, settle its budget on a device, and resolve it.

    The other arguments are those of `prepare_data`. Raises SpecError, DataError, DeviceError.
    """
    spec, choices, prepared = settle_spec(
        spec, device=device, cache=cache, progress=progress, tokenizer=tokenizer
    )
    return Plan(spec, choices, prepared, resolve_any(spec, prepared.facts))


def settle_spec(
    spec: AnySpec,
    *,
    device: str = "auto",
    cache: Path | None = None,
    progress: "Callable[[AnyProgress], None] | None" = None,
    tokenizer: Path | None = None,
) -> "tuple[AnySpec, tuple[Choice, ...], AnyPrepared]":
    """The same without the blueprint: a spec without a budget, what was chosen, its data."""
    machine = measure(spec, device)
    vocabulary: tuple[Choice, ...] = ()
    if isinstance(spec, Spec) and budget(spec):
        spec, vocabulary = choose_vocabulary(spec, machine)
    prepared = prepare_data(spec, cache=cache, progress=progress, tokenizer=tokenizer)
    facts = prepared.facts
    if isinstance(spec, Spec):
        assert isinstance(facts, DataFacts)
        settled, choices = settle(spec, facts, machine)
        return settled, (*vocabulary, *choices), prepared
    assert isinstance(facts, ImageFacts)
    return *settle_images(spec, facts, machine), prepared


def measure(spec: AnySpec, device: str) -> MachineFacts:
    """What a spec's budget needs to know of a device: nothing, for most. Raises DeviceError."""
    asked = budget(spec)
    if not {"minutes", "latency"} & asked.keys():
        return MachineFacts(device)
    from maquette.training import device as devices

    place = devices.choose_device(device)
    flops = None
    if "minutes" in asked:
        precision = devices.choose_precision(spec.train.precision, place)
        flops = devices.ACHIEVED_SHARE * max(1.0, devices.measure_rates(place)[precision])
    if "latency" not in asked:
        return MachineFacts(str(place), flops_per_second=flops)
    return MachineFacts(str(place), flops, *_generation_rates(place))


def _generation_rates(device: Any) -> tuple[float, float]:
    """Bytes of weights a second that generation reads, and seconds that a block takes besides.

    From two models: a small one, which is all overhead, and one too large for a CPU's caches.
    """
    small, large = (_token_seconds(device, depth=4, width=width) for width in (64, 1024))
    small_bytes, large_bytes = (4 * 4 * 12 * width**2 for width in (64, 1024))
    rate = (large_bytes - small_bytes) / max(large - small, 1e-9)
    return rate, max(small - small_bytes / rate, 1e-9) / 4


def _token_seconds(device: Any, *, depth: int, width: int) -> float:
    """Seconds that a model of some shape takes for a token: the shortest of several."""
    import torch

    from maquette.blueprint.resolve import resolve_shape
    from maquette.generation.decode import arrange_for_decoding, generate
    from maquette.models.gpt import GPT
    from maquette.spec.schema import GPTModel

    model = GPTModel(depth=depth, width=width, heads=width // 64, context=64, mlp="gelu")
    with torch.random.fork_rng(devices=[]):
        gpt = GPT(resolve_shape(model, 256))
    if device.type == "cpu":
        arrange_for_decoding(gpt)
    tokens = generate(gpt.to(device).eval(), [0], max_new_tokens=_TOKENS)
    shortest, before = float("inf"), time.perf_counter()
    for _ in tokens:
        now = time.perf_counter()
        shortest, before = min(shortest, now - before), now
    return shortest
