"""The pages for browsers: files of this package, each at an address of its own."""

from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import PurePath

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.responses import Response

HTML = "text/html; charset=utf-8"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

# What may be at /, by task, and what the other pages call it; there it is `{home}`.
HOMES = {"index.html": "Chat", "classify.html": "Pictures"}
# The others: address -> file.
PAGES = {"/runs": "runs.html"}
# The names under /static/. Nothing else is served, so no name can lead elsewhere.
STATIC = (
    "api.js",
    "base.css",
    "chat.css",
    "classify-picture.js",
    "classify.css",
    "classify.js",
    "dom.js",
    "exchange.js",
    "icon.svg",
    "main.js",
    "message.js",
    "notices.js",
    "panels.js",
    "runs-chart.js",
    "runs-list.js",
    "runs-run.js",
    "runs-source.js",
    "runs-words.js",
    "runs.css",
    "runs.js",
    "sampling.js",
    "session.js",
    "sidebar.js",
    "sse.js",
    "store.js",
    "text.js",
    "theme.js",
    "thread.js",
    "tokens.js",
    "tokenview.js",
    "tree.js",
)


def add_pages(api: FastAPI, home: str) -> None:
    """Serve the pages and what they are made of; `home` is the one at /."""
    static = {name: read(name) for name in STATIC}
    for address, name in {"/": home, **PAGES}.items():
        content = read(name).replace(b"{home}", HOMES[home].encode())
        api.add_api_route(address, _page(content), include_in_schema=False)

    @api.get("/static/{name}", include_in_schema=False)
    async def part(name: str) -> Response:
        """A style sheet, a script or a picture."""
        if name not in static:
            raise HTTPException(404)
        return Response(static[name], headers={"content-type": TYPES[PurePath(name).suffix]})


def read(name: str) -> bytes:
    """A file of the folder `page`."""
    return (files("maquette.serving") / "page" / name).read_bytes()


def _page(content: bytes) -> Callable[[], Awaitable[Response]]:
    async def page() -> Response:
        return Response(content, headers={"content-type": HTML})

    return page
