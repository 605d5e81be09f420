"""What a run takes on this machine, from a rate measured in a moment."""

from typing import Any

import psutil
import torch

from maquette.blueprint.blueprint import AnyBlueprint
from maquette.training import device as devices


def estimate_here(blueprint: AnyBlueprint, device: torch.device) -> dict[str, Any]:
    """The estimate from rates measured now, and what the machine has for it."""
    precision = devices.choose_precision(blueprint.train.precision, device)
    rate = max(1.0, devices.measure_rates(device)[precision])
    costs, plan = blueprint.costs, blueprint.train
    return {
        "device": str(device),
        "precision": precision,
        **estimate(blueprint, rate),
        "memory_bytes": free_memory(device),
        "disk_bytes": costs.checkpoint_bytes * (plan.checkpoint_keep + 1),
    }


def estimate(blueprint: AnyBlueprint, rate: float) -> dict[str, Any]:
    """Seconds, speed and bytes at the peak, where matrix products do `rate` operations a second."""
    costs, plan = blueprint.costs, blueprint.train
    held = costs.weights_bytes + costs.gradients_bytes + costs.optimizer_bytes
    seconds = costs.flops / (rate * devices.ACHIEVED_SHARE)
    return {
        "measured_flops_per_second": rate,
        "assumed_share": devices.ACHIEVED_SHARE,
        "seconds": seconds,
        "tokens_per_second": plan.tokens / seconds,
        "peak_bytes": held + costs.activations_bytes,
    }


def free_memory(device: torch.device) -> int:
    """Bytes that a training could still take."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)
