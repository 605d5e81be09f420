"""Who works on a run, and whether that process still lives.

The worker holds a lock on `worker.lock` for life; the system frees it however the process ends.
The file names the holder by process id, start time and boot, so that a recycled process id is
never taken for it. Only the standard library is imported, except on systems without /proc.
"""

import contextlib
import dataclasses
import functools
import json
import os
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maquette.errors import RunError
from maquette.runs.durable import os_errors

_LOOK_SECONDS = 0.1  # a reader that looks whether the lock is held, holds it for a moment
_LOCK_PATIENCE_SECONDS = 1.0  # with a holder that is just ending, or writing itself down


@dataclass(frozen=True, slots=True)
class Process:
    """One process of one boot of one machine; no other process is ever equal to it."""

    pid: int
    started: str  # the system's own start time of the process; equality is all that it is for
    boot: str
    host: str

    def lives(self) -> bool:
        """Whether it runs on this machine now."""
        return self.boot == boot_id() and self.started == start_time(self.pid)

    def elsewhere(self) -> bool:
        """Whether it belongs to another machine, where this one can't look."""
        return self.boot != boot_id() and self.host != socket.gethostname()

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def this_process() -> Process:
    """The process that calls this."""
    return process_of(os.getpid())


def process_of(pid: int) -> Process:
    """The process of this machine that has this id now."""
    return Process(pid, start_time(pid) or "", boot_id(), socket.gethostname())


def describe(process: Process) -> str:
    """What `worker.lock` says of its holder, in a line of JSON."""
    return json.dumps(dataclasses.asdict(process)) + "\n"


def process_from(value: Any) -> Process | None:
    """The process in a JSON object; None if there is none in it."""
    try:
        process = Process(
            **{field.name: value[field.name] for field in dataclasses.fields(Process)}
        )
    except (KeyError, TypeError):
        return None
    types = {"pid": int, "started": str, "boot": str, "host": str}
    return process if all(isinstance(getattr(process, k), t) for k, t in types.items()) else None


def start_time(pid: int) -> str | None:
    """When a process was started, in the system's own unit; None if there is no such process."""
    if sys.platform != "linux":
        return _start_time_by_psutil(pid)
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # after the name, which may contain anything
    return None if fields[0] in "ZX" else fields[19]


def _start_time_by_psutil(pid: int) -> str | None:
    import psutil

    try:
        process = psutil.Process(pid)
        dead = process.status() == psutil.STATUS_ZOMBIE
        return None if dead else f"{process.create_time():.2f}"
    except psutil.Error:
        return None


@functools.cache
def boot_id() -> str:
    """A name for the time since this machine was started."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    if sys.platform == "darwin":
        import subprocess

        with contextlib.suppress(OSError, subprocess.SubprocessError):
            command = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
            return subprocess.run(
                command, capture_output=True, text=True, check=True, timeout=5
            ).stdout.strip()
    return f"{sys.platform}-{socket.gethostname()}"


class WorkerLock:
    """The lock of a run's one worker. Held until `release` or the end of the process.

    Whoever starts a worker takes the lock for it and lets it inherit `handle`: so there is no
    moment in which a run that is about to have its worker looks as though it had none.
    """

    def __init__(self, path: Path, inherited: int = -1) -> None:
        """`inherited`: a handle with the lock on it, from the process that started this one."""
        self.path = path
        self.handle = -1  # whose lock is held
        self._inherited = inherited

    def acquire(self) -> Process:
        """Take the lock and write down who has it; RunError names another holder.

        Fine if it is taken already.
        """
        me = this_process()
        if self.handle >= 0:
            return me
        with os_errors("lock", self.path):
            handle = self._inherited
            if handle < 0:
                handle = _above_stdio(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666))
            try:
                self._wait(handle)
                os.set_inheritable(handle, False)  # by none but a worker
            except BaseException:
                os.close(handle)
                raise
        self.handle = handle
        if hasattr(os, "register_at_fork"):
            # A forked child shares the lock; it must not keep it alive after its parent's death.
            os.register_at_fork(after_in_child=self._close)
        self.name(me)
        return me

    def name(self, holder: Process) -> None:
        """Write down who has the lock, for those who find it taken."""
        with contextlib.suppress(OSError):  # it is held all the same, though by nobody known
            os.ftruncate(self.handle, 0)
            _write_at_start(self.handle, describe(holder).encode())

    def release(self) -> None:
        """Give the lock back; a second call does nothing."""
        self._close()

    def folder(self) -> Path | None:
        """Where the lock's folder is now, wherever it was moved to; None if that isn't known."""
        try:
            link = os.readlink(f"/proc/self/fd/{self.handle}")  # noqa: PTH115 - text, not a path
        except OSError:
            return None
        return None if link.endswith(" (deleted)") else Path(link).parent

    def _wait(self, handle: int) -> None:
        begin = time.monotonic()
        while not _try_lock(handle, shared=False):
            holder = read_holder(self.path)
            lives = holder is not None and holder.lives()
            patience = _LOOK_SECONDS if lives else _LOCK_PATIENCE_SECONDS
            if time.monotonic() - begin > patience:
                raise RunError(
                    f"{self.path.parent.name} is being worked on by {holder or 'another process'}",
                    hint="wait for it to end; one run has one worker",
                )
            time.sleep(0.02)

    def _close(self) -> None:
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1

    def __enter__(self) -> "WorkerLock":
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def is_held(path: Path) -> bool:
    """Whether any process holds the lock in this file."""
    try:
        handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    except OSError:
        return False
    try:
        return not _try_lock(handle, shared=True)
    finally:
        os.close(handle)


def read_holder(path: Path) -> Process | None:
    """The process that took the lock last, as it wrote itself down."""
    try:
        return process_from(json.loads(path.read_bytes()))
    except (OSError, ValueError):
        return None


if sys.platform == "win32":
    import msvcrt

    def _try_lock(handle: int, *, shared: bool) -> bool:  # noqa: ARG001 - no shared locks here
        # A byte far behind the text, which stays readable: Windows locks keep readers out.
        os.lseek(handle, 1 << 20, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(handle, 0, os.SEEK_SET)
        return True

    def _write_at_start(handle: int, data: bytes) -> None:
        os.lseek(handle, 0, os.SEEK_SET)
        os.write(handle, data)

    def _above_stdio(handle: int) -> int:
        return handle

else:
    import fcntl

    def _try_lock(handle: int, *, shared: bool) -> bool:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _write_at_start(handle: int, data: bytes) -> None:
        os.pwrite(handle, data, 0)  # the place to write at is shared by all who inherited it

    def _above_stdio(handle: int) -> int:
        """The same file by a handle that no child's stdin, stdout or stderr takes the place of."""
        if handle > 2:
            return handle
        try:
            return fcntl.fcntl(handle, fcntl.F_DUPFD_CLOEXEC, 3)
        finally:
            os.close(handle)
