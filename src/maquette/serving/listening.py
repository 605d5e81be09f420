"""A socket to serve on; standard library only."""

import socket

from maquette.errors import MaquetteError


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
