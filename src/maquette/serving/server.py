"""From a run to a server on a socket."""

import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack

import uvicorn

from maquette.serving.app import create_app
from maquette.serving.limits import Limits
from maquette.serving.protocol import timed_protocol
from maquette.serving.security import Access, App
from maquette.serving.served import AnyServed


class Server(uvicorn.Server):
    """uvicorn with our bounds; says when it is ready."""

    def __init__(self, app: App, limits: Limits, ready: Callable[[], None]) -> None:
        config = uvicorn.Config(
            app,
            access_log=False,  # addresses may hold the token
            log_config=None,
            log_level="warning",
            lifespan="on",
            http=timed_protocol(limits.header_seconds),
            ws="none",
            server_header=False,
            proxy_headers=False,
            limit_concurrency=limits.connections,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=limits.drain_seconds,
        )
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        if self.started:
            self._ready()


def serve(
    served: AnyServed, access: Access, bound: socket.socket, *, ready: Callable[[], None]
) -> None:
    """Answer until SIGINT or SIGTERM; then finish answers for as long as the limits allow."""
    server = Server(create_app(served, access), served.limits, ready)
    with ExitStack() as stack:
        stack.enter_context(bound)
        # uvicorn sends itself the signal anew once it has ended; that is no failure.
        before = signal.signal(signal.SIGTERM, lambda *_: None)
        stack.callback(signal.signal, signal.SIGTERM, before)
        server.run(sockets=[bound])
