"""doctor: what this machine has for training, and what it lacks."""

from typing import Any

from maquette.cli import common
from maquette.cli.common import Json, RunsDir
from maquette.quantities import format_bytes

_DISTRIBUTIONS = ("maquette", "torch", "numpy", "tokenizers", "safetensors", "pydantic", "rich")
_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16", "sve")


def doctor(as_json: Json = False, runs_dir: RunsDir = None) -> None:
    """Show versions, devices, precision and measured speed, memory and disk."""
    report = examine(runs_dir)
    if as_json:
        common.print_json(report)
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in _rows(report):
        table.add_row(label, Text(value))
    common.out().print(table)
    for problem in report["problems"]:
        common.say(f"note: {problem}")


def examine(runs_dir: Any = None) -> dict[str, Any]:
    """Everything that doctor shows, as a JSON-ready object; takes about two seconds."""
    import os
    import platform

    import psutil
    import torch

    from maquette.training import device as devices
    from maquette.training.compilation import compiler_missing

    chosen = devices.choose_device("auto")
    rates = devices.measure_rates(chosen)
    compiler = compiler_missing(chosen)
    report: dict[str, Any] = {
        "versions": _versions(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": {
            "model": cpu_model(),
            "flags": _cpu_flags(),
            "cores": psutil.cpu_count(logical=False) or os.cpu_count(),
            "threads": _usable_threads(),
            "torch_threads": torch.get_num_threads(),
        },
        "memory": {
            "total_bytes": psutil.virtual_memory().total,
            "available_bytes": psutil.virtual_memory().available,
        },
        "disk": _disk(runs_dir),
        "devices": _devices(),
        "device": str(chosen),
        "precision": devices.choose_precision("auto", chosen),
        "flops_per_second": dict(rates),
        "compile": {"works": compiler is None, "why_not": compiler},
    }
    report["problems"] = _problems(report)
    return report


def _versions() -> dict[str, str | None]:
    import importlib.metadata
    import platform

    versions: dict[str, str | None] = {"python": platform.python_version()}
    for name in _DISTRIBUTIONS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def cpu_model() -> str:
    """The processor's name, as its maker has it."""
    import platform

    for line in _cpu_description():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "machdep.cpu.brand_string", "Model"):
            return value.strip()
    return platform.processor() or platform.machine()


def _cpu_flags() -> list[str]:
    """Which of the instruction sets that matter for matrix products this processor has."""
    for line in _cpu_description():
        key, _, value = line.partition(":")
        if key.strip().lower() in ("flags", "features", "machdep.cpu.features"):
            present = set(value.lower().split())
            return [flag for flag in _FLAGS if flag in present]
    return []


def _cpu_description() -> list[str]:
    import subprocess
    import sys
    from pathlib import Path

    try:
        if sys.platform == "darwin":
            command = ["/usr/sbin/sysctl", "machdep.cpu"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
            return done.stdout.splitlines()
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except (OSError, subprocess.SubprocessError):
        return []


def _usable_threads() -> int:
    """Hardware threads that this process may use."""
    import os

    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _disk(runs_dir: Any) -> dict[str, dict[str, Any]]:
    """Free bytes where runs and caches go; of the nearest folder that is there already."""
    import os
    import shutil
    from pathlib import Path

    import platformdirs

    cache = os.environ.get("MAQUETTE_CACHE") or platformdirs.user_cache_path("maquette")
    found = {}
    for name, wanted in (("runs", common.open_store(runs_dir).root), ("cache", Path(cache))):
        place = wanted.expanduser().absolute()
        while not place.exists():
            place = place.parent
        try:
            free = shutil.disk_usage(place).free
        except OSError:
            free = None
        writable = place.is_dir() and os.access(place, os.W_OK)
        found[name] = {"path": str(wanted), "free_bytes": free, "writable": writable}
    return found


def _devices() -> list[dict[str, Any]]:
    """Every kind of device: whether torch can use it, and why not."""
    import torch

    from maquette.training.device import why_no_cuda

    listed: list[dict[str, Any]] = [{"name": "cpu", "usable": True, "detail": ""}]
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            detail = f"{properties.name}, {format_bytes(properties.total_memory)}"
            listed.append({"name": f"cuda:{index}", "usable": True, "detail": detail})
    else:
        listed.append({"name": "cuda", "usable": False, "detail": why_no_cuda()})
    mps = torch.backends.mps
    built = "this build of torch is not for Apple GPUs" if not mps.is_built() else "no Apple GPU"
    detail = "Apple GPU" if mps.is_available() else built
    listed.append({"name": "mps", "usable": mps.is_available(), "detail": detail})
    return listed


def _problems(report: dict[str, Any]) -> list[str]:
    problems = []
    if not report["compile"]["works"]:
        problems.append(f"torch.compile is out of reach: {report['compile']['why_not']}")
    for name, place in report["disk"].items():
        if not place["writable"]:
            problems.append(f"the {name} folder {place['path']} can't be written to")
        elif place["free_bytes"] is not None and place["free_bytes"] < 2 * 2**30:
            free = format_bytes(place["free_bytes"])
            problems.append(f"only {free} are free for {name} ({place['path']})")
    return problems


def _rows(report: dict[str, Any]) -> list[tuple[str, str]]:
    cpu, memory = report["cpu"], report["memory"]
    rates = report["flops_per_second"]
    speeds = ", ".join(f"{name} {rate / 1e9:,.0f} GFLOP/s" for name, rate in rates.items())
    rows = [
        (
            "versions",
            ", ".join(f"{name} {v or 'absent'}" for name, v in report["versions"].items()),
        ),
        ("system", report["system"]),
        ("processor", f"{cpu['model']}; {' '.join(cpu['flags']) or 'no vector flags known'}"),
        ("cores", f"{cpu['cores']} ({cpu['threads']} threads, torch uses {cpu['torch_threads']})"),
        (
            "memory",
            f"{format_bytes(memory['available_bytes'])} free"
            f" of {format_bytes(memory['total_bytes'])}",
        ),
    ]
    for name, place in report["disk"].items():
        free = "unknown" if place["free_bytes"] is None else format_bytes(place["free_bytes"])
        rows.append((f"{name} folder", f"{place['path']} ({free} free)"))
    for entry in report["devices"]:
        usable = "yes" if entry["usable"] else "no"
        rows.append((entry["name"], f"{usable}{': ' + entry['detail'] if entry['detail'] else ''}"))
    compiles = report["compile"]
    rows += [
        ("auto takes", f"{report['device']} with {report['precision']}"),
        ("matrix products", speeds),
        ("torch.compile", "ready" if compiles["works"] else f"no: {compiles['why_not']}"),
    ]
    return rows
