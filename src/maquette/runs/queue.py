"""Whose turn it is on a device. No daemon: every worker on the machine holds a ticket for life.

A ticket is a locked file whose name says when it was drawn, for which device, and whether its
holder already works there. The system frees the lock however the holder ends.
"""

import contextlib
import dataclasses
import os
import time
from dataclasses import dataclass
from pathlib import Path

from maquette.runs import durable
from maquette.runs.process import WorkerLock, is_held


@dataclass(frozen=True, slots=True, order=True)
class _Name:
    drawn_ns: int
    pid: int
    device: str
    works: bool

    def __str__(self) -> str:
        device = self.device.replace(":", "-")
        return f"{self.drawn_ns:020d}.{self.pid}.{device}.{'works' if self.works else 'waits'}"


class Ticket:
    """A place in the queue for a device. Use it as a context manager."""

    def __init__(self, folder: Path, device: str) -> None:
        """`folder` is one for the whole machine; `device` as it was asked for: auto, cuda:1."""
        self._folder = folder
        self._name = _Name(0, os.getpid(), device, works=False)

    def __enter__(self) -> "Ticket":
        durable.make_folder(self._folder)
        # Behind all who are there, even if the clock was set back since they came.
        last = max((other.drawn_ns for other in self._others()), default=0)
        now = max(time.time_ns(), last + 1)
        self._name = dataclasses.replace(self._name, drawn_ns=now)
        self._lock = WorkerLock(self._path)
        self._lock.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink()
        self._lock.release()

    @property
    def _path(self) -> Path:
        return self._folder / str(self._name)

    def work(self) -> None:
        """Take the device now, whoever waits for it."""
        before = self._path
        self._name = dataclasses.replace(self._name, works=True)
        with durable.os_errors("write", before):
            before.rename(self._path)

    def ahead(self) -> int:
        """How many live ones come first: those at work on the device, and earlier ones."""
        # One that begins to work while we look changes its name, and may be missed; not twice.
        return self._count() or self._count()

    def _count(self) -> int:
        return _before(self._name, self._others())

    def _others(self) -> list[_Name]:
        return [name for name in _live(self._folder) if name != self._name]


def ahead_of(folder: Path, pid: int) -> int:
    """How many come before a process that waits in this folder's queue; 0 if it doesn't wait."""
    names = _live(folder) if folder.is_dir() else []
    waiting = [name for name in names if name.pid == pid and not name.works]
    return _before(waiting[0], [n for n in names if n != waiting[0]]) if waiting else 0


def _before(name: _Name, others: list[_Name]) -> int:
    rivals = [other for other in others if _overlap(other.device, name.device)]
    return sum(other.works or other < name for other in rivals)


def _live(folder: Path) -> list[_Name]:
    """The tickets whose holders live. Those of the dead are removed."""
    found = []
    with durable.os_errors("read", folder):
        entries = list(folder.iterdir())
    for path in entries:
        name = _parse(path.name)
        if name is None:
            continue
        if is_held(path):
            found.append(name)
        elif time.time_ns() - name.drawn_ns > 60e9:  # not one that is just being drawn
            with contextlib.suppress(OSError):  # another user's, or gone already
                path.unlink()
    return found


def _parse(text: str) -> _Name | None:
    try:
        drawn, pid, device, works = text.split(".")
        return _Name(int(drawn), int(pid), device.replace("-", ":"), works == "works")
    except ValueError:
        return None


def _overlap(one: str, other: str) -> bool:
    """Whether two devices, as people write them, may be the same one: `auto` may be any."""
    if "auto" in (one, other):
        return True
    kind, _, index = one.partition(":")
    other_kind, _, other_index = other.partition(":")
    return kind == other_kind and (index or "0") == (other_index or "0")
