"""Where to compute, and in which precision.

Made by `maquette eject` (maquette 0.1.0) from the spec cifar10; blueprint 5afd7e32ddb7ccf0.
"""

import shutil
import time
from contextlib import nullcontext
from functools import cache
from typing import Literal

import torch

from errors import DeviceError

Precision = Literal["float32", "bf16", "fp16"]
DTYPES: dict[Precision, torch.dtype] = {
    "float32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}

_WORTH_IT = 1.3  # bf16 must beat float32 by this before a CPU takes it


def choose_device(name: str = "auto") -> torch.device:
    """`auto` takes CUDA, then MPS, then the CPU; a device asked for by name must be there.

    Raises DeviceError.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise DeviceError(
            f"--device {name!r} is not a device", hint="use auto, cpu, cuda, cuda:1 or mps"
        ) from None
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            have = f"{count} CUDA device{'s' * (count != 1)}" if count else "no CUDA device"
            raise DeviceError(
                f"--device {name} was asked for, but torch sees {have}",
                hint=why_no_cuda() if not count else f"use cuda:0 to cuda:{count - 1}",
            )
    elif device.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("--device mps was asked for, but torch sees no Apple GPU")
    elif device.type not in ("cpu", "cuda", "mps"):
        raise DeviceError(f"--device {name} is not supported", hint="use auto, cpu, cuda or mps")
    return device


def why_no_cuda() -> str:
    """Why CUDA can't be used here, in words."""
    if torch.version.cuda is None:
        return "this build of torch has no CUDA in it; install one that has, or use --device cpu"
    if shutil.which("nvidia-smi") is None:
        return "no NVIDIA driver was found; use --device cpu"
    return "an NVIDIA driver is there, but torch can't use it: compare its version with torch's"


def choose_precision(requested: str, device: torch.device) -> Precision:
    """The arithmetic of matrix products on a device.

    `auto`: bf16 where the device computes it natively, which a CPU has to show by being faster at
    it than at float32; fp16 on GPUs too old for bf16; else float32. Raises DeviceError.
    """
    if requested in DTYPES:
        if requested == "bf16" and device.type == "cuda" and not _cuda_has_bf16(device):
            raise DeviceError(
                f"train.precision=bf16: {torch.cuda.get_device_name(device)} doesn't compute it",
                hint="use fp16 or auto",
            )
        return requested
    if device.type == "cuda":
        return "bf16" if _cuda_has_bf16(device) else "fp16"
    if device.type == "cpu":
        if torch.backends.cpu.get_cpu_capability() == "AVX2":
            return "float32"  # x86 has no bf16 products below AVX-512
        rates = measure_rates(device, budget_seconds=0.6)
        return "bf16" if rates["bf16"] > _WORTH_IT * rates["float32"] else "float32"
    return "float32"


def _cuda_has_bf16(device: torch.device) -> bool:
    return torch.cuda.get_device_capability(device) >= (8, 0)


def measure_rates(device: torch.device, budget_seconds: float = 1.5) -> dict[Precision, float]:
    """FLOP/s of square matrix products in each precision, measured now, in about the budget.

    The size grows until a precision's share of the budget is spent, so that one which the
    processor only emulates takes no longer.
    """
    return {
        precision: measure_rate(device, precision, budget_seconds / len(DTYPES))
        for precision in DTYPES
    }


@cache
def measure_rate(device: torch.device, precision: Precision, budget_seconds: float = 0.2) -> float:
    """FLOP/s of square matrix products in one precision, measured once in a process."""
    dtype = DTYPES[precision]
    deadline = time.perf_counter() + budget_seconds
    overhead, best = 0.0, 0.0
    generator = torch.Generator(device).manual_seed(0)  # the global one is the training's
    for size in (128, 512, 1024, 2048, 4096, 8192):
        a = torch.randn(size, size, device=device, generator=generator).to(dtype)
        first = _product_seconds(a, device)  # pays for set-up
        seconds = [_product_seconds(a, device) for _ in range(3) if time.perf_counter() < deadline]
        shortest = min(seconds, default=first)  # others may be at work: the shortest is the truest
        best = max(best, 2 * size**3 / shortest)
        # Starting threads takes as long at any size (tens of milliseconds on a busy machine), so
        # only what goes beyond the smallest product's time is taken to grow with the work.
        overhead = overhead or shortest
        growth = 64 if size == 128 else 8
        predicted = overhead + growth * max(shortest - overhead, 2 * size**3 / 1e12)
        if time.perf_counter() + 3 * predicted > deadline:
            break  # the next size would not fit
    return best


def _product_seconds(a: torch.Tensor, device: torch.device) -> float:
    begin = time.perf_counter()
    a @ a
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
    return time.perf_counter() - begin


def muon_arithmetic(precision: Precision) -> torch.dtype:
    """What Muon orthogonalises in: bfloat16 only where the training computes in it anyway."""
    return torch.bfloat16 if precision == "bf16" else torch.float32


def autocast(device: torch.device, precision: Precision) -> torch.autocast | nullcontext[None]:
    """Matrix products in the precision, everything delicate in float32."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=DTYPES[precision])
