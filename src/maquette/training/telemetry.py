"""What a training takes of the machine it runs on."""

import psutil
import torch

from maquette.runs.state import Telemetry
from maquette.training.device import why_no_cuda


class Meter:
    """Reads this process's share of processor and memory, and its GPU's."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._process = psutil.Process()
        self._process.cpu_percent()  # the first call only sets the mark

    def read(self) -> Telemetry:
        """The figures since the last reading."""
        memory, total, percent, note = self._gpu()
        return Telemetry(
            cpu_percent=self._process.cpu_percent(),
            memory_bytes=self._process.memory_info().rss,
            machine_memory_bytes=psutil.virtual_memory().total,
            gpu_percent=percent,
            gpu_memory_bytes=memory,
            gpu_total_bytes=total,
            gpu_note=note,
        )

    def _gpu(self) -> tuple[int | None, int | None, float | None, str | None]:
        """Memory, all of its memory, use in percent, and what there is to say."""
        if self._device.type == "mps":
            return torch.mps.driver_allocated_memory(), None, None, "Apple tells no figure of use"
        if self._device.type != "cuda":
            return None, None, None, why_no_cuda()
        free, total = torch.cuda.mem_get_info(self._device)
        try:
            return total - free, total, float(torch.cuda.utilization(self._device)), None
        except (ModuleNotFoundError, RuntimeError) as error:
            return total - free, total, None, f"no figure of use: {error}"
