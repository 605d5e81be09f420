"""The server of the page: these files, with their types, and nothing else."""

import http.client
import threading
from collections.abc import Iterator

import pytest

from maquette.serving.listening import listen
from maquette.web.server import Server

FILES = {
    "index.html": b"<!doctype html>",
    "main.js": b"// main",
    "pyodide/pyodide.mjs": b"// python",
    "pyodide/pyodide.asm.wasm": b"\0asm",
    "pyodide/pyodide-lock.json": b"{}",
    "base.css": b"html {}",
    "icon.svg": b"<svg/>",
    "maquette.zip": b"PK",
    "xterm/LICENSE": b"MIT",
}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with listen("127.0.0.1", 0) as bound:
        server = Server(FILES, bound)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield bound.getsockname()[1]
        server.shutdown()
        thread.join()


def ask(port: int, path: str, method: str = "GET") -> tuple[int, str | None, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.putrequest(method, path)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/?module=llm_training&speed-factor=5", "text/html; charset=utf-8"),
        ("/main.js", "text/javascript; charset=utf-8"),
        ("/pyodide/pyodide.mjs", "text/javascript; charset=utf-8"),
        ("/pyodide/pyodide.asm.wasm", "application/wasm"),
        ("/pyodide/pyodide-lock.json", "application/json"),
        ("/base.css", "text/css; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
        ("/maquette.zip", "application/zip"),
        ("/xterm/LICENSE", "text/plain; charset=utf-8"),
    ],
)
def test_files_have_their_types(port: int, path: str, kind: str) -> None:
    content = FILES[path.partition("?")[0].removeprefix("/") or "index.html"]
    assert ask(port, path) == (200, kind, content)
    assert ask(port, path, "HEAD") == (200, kind, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/pyodide",
        "/pyodide/",
        "/nothing.js",
        "/../pyproject.toml",
        "/pyodide/../index.html",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/pyodide%2f..%2f..%2fREADME.md",
        "/C:/Windows/win.ini",
        "/main.js%00",
    ],
)
def test_there_is_nothing_else(port: int, path: str) -> None:
    status, _, content = ask(port, path)
    assert status == 404
    assert not any(content == known for known in FILES.values())


def test_it_only_reads(port: int) -> None:
    assert ask(port, "/", "POST")[0] == 501
    assert ask(port, "/main.js", "PUT")[0] == 501


def test_a_client_that_goes_away_is_no_news(port: int, capfd: pytest.CaptureFixture[str]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.connect()
    connection.send(b"GET /main.js HTTP/1.1\r\n")
    connection.close()
    assert ask(port, "/main.js")[0] == 200
    assert capfd.readouterr().err == ""
