"""torch.compile where it pays for itself within the run."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from maquette.quantities import format_duration

# What a compiled step saves of an eager one, and the seconds that compiling one block takes with
# nothing cached. Those of bf16 on a CPU were measured on two cores (0 to 8 % over five shapes, by
# `python -m benchmarks.training --compile yes|no`); the shares of the others are cautious guesses.
_SAVED_SHARE = {("cpu", "float32"): 0.05, ("cpu", "bf16"): 0.05, ("cuda", "bf16"): 0.35}
_SAVED_OTHERWISE = 0.1
_COMPILE_SECONDS = {"cpu": 20.0, "cuda": 30.0}


def decide(
    wanted: bool | Literal["auto"],
    *,
    device: torch.device,
    precision: str,
    eager_seconds: float,
    graphs: int = 1,
) -> tuple[bool, str]:
    """Whether to compile, and why, in words.

    `eager_seconds` is the run's estimate without it, `graphs` the number of different blocks.
    """
    if wanted is False:
        return False, "compile: no, as asked"
    saved = eager_seconds * _SAVED_SHARE.get((device.type, precision), _SAVED_OTHERWISE)
    cost = graphs * _COMPILE_SECONDS.get(device.type, 30.0)
    # Twice over, as it is paid again in part by whoever resumes the run, and shares are uncertain.
    worth = wanted is True or saved > 2 * cost
    missing = compiler_missing(device) if worth else None
    if missing is not None:
        return False, f"compile: no, {missing}; training goes on without it"
    if wanted is True:
        return True, "compile: yes, as asked; the first step takes longer"
    return worth, (
        f"compile: {'yes' if worth else 'no'}, it would save about {format_duration(saved)} of "
        f"{format_duration(eager_seconds)} and take about {format_duration(cost)}"
    )


def compile_blocks(model: nn.Module, *, cache: Path) -> None:
    """Compile the model's blocks in place; names of weights stay as they are.

    One block at a time: they share one graph, so that the compiler works once, not `depth` times.
    What can't be compiled runs eagerly, with a warning. Compiled code is kept in the
    cache folder for later runs, unless $TORCHINDUCTOR_CACHE_DIR names another.
    """
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache))
    torch._dynamo.config.suppress_errors = True
    for name, module in model.named_modules():
        if name.split(".")[-2:-1] == ["blocks"]:
            module.compile(dynamic=False)


def compiler_missing(device: torch.device) -> str | None:
    """Why torch.compile can't work here, or None if it should."""
    if device.type == "cpu":
        return _compiler_trouble()
    if device.type == "cuda":
        try:
            import triton  # type: ignore[import-not-found,unused-ignore]  # noqa: F401
        except ImportError:
            return "triton is not installed"
    if device.type == "mps":
        return "it is not dependable on Apple GPUs"
    return None


def _compiler_trouble() -> str | None:
    """Why the C++ compiler can't do its part: it isn't there, or what torch needs with it isn't.

    Without this look a broken one would end the run: torch falls back in the forward pass alone.
    """
    default = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    compiler = os.environ.get("CXX", default)  # torch takes this one and looks for no other
    if shutil.which(compiler) is None:
        return f"no C++ compiler was found (install {default}, or let CXX name one)"
    if sys.platform == "win32":
        return None
    headers = f"-I{sysconfig.get_paths()['include']}"
    try:
        done = subprocess.run(
            [compiler, "-x", "c++", "-fsyntax-only", headers, "-"],
            input="#include <Python.h>\n#include <vector>\n",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"{compiler} can't be run ({error})"
    if done.returncode == 0:
        return None
    errors = [line for line in done.stderr.splitlines() if "error" in line] or ["no message"]
    return f"{compiler} can't compile here ({errors[0].strip()})"
