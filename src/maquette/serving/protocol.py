"""HTTP as uvicorn reads it, with a bound on how long a request's headers may take."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class TimedProtocol(H11Protocol):
    """Closes a connection whose headers don't come in time.

    Bodies and answers have bounds of their own, and silence between two requests has uvicorn's.
    """

    header_seconds: float
    _header_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Someone is there, and has to say what it wants."""
        super().connection_made(transport)
        self._time_headers()

    def data_received(self, data: bytes) -> None:
        """Read on; from the first byte of a kept-alive connection's next request the time runs."""
        super().data_received(data)
        self._time_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is there any more."""
        super().connection_lost(exc)
        self._stop_timer()

    def _time_headers(self) -> None:
        if self.conn.their_state is not h11.IDLE:  # they are complete, or will never be
            self._stop_timer()
        elif self._header_timer is None:
            late = self.timeout_keep_alive_handler
            self._header_timer = self.loop.call_later(self.header_seconds, late)

    def _stop_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None


def timed_protocol(header_seconds: float) -> type[TimedProtocol]:
    """The protocol with its bound: uvicorn takes a class, and makes the objects."""
    return type("TimedProtocol", (TimedProtocol,), {"header_seconds": header_seconds})
