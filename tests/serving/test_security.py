"""Every route and method, with what a page elsewhere or another user would send."""

import re
import socket
from collections.abc import Iterator

import httpx2
import pytest

from maquette.serving.app import _routes
from maquette.serving.classifier import Classifier
from maquette.serving.engine import Engine
from maquette.serving.limits import Limits
from maquette.serving.metrics import Metrics
from maquette.serving.security import Access, is_loopback
from maquette.serving.served import AnyServed, Served, ServedClassifier
from maquette.tokenizers.bytes import BytesTokenizer
from tests.models.small_images import small_convnext
from tests.serving.live import (
    MODEL,
    TOKEN,
    Live,
    LiveClassifier,
    byte_model,
    eventually,
    http,
    image_blueprint,
    running,
)

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
ASK = {"model": MODEL, "prompt": "a", "max_tokens": 1}


def routes(served: AnyServed) -> set[str]:
    """Read from the application, so that one added later is tested too."""
    api = _routes(served, Metrics(served.engine))
    paths = {re.sub(r"\{\w+\}", MODEL, str(getattr(route, "path", ""))) for route in api.routes}
    assert {"/", "/health", "/metrics", "/v1/models", "/v1/chat/completions"} <= paths
    assert {"/runs", "/static/" + MODEL, "/api/runs", f"/api/runs/{MODEL}/metrics"} <= paths
    assert "/v1/classify" in paths
    return paths | {"/nowhere"}


ENGINE = Engine(byte_model(), slots=1, queue=1)
CLASSIFIER = Classifier(small_convnext(), image_blueprint(), queue=1)
ROUTES = sorted(routes(Served(MODEL, 0, ENGINE, BytesTokenizer())))


@pytest.fixture(scope="module")
def stranger(live: Live) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=live.address, timeout=20) as client:
        yield client


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("method", METHODS)
def test_every_route_and_method_is_guarded(
    live: Live, stranger: httpx2.Client, path: str, method: str
) -> None:
    check_guarded(live, stranger, path, method)


@pytest.mark.parametrize("method", METHODS)
def test_every_route_of_a_classifier_is_guarded(classifying: LiveClassifier, method: str) -> None:
    assert routes(ServedClassifier(MODEL, 0, CLASSIFIER)) == set(ROUTES)
    with httpx2.Client(base_url=classifying.address, timeout=20) as stranger:
        for path in ("/", "/v1/classify", "/v1/models", "/v1/completions", "/static/classify.js"):
            check_guarded(classifying, stranger, path, method)


def check_guarded(
    live: Live | LiveClassifier, stranger: httpx2.Client, path: str, method: str
) -> None:
    """Whether a route answers only who may come in."""
    right = {"authorization": f"Bearer {TOKEN}"}
    here = f"127.0.0.1:{live.port}"
    for headers, status in (
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": TOKEN}, 401),
        ({"authorization": f"Basic {TOKEN}"}, 401),
        ({"cookie": f"maquette-{live.port}={TOKEN}"}, 401),
        ({**right, "host": "evil.example"}, 403),
        ({**right, "host": f"evil.example:{live.port}"}, 403),
        ({**right, "host": f"127.0.0.1:{live.port + 1}"}, 403),
        ({**right, "host": "127.0.0.1"}, 403),
        ({**right, "origin": "https://evil.example"}, 403),
        ({**right, "origin": f"https://{here}"}, 403),
        ({**right, "origin": f"http://localhost:{live.port}"}, 403),
        ({**right, "origin": "null"}, 403),
    ):
        answer = stranger.request(method, path, headers=headers)
        assert answer.status_code == status, headers
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert "access-control-allow-origin" not in answer.headers
        if method != "HEAD":
            assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    allowed = stranger.request(method, path, headers={**right, "origin": f"http://{here}"})
    assert allowed.status_code not in (401, 403)
    assert allowed.status_code < 500


def test_the_link_sets_a_cookie_and_leaves_the_address(live: Live) -> None:
    with httpx2.Client(base_url=live.address, timeout=20) as client:
        assert client.get("/", params={"token": "wrong"}).status_code == 401
        for method in ("POST", "HEAD"):
            assert client.request(method, "/", params={"token": TOKEN}).status_code == 401
        assert client.get("/v1/models", params={"token": TOKEN}).status_code == 401
        foreign = {"origin": "https://evil.example"}
        assert client.get("/", params={"token": TOKEN}, headers=foreign).status_code == 403
        wrong_host = {"host": "evil.example"}
        assert client.get("/", params={"token": TOKEN}, headers=wrong_host).status_code == 403
        answer = client.get("/", params={"token": TOKEN})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
        assert TOKEN not in cookie
        assert all(part in cookie for part in ("HttpOnly", "SameSite=Strict", "Path=/"))
        page = client.get("/")
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        assert "<title>maquette</title>" in page.text
        assert client.get("/v1/models").status_code == 200
        wrong = {"authorization": "Bearer wrong"}
        assert client.get("/v1/models", headers=wrong).status_code == 401


def test_without_authorization_host_and_origin_still_count() -> None:
    with running(token=None) as live, httpx2.Client(base_url=live.address) as client:
        assert client.get("/v1/models").status_code == 200
        assert client.post("/v1/completions", json=ASK).status_code == 200
        for headers in ({"host": "evil.example"}, {"origin": "https://evil.example"}):
            answer = client.post("/v1/completions", json=ASK, headers=headers)
            assert answer.status_code == 403
            assert client.get("/v1/models", headers=headers).status_code == 403


