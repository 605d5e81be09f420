"""From a run to a server on a socket."""

import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack

import uvicorn

from maquette.errors import MaquetteError
from maquette.serving.app import create_app
from maquette.serving.limits import Limits
from maquette.serving.protocol import timed_protocol
from maquette.serving.security import Access, App
from maquette.serving.served import AnyServed


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to the address; port 0 takes a free one. Raises MaquetteError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise MaquetteError(f"no address is known for {host}: {error.strerror}") from None
    family, _, _, _, address = found[0]
    # By its protocol asyncio knows a connection that is to send at once what it is given: else a
    # small piece, as a token is, waits for the client's system to confirm the one before, 40 ms.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(128)  # now, where a port that is taken can be told
    except OSError as error:
        bound.close()
        why = (error.strerror or str(error)).lower()
        raise MaquetteError(
            f"can't listen on {host}, port {port}: {why}", hint="choose another with --port"
        ) from None
    return bound


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
