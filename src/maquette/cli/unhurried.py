"""A stderr that never holds anybody up: a training goes on though nobody reads its messages."""

import io
import os
import select
import stat
import time
from typing import TextIO

_PATIENCE_SECONDS = 0.5


def unhurried(stream: TextIO) -> TextIO:
    """The same stream, or one whose writes don't wait, if it is a pipe, a socket or a terminal."""
    if os.name == "nt" or isinstance(getattr(stream, "buffer", None), _Unhurried):
        return stream
    try:
        shared = stream.fileno()
        kind = os.fstat(shared).st_mode
        if os.isatty(shared):
            # Its own opening of the terminal: "don't block" would hold for everybody else there.
            flags = os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK
            handle = os.open(os.ttyname(shared), flags)
        elif stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind):
            handle = shared
        else:
            return stream
    except (OSError, ValueError):
        return stream
    return io.TextIOWrapper(
        _Unhurried(shared, handle),  # type: ignore[type-var]  # a raw one is enough
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=True,
        write_through=True,
    )


class _Unhurried(io.RawIOBase):
    """Writes to a pipe or terminal as long as that takes it.

    When it takes nothing for half a second, what comes is dropped, without a wait, until it has
    taken the rest of what was begun: so lines and panels are left out as wholes.
    """

    def __init__(self, shared: int, handle: int) -> None:
        self._shared = shared
        self._handle = handle
        self._rest = b""
        self._stalled = False

    def fileno(self) -> int:
        return self._shared

    def isatty(self) -> bool:
        return os.isatty(self._shared)

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        text = bytes(memoryview(data))  # type: ignore[arg-type]
        if self._send():
            self._rest = text
            self._send()
        return len(text)

    def _send(self) -> bool:
        """Write the rest; whether there is none left."""
        deadline = time.monotonic() + (0 if self._stalled else _PATIENCE_SECONDS)
        while self._rest:
            patience = max(0.0, deadline - time.monotonic())
            try:
                if not select.select([], [self._handle], [], patience)[1]:
                    self._stalled = True
                    return False
                # A pipe that is ready takes this much without a wait.
                sent = os.write(self._handle, self._rest[: select.PIPE_BUF])
            except BlockingIOError:  # a terminal may be ready for less than a byte
                self._stalled = True
                return False
            except (OSError, ValueError):  # nobody is there any more
                sent = len(self._rest)
            self._rest = self._rest[sent:]
        self._stalled = False
        return True