def raw(live: Live, text: str) -> str:
    """What the server answers to these bytes."""
    with socket.create_connection(("127.0.0.1", live.port), timeout=20) as sock:
        sock.sendall(text.encode())
        data = b""
        while chunk := sock.recv(65536):
            data += chunk
            if b"\r\n\r\n" in data:
                break
        return data.decode()


@pytest.mark.parametrize("hosts", ["", "Host: 127.0.0.1:{port}\r\nHost: evil.example\r\n"])
def test_no_host_or_two_are_none(live: Live, hosts: str) -> None:
    lines = hosts.format(port=live.port)
    found = raw(live, f"GET /v1/models HTTP/1.1\r\n{lines}Authorization: Bearer {TOKEN}\r\n\r\n")
    assert found.split()[1] in ("400", "403")


@pytest.mark.parametrize(
    ("listening", "host", "known"),
    [
        ("127.0.0.1", "127.0.0.1:80", True),
        ("127.0.0.1", "LocalHost:80", True),
        ("127.0.0.1", "localhost", True),
        ("127.0.0.1", "[::1]:80", True),
        ("127.0.0.1", "localhost.:80", False),
        ("127.0.0.1", "localhost.evil.example:80", False),
        ("127.0.0.1", "192.168.0.5:80", False),
        ("127.0.0.1", "", False),
        ("127.0.0.1", ":80", False),
        ("127.0.0.1", "127.0.0.1:", False),
        ("192.168.0.5", "192.168.0.5:80", True),
        ("192.168.0.5", "evil.example:80", False),
        ("0.0.0.0", "192.168.0.5:80", True),
        ("0.0.0.0", "evil.example:80", False),
        ("::", "[fe80::1]:80", True),
    ],
)
def test_which_hosts_are_ours(listening: str, host: str, known: bool) -> None:
    assert Access(listening, 80, TOKEN).knows_host(host) == known


def test_no_server_elsewhere_without_a_token() -> None:
    assert not is_loopback("0.0.0.0")
    with pytest.raises(AssertionError):
        Access("0.0.0.0", 80, None)


def test_a_body_that_is_too_large_is_refused_before_it_is_read(live: Live) -> None:
    size = live.limits.body_bytes + 1
    with http(live) as client:
        answer = client.post("/v1/completions", content=b"x" * size)
        assert answer.status_code == 413

        def parts() -> object:
            for _ in range(64):
                yield b"x" * (size // 60)

        answer = client.post("/v1/completions", content=parts())  # type: ignore[arg-type]
        assert answer.status_code == 413
    head = f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{live.port}\r\nAuthorization: Bearer {TOKEN}\r\n"
    assert " 413 " in raw(live, f"{head}Content-Length: {10**15}\r\n\r\n")


def test_all_bodies_together_are_bounded() -> None:
    """Else so many connections could fill the memory."""
    limits = Limits(body_bytes=1000, bodies_bytes=2000)
    with running(limits=limits) as live, http(live) as client:
        head = (
            f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:{live.port}\r\n"
            f"Authorization: Bearer {TOKEN}\r\nContent-Length: 1000\r\n\r\n"
        )

        def full() -> bool:
            answer = client.post("/v1/completions", content=b" " * 400)
            return answer.status_code == 429 and answer.headers["retry-after"] == "1"

        halves = [socket.create_connection(("127.0.0.1", live.port), timeout=20) for _ in range(2)]
        for half in halves:
            half.sendall(head.encode() + b" " * 900)
        assert eventually(full)
        for half in halves:
            half.close()
        assert eventually(lambda: client.post("/v1/completions", json=ASK).status_code == 200)
        for _ in range(9):  # an answer gives back what its request took
            assert client.post("/v1/completions", content=b" " * 900).status_code == 400


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    with running(limits=Limits(body_seconds=0.2)) as live:
        head = f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{live.port}\r\n"
        found = raw(live, f"{head}Authorization: Bearer {TOKEN}\r\nContent-Length: 10\r\n\r\n{{")
        assert " 408 " in found


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"model": "\\ud800"}',
        b'{"model": "tiny-model", "prompt": "\\ud800", "max_tokens": 1, "stop": "\\udfff"}',
        b'{"model": "tiny-model", "messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"model": "tiny-model", "prompt": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"model": "tiny-model", "temperature": NaN}',
        b'{"model": "tiny-model", "temperature": 1e999}',
        b'{"model": "tiny-model", "seed": ' + b"9" * 5000 + b"}",
        b'{"model": "tiny-model", "prompt": [256], "max_tokens": 1}',
        b'{"model": "tiny-model", "prompt": [-1], "max_tokens": 1}',
        b'{"model": "tiny-model", "prompt": [[]], "max_tokens": 1}',
        b'{"model": "tiny-model", "prompt": [], "max_tokens": 1}',
        b'{"model": "tiny-model", "logit_bias": {"\\ud800": 1}}',
    ],
)
@pytest.mark.parametrize("path", ["/v1/completions", "/v1/chat/completions"])
def test_hostile_bodies_are_no_failure_of_ours(live: Live, path: str, body: bytes) -> None:
    with http(live) as client:
        answer = client.post(path, content=body, headers={"content-type": "application/json"})
        assert answer.status_code < 500
        if answer.status_code >= 400:
            assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_a_time_limit_ends_an_answer() -> None:
    with running(limits=Limits(answer_seconds=0.05)) as live, http(live) as client:
        answer = client.post("/v1/completions", json={**ASK, "max_tokens": 8192})
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "timeout")
        streamed = client.post("/v1/completions", json={**ASK, "max_tokens": 8192, "stream": True})
        assert '"code": "timeout"' in streamed.text
        assert "[DONE]" not in streamed.text
        assert live.wait_idle()
