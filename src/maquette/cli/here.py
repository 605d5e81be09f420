"""This machine as hardware that a run is planned on: measured now, in a second or two."""

import time
from typing import TYPE_CHECKING

from maquette.simulation.hardware import CONTEXT_BYTES, THIS, Device

if TYPE_CHECKING:
    import torch

_COPIED_BYTES = 1 << 28
_COPIES = 5


def this_machine() -> Device:
    """The device that a training would take here. Its power isn't known, nor what it costs.

    `bf16_flops` is the rate of the precision that `auto` takes.
    """
    import psutil
    import torch

    from maquette.cli.doctor import cpu_model
    from maquette.training.device import choose_device, choose_precision, measure_rate

    device = choose_device()
    precision = choose_precision("auto", device)
    if on_gpu := device.type == "cuda":
        name, memory = torch.cuda.get_device_name(device), torch.cuda.mem_get_info(device)[1]
    else:
        name, memory = cpu_model(), psutil.virtual_memory().total
    return Device(
        id=THIS,
        name=f"{name}, in {precision}",
        family="measured",
        memory_bytes=memory,
        context_bytes=CONTEXT_BYTES if on_gpu else float(psutil.Process().memory_info().rss),
        memory_bytes_per_second=_bytes_per_second(device),
        bf16_flops=max(1.0, measure_rate(device, precision)),
        fp8_flops=None,
        per_node=1,
        link_bytes_per_second=0.0,
        network_bytes_per_second=0.0,
        watts=None,
        host_watts=0.0,
        price=None,
        source="measured",
    )


def _bytes_per_second(device: "torch.device") -> float:
    """What is read and written of the memory, by the quickest of some copies."""
    import torch

    source = torch.zeros(_COPIED_BYTES // 4, device=device)
    target = torch.zeros_like(source)
    shortest = min(_copy_seconds(source, target) for _ in range(_COPIES))
    return 2 * source.nbytes / shortest


def _copy_seconds(source: "torch.Tensor", target: "torch.Tensor") -> float:
    import torch

    begin = time.perf_counter()
    target.copy_(source)
    if source.device.type != "cpu":
        torch.accelerator.synchronize(source.device)
    return time.perf_counter() - begin
