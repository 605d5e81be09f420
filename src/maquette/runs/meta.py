"""What is fixed when a run is made: who, what, when, where, with which versions."""

import contextlib
import dataclasses
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_DISTRIBUTIONS = ("maquette", "torch", "numpy", "tokenizers", "safetensors")
_NO_CALENDAR = 2.5e11  # Unix seconds that no calendar has any more: after the year 9999
_TYPES = {"git": (dict, type(None))}  # of fields that may have others than their default


@dataclass(frozen=True, slots=True)
class Meta:
    """What is fixed when a run is made: the content of meta.json."""

    id: str
    kind: str = "training"
    created_at: float = 0.0  # Unix seconds
    command: tuple[str, ...] = ()
    device: str = "auto"  # as asked for; the state knows which one it became
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    host: dict[str, Any] = dataclasses.field(default_factory=dict)
    git: dict[str, Any] | None = None
    spec: dict[str, Any] = dataclasses.field(default_factory=dict)  # overrides and defaults in it

    @property
    def unit(self) -> str:
        """What its speed is counted in."""
        return "images" if self.spec.get("task") == "image-classification" else "tokens"

    def to_json(self) -> dict[str, Any]:
        """The content of meta.json, with the time written out for people too."""
        created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.created_at))
        return {"id": self.id, "created": created, **dataclasses.asdict(self)}


def describe_this_moment(
    run_id: str,
    *,
    command: Sequence[str],
    device: str,
    spec: dict[str, Any],
    kind: str = "training",
) -> Meta:
    """What meta.json says of this process, machine and working tree."""
    import importlib.metadata
    import platform
    import socket

    versions = {"python": platform.python_version()}
    for name in _DISTRIBUTIONS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    host = {
        "name": socket.gethostname(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
    }
    return Meta(
        id=run_id,
        kind=kind,
        created_at=time.time(),
        command=tuple(command),
        device=device,
        versions=versions,
        host=host,
        git=_git_state(Path.cwd()),
        spec=spec,
    )


def _git_state(folder: Path) -> dict[str, Any] | None:
    """Commit and cleanness of the working tree that a run was started in; None outside one."""
    import subprocess

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=2,
            stdin=subprocess.DEVNULL,
        ).stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(git("status", "--porcelain", "-uno"))}
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def damage_of(path: Path) -> str | None:
    """What is wrong with a run's meta.json, in words; None if nothing is."""
    try:
        content = json.loads((path / "meta.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return "meta.json is missing"
    except OSError as error:
        return f"meta.json can't be read: {(error.strerror or str(error)).lower()}"
    except (ValueError, RecursionError):
        content = None
    return None if isinstance(content, dict) else "meta.json is damaged"


def read_meta(path: Path) -> Meta:
    """meta.json, field by field; what is missing or of another type keeps its default."""
    created_at = 0.0
    with contextlib.suppress(OSError):
        created_at = path.stat().st_mtime
    default = Meta(id=path.name, created_at=created_at)
    try:
        content = json.loads((path / "meta.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return default
    if not isinstance(content, dict):
        return default
    if isinstance(content.get("command"), list):
        content["command"] = tuple(str(word) for word in content["command"])
    known = {
        field.name: content[field.name]
        for field in dataclasses.fields(Meta)
        if field.name in content
        and type(content[field.name])
        in _TYPES.get(field.name, (type(getattr(default, field.name)),))
    }
    if not 0 <= known.get("created_at", 0.0) < _NO_CALENDAR:  # NaN isn't either
        del known["created_at"]
    return dataclasses.replace(default, **{**known, "id": path.name})


def is_run(path: Path) -> bool:
    """Whether a folder is a run's; it may be damaged, or closed to us."""
    for name in ("meta.json", "state.json", "checkpoints"):
        try:
            os.stat(path / name)  # noqa: PTH116 - Path.exists takes half of the errors for a no
        except PermissionError:
            return path.is_dir()
        except (OSError, ValueError):  # a name may be too long, or none
            continue
        return True
    return False
