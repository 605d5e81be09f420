"""What goes wrong inside a worker's process: a disk that refuses, a clock that jumps, no memory."""

import contextlib
import os
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock


@contextlib.contextmanager
def faults(
    *,
    folder: str = "",
    refuse: tuple[int, int] | None = None,
    stays: bool = False,
    clock: tuple[int, float] | None = None,
    memory_bytes: int | None = None,
    traced: bool = False,
) -> Iterator[None]:
    """Have these things go wrong, counted over calls that concern files under `folder`.

    `refuse` (n, errno): the nth write or sync fails, and with `stays` all after it. `clock`
    (n, seconds): from the nth write on, the clock is off by so many seconds. `memory_bytes`: how
    much more address space there is. `traced`: wait for a tracer first.
    """
    while traced and "TracerPid:\t0\n" in Path("/proc/self/status").read_text(encoding="utf-8"):
        time.sleep(0.002)
    with contextlib.ExitStack() as stack:
        if refuse is not None:
            _patch(stack, _refusal(*refuse, stays=stays), Path(folder))
        if clock is not None:
            _patch(stack, _jump(*clock), Path(folder))
        if memory_bytes is not None:
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
            limit = pages * os.sysconf("SC_PAGE_SIZE") + memory_bytes
            resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        yield


def _patch(stack: contextlib.ExitStack, fault: Callable[[int], None], folder: Path) -> None:
    """Call `fault` with the number of the call before each write and sync under the folder."""
    calls = 0

    def before(handle: int) -> None:
        nonlocal calls
        if Path(f"/proc/self/fd/{handle}").readlink().is_relative_to(folder):
            calls += 1
            fault(calls)

    for name in ("write", "fsync"):
        stack.enter_context(mock.patch.object(os, name, _wrapped(getattr(os, name), before)))


def _wrapped(real: Callable[..., Any], before: Callable[[int], None]) -> Callable[..., Any]:
    def call(handle: int, *arguments: Any) -> Any:
        before(handle)
        return real(handle, *arguments)

    return call


def _refusal(number: int, code: int, *, stays: bool) -> Callable[[int], None]:
    def fault(call: int) -> None:
        if call == number or (stays and call > number):
            raise OSError(code, os.strerror(code))

    return fault


def _jump(number: int, seconds: float) -> Callable[[int], None]:
    real, real_ns = time.time, time.time_ns

    def fault(call: int) -> None:
        if call == number:
            time.time = lambda: real() + seconds
            time.time_ns = lambda: real_ns() + int(seconds * 1e9)

    return fault
