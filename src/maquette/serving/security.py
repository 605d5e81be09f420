"""Who may talk to the server. Before anything else sees a request, on every route and method.

A page elsewhere can make a browser send requests to 127.0.0.1. So the Host has to be ours (which
stops names that are pointed at this machine), an Origin has to be the same as the Host, and there
has to be the token: as `Authorization: Bearer`, as `?token=` of `/` once, and then as a cookie.
"""

import asyncio
import hashlib
import hmac
import ipaddress
import json
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from maquette.serving.limits import Limits
from maquette.serving.wire import ApiError, too_many_waiting

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Access:
    """Where the server listens, and its token; None for everyone on this machine."""

    host: str
    port: int
    token: str | None

    def __post_init__(self) -> None:
        assert self.token is not None or is_loopback(self.host)

    @property
    def cookie(self) -> tuple[str, str]:
        """Name and value. Cookies are shared by the ports of a host, so the name has the port."""
        secret = hashlib.sha256(f"cookie:{self.token}".encode()).hexdigest()
        return f"maquette-{self.port}", secret

    def knows_host(self, host: str) -> bool:
        """Whether a Host header names this server."""
        name, _, port = host.rpartition(":")
        if not port.isdecimal() or "]" in port or not name:
            name, port = host, "80"
        if port != str(self.port):
            return False
        name = name.lower().removeprefix("[").removesuffix("]")
        if is_loopback(self.host):
            return is_loopback(name)
        if name in (self.host.lower(), socket.gethostname().lower()):
            return True
        # Any address of a machine that listens on all of them: no name can be pointed at those.
        return _is_unspecified(self.host) and (name == "localhost" or _is_address(name))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_unspecified(host: str) -> bool:
    return _is_address(host) and ipaddress.ip_address(host).is_unspecified


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class Guard:
    """ASGI middleware: refuses what may not come in, bounds the body, adds headers."""

    def __init__(
        self,
        app: App,
        *,
        access: Access,
        limits: Limits,
        count: Callable[[str, str, int], None] = lambda *_: None,
    ) -> None:
        """`count` is told method, path and status of every answer."""
        self._app, self._access, self._limits, self._count = app, access, limits, count
        self._held = 0  # bytes of bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        guarded = self._with_headers(scope, send)
        try:
            if enters_by_link(scope, self._access):
                await _welcome(guarded, self._access)
                return
            check(scope, self._access)
            body = await self._body(scope, receive)
        except ApiError as error:
            await _refuse(guarded, error)
            return
        except ClientGoneError:
            return
        try:
            await self._app(scope, _replay(body, receive), guarded)
        except asyncio.CancelledError:
            # uvicorn cuts what isn't finished in time at its end, and says so; a traceback of
            # each of them would say no more. It closes the connection.
            return
        finally:
            self._held -= len(body)

    def _with_headers(self, scope: Scope, send: Send) -> Send:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = [(k.encode(), v.encode()) for k, v in HEADERS.items()]
                message["headers"] = [*message.get("headers", []), *added]
                self._count(scope["method"], scope["path"], message["status"])
            await send(message)

        return guarded

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """The whole body, which is counted as held. Raises ApiError."""
        limit = self._limits.body_bytes
        too_large = ApiError(413, f"the body may have at most {limit} bytes", code="body_too_large")
        declared = _header(scope, b"content-length")
        if declared and declared.isdecimal() and int(declared) > limit:
            raise too_large
        parts: list[bytes] = []
        size, more = 0, True
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGoneError
                    parts.append(message.get("body", b""))
                    size, more = size + len(parts[-1]), message.get("more_body", False)
                    self._held += len(parts[-1])
                    if size > limit:
                        raise too_large
                    if self._held > self._limits.bodies_bytes:
                        raise too_many_waiting()
        except BaseException as error:
            self._held -= size
            if isinstance(error, TimeoutError):
                raise ApiError(408, "the body did not arrive in time", code="timeout") from None
            raise
        return b"".join(parts)


class ClientGoneError(Exception):
    """The client hung up before its request was whole."""


def check(scope: Scope, access: Access) -> None:
    """Raise ApiError unless the request may come in."""
    _check_origin(scope, access)
    if access.token is None:
        return
    given = _header(scope, b"authorization")
    if given is not None:
        kind, _, token = given.partition(" ")
        if kind.lower() == "bearer" and _same(token.strip(), access.token):
            return
    elif any(_same(value, access.cookie[1]) for value in _cookies(scope, access.cookie[0])):
        return
    raise ApiError(
        401,
        "this server needs its token: `Authorization: Bearer TOKEN`, or open the printed link",
        code="invalid_api_key",
        kind="authentication_error",
    )


def enters_by_link(scope: Scope, access: Access) -> bool:
    """Whether this is the printed link with the right token. Raises ApiError for a wrong Host."""
    if access.token is None or scope["path"] != "/" or scope["method"] != "GET":
        return False
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    tokens = query.get("token", [])
    if len(tokens) != 1 or not _same(tokens[0], access.token):
        return False
    _check_origin(scope, access)
    return True


def _check_origin(scope: Scope, access: Access) -> None:
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    host = hosts[0].decode("latin-1") if len(hosts) == 1 else ""
    if not access.knows_host(host):
        raise ApiError(403, "the Host header doesn't name this server", code="wrong_host")
    origin = _header(scope, b"origin")
    if origin is not None and origin.lower() != f"http://{host}".lower():
        raise ApiError(403, "requests from other pages are refused", code="foreign_origin")


def _header(scope: Scope, name: bytes) -> str | None:
    """A header's value; the values of one that came twice, together, which match nothing."""
    values = [value.decode("latin-1") for key, value in scope["headers"] if key == name]
    return ", ".join(values) if values else None


def _cookies(scope: Scope, name: str) -> list[str]:
    pairs = (pair.strip().partition("=") for pair in (_header(scope, b"cookie") or "").split(";"))
    return [value for key, _, value in pairs if key == name]


def _same(a: str, b: str) -> bool:
    return hmac.compare_digest(a.encode(), b.encode())


async def _welcome(send: Send, access: Access) -> None:
    """Set the cookie, and lead to the page without the token in its address."""
    name, value = access.cookie
    headers = [
        (b"location", b"/"),
        (b"content-length", b"0"),
        (b"set-cookie", f"{name}={value}; HttpOnly; SameSite=Strict; Path=/".encode()),
    ]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _refuse(send: Send, error: ApiError) -> None:
    body = json.dumps(error.body).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if error.status == 429:
        headers.append((b"retry-after", b"1"))
    if error.status in (408, 413, 429):
        headers.append((b"connection", b"close"))  # the rest of the body is not wanted
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body at once, and then what the client does next."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
