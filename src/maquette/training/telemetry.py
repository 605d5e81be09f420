"""What a training takes of the machine it runs on."""

import time

import psutil
import torch

from maquette.runs.state import Telemetry
from maquette.training.device import why_no_cuda

_LEAST_SECONDS = 0.5


class Meter:
    """Reads this process's share of processor and memory, and its GPU's."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._process = psutil.Process()
        self._cpu_percent: float | None = None
        self._cpu_seconds = time.process_time()
        self._read_at = time.monotonic()

    def read(self) -> Telemetry:
        """The figures as of now. That of the CPU is a mean over half a second or more."""
        memory, total, percent, note = self._gpu()
        return Telemetry(
            cpu_percent=self._cpu(),
            memory_bytes=self._process.memory_info().rss,
            machine_memory_bytes=psutil.virtual_memory().total,
            gpu_percent=percent,
            gpu_memory_bytes=memory,
            gpu_total_bytes=total,
            gpu_note=note,
        )

    def _cpu(self) -> float | None:
        now, cpu_seconds = time.monotonic(), time.process_time()
        if now - self._read_at >= _LEAST_SECONDS:  # a share of less says nothing
            self._cpu_percent = 100 * (cpu_seconds - self._cpu_seconds) / (now - self._read_at)
            self._read_at, self._cpu_seconds = now, cpu_seconds
        return self._cpu_percent

    def _gpu(self) -> tuple[int | None, int | None, float | None, str | None]:
        """Memory, all of its memory, use in percent, and what there is to say."""
        if self._device.type == "mps":
            return torch.mps.driver_allocated_memory(), None, None, "Apple tells no figure of use"
        if self._device.type != "cuda":
            there = torch.cuda.is_available()
            return None, None, None, "it trains on the CPU" if there else why_no_cuda()
        free, total = torch.cuda.mem_get_info(self._device)
        try:
            return total - free, total, float(torch.cuda.utilization(self._device)), None
        except Exception as error:  # the driver's library has errors of its own: a GPU cut in parts
            return total - free, total, None, f"no figure of use: {error}"
