"""Clients that go, queues that are full, a server that ends: nothing is left running."""

import asyncio
import json
import socket
import threading

import httpx2
import pytest
import torch

from maquette.serving.limits import Limits
from tests.serving.live import MODEL, TOKEN, Live, byte_model, eventually, http, running

LONG = {"model": MODEL, "prompt": "a", "max_tokens": 8192}
SHORT = {"model": MODEL, "prompt": "a", "max_tokens": 2}


def send(live: Live, body: dict[str, object]) -> socket.socket:
    """A request on a bare socket, of which nothing is read."""
    data = json.dumps(body).encode()
    head = (
        f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:{live.port}\r\n"
        f"Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(data)}\r\n\r\n"
    )
    sock = socket.create_connection(("127.0.0.1", live.port), timeout=20)
    sock.sendall(head.encode() + data)
    return sock


class Stepwise:
    """Holds the engine between tokens, so that a test says when there is a next one."""

    def __init__(self, live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
        self._go = threading.Semaphore(0)
        self.steps = 0
        decoder = live.engine._decoder
        step = decoder.step

        def held() -> object:
            self._go.acquire(timeout=20)
            self.steps += 1
            return step()

        monkeypatch.setattr(decoder, "step", held)

    def allow(self, steps: int) -> None:
        for _ in range(steps):
            self._go.release()

    def free(self) -> None:
        self.allow(100_000)


def test_what_is_written_to_a_client_is_sent_at_once() -> None:
    with running() as live, http(live) as client:
        assert client.get("/health").status_code == 200
        (connection,) = live.server.server_state.connections
        sock = connection.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def tasks(live: Live) -> int:
    """How many tasks the server's event loop has."""
    loop = live.server.servers[0].get_loop()
    found: list[int] = []
    done = threading.Event()

    def count() -> None:
        found.append(len(asyncio.all_tasks(loop)))
        done.set()

    loop.call_soon_threadsafe(count)
    assert done.wait(20)
    return found[0]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_who_hangs_up_stops_the_writing_within_one_token(
    stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running() as live:
        before = tasks(live)
        stepwise = Stepwise(live, monkeypatch)
        sock = send(live, {**LONG, "stream": stream})
        stepwise.allow(5)
        assert eventually(lambda: stepwise.steps == 5)
        (job,) = live.engine._active.values()
        sock.close()
        assert eventually(lambda: job.cancelled)
        stepwise.allow(1)  # the step that was about to begin
        assert eventually(lambda: not live.engine.active)
        assert stepwise.steps <= 6
        assert live.engine.counts.tokens <= 6
        assert live.engine.counts.cancelled == 1
        assert eventually(lambda: tasks(live) <= before)
        stepwise.free()


def test_many_who_hang_up_leave_nothing() -> None:
    with running() as live:
        before = tasks(live)
        socks = [send(live, {**LONG, "stream": bool(i % 2)}) for i in range(30)]
        assert eventually(lambda: live.engine.active == live.limits.slots)
        for sock in socks:
            sock.close()
        assert live.wait_idle()
        assert live.engine.counts.cancelled == 30
        assert live.engine._decoder.free == live.limits.slots
        assert eventually(lambda: tasks(live) <= before)
        with http(live) as client:
            assert client.post("/v1/completions", json=SHORT).status_code == 200


def test_a_full_queue_says_so_and_takes_more_later(monkeypatch: pytest.MonkeyPatch) -> None:
    with running(limits=Limits(slots=2, queue=1)) as live, http(live) as client:
        stepwise = Stepwise(live, monkeypatch)
        socks = [send(live, {**LONG, "max_tokens": 3}) for _ in range(3)]
        assert eventually(lambda: live.engine.active + live.engine.waiting == 3)
        answer = client.post("/v1/completions", json=SHORT)
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "1"
        error = answer.json()["error"]
        assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
        stepwise.free()
        for sock in socks:
            assert b" 200 " in sock.recv(100)
            sock.close()
        assert client.post("/v1/completions", json=SHORT).status_code == 200


def test_more_than_the_slots_wait_for_their_turn() -> None:
    with running(limits=Limits(slots=2, queue=20)) as live:
        answers: list[httpx2.Response] = []

        def ask() -> None:
            with http(live) as client:
                answers.append(client.post("/v1/completions", json={**LONG, "max_tokens": 20}))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert [answer.status_code for answer in answers] == [200] * 8


def test_a_client_that_reads_nothing_is_given_up() -> None:
    with running(limits=Limits(answer_seconds=0.2)) as live:
        sock = send(live, {**LONG, "stream": True})
        assert live.wait_idle()
        sock.close()


def connect(live: Live) -> socket.socket:
    return socket.create_connection(("127.0.0.1", live.port), timeout=20)


def closed(sock: socket.socket) -> bool:
    """Whether the server closes the connection, without a word, in time."""
    with sock:
        try:
            return sock.recv(1) == b""
        except ConnectionResetError:
            return True


def read_until(sock: socket.socket, end: bytes) -> bytes:
    answer = b""
    while not answer.endswith(end):
        part = sock.recv(65536)
        assert part
        answer += part
    return answer


def test_who_sends_no_headers_is_closed_and_the_others_are_served() -> None:
    limits = Limits(header_seconds=0.5, connections=8)
    with running(limits=limits) as live:
        silent = [connect(live) for _ in range(12)]
        assert eventually(lambda: len(live.server.server_state.connections) >= 8)
        assert all(closed(sock) for sock in silent)
        dribbling = connect(live)
        head = iter(b"GET /health HTTP/1.1\r\nX: " + b"a" * 1000)

        def dribbled() -> bool:
            """Whether it was closed on us between two bytes."""
            try:
                dribbling.sendall(bytes([next(head)]))
                dribbling.settimeout(0.02)
                return dribbling.recv(1) == b""
            except TimeoutError:
                return False
            except ConnectionError:
                return True

        with http(live) as client:
            assert client.post("/v1/completions", json=SHORT).status_code == 200
            assert eventually(dribbled)
            assert client.post("/v1/completions", json=SHORT).status_code == 200
        dribbling.close()


def test_the_time_for_headers_ends_with_them_and_begins_with_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with running(limits=Limits(header_seconds=0.5)) as live:
        stepwise = Stepwise(live, monkeypatch)
        slow = send(live, {**SHORT, "stream": True})
        assert closed(connect(live))  # as long ago as the time for headers is
        stepwise.free()
        assert b"[DONE]" in read_until(slow, b"0\r\n\r\n")
        assert closed(connect(live))  # silence between two requests doesn't count
        slow.sendall(b"GET /health HTTP/1.1\r\nHost: nobody\r\n\r\n")
        assert b" 403 " in read_until(slow, b"}}")
        slow.sendall(b"GET /health HT")
        assert closed(slow)


def test_an_error_in_the_model_is_told_and_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    with running() as live, http(live) as client:
        whole = live.engine._decoder.step

        def fail() -> object:
            raise RuntimeError("out of memory")

        with monkeypatch.context() as patch:
            patch.setattr(live.engine._decoder, "step", fail)
            answer = client.post("/v1/completions", json=SHORT)
            assert answer.status_code == 500
            assert answer.json()["error"]["type"] == "server_error"
            assert "memory" not in answer.text
            streamed = client.post("/v1/completions", json={**SHORT, "stream": True})
            assert '"server_error"' in streamed.text
        assert live.engine._decoder.step == whole
        assert client.post("/v1/completions", json=SHORT).status_code == 200


def test_broken_weights_are_told() -> None:
    model = byte_model()
    with torch.no_grad():
        model.get_parameter("norm.weight").fill_(torch.nan)
    with running(model=model) as live, http(live) as client:
        answer = client.post("/v1/completions", json=SHORT)
        assert answer.status_code == 500
        assert "weights are broken" in answer.json()["error"]["message"]


def test_ending_lets_short_answers_finish_and_cuts_long_ones(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with running(limits=Limits(drain_seconds=2)) as live:
        found: dict[str, bytes] = {}

        def read(name: str, sock: socket.socket) -> None:
            found[name] = b""
            with sock:
                while data := sock.recv(65536):
                    found[name] += data

        body = {**LONG, "stream": True}
        socks = {
            "short": send(live, {**body, "max_tokens": 30}),
            "long": send(live, {**body, "n": 8}),
        }
        assert eventually(lambda: live.engine.active > 1)
        threads = [threading.Thread(target=read, args=item) for item in socks.items()]
        for thread in threads:
            thread.start()
        live.server.should_exit = True
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()
        assert b"[DONE]" in found["short"]
        assert b"[DONE]" not in found["long"]
        assert eventually(lambda: not live.engine.alive)
    assert "Cancel 1 running task" in caplog.text
    assert "Traceback" not in caplog.text


def test_health_and_metrics_tell_what_happens(live: Live) -> None:
    with http(live) as client:
        assert client.get("/health").json() == {"status": "ok"}

        def numbers() -> dict[str, float]:
            text = client.get("/metrics").text
            lines = [line for line in text.splitlines() if not line.startswith("#")]
            return {key: float(value) for key, _, value in (x.rpartition(" ") for x in lines)}

        label = 'maquette_requests_total{method="POST",path="/v1/completions",status="200"}'
        before = numbers()
        client.post("/v1/completions", json=SHORT)
        after = numbers()
        assert after[label] == before.get(label, 0) + 1
        added = {"generated_tokens": 2, "prompt_tokens": 1, "finished": 1, "failed": 0}
        for name, change in added.items():
            key = f"maquette_{name}_total"
            assert after[key] - before[key] == change
        assert after["maquette_resident_bytes"] > 1e7
        kind = client.get("/metrics").headers["content-type"]
        assert kind.startswith("text/plain; version=0.0.4")
        for i in range(5):
            client.get(f"/nowhere/{i}")
        assert sum("nowhere" in key for key in numbers()) == 0


def test_sampled_answers_do_not_depend_on_the_company(live: Live) -> None:
    body = {**LONG, "max_tokens": 150, "seed": 3, "temperature": 1}
    with http(live) as client:
        alone = client.post("/v1/completions", json=body).json()["choices"][0]["text"]
        socks = [send(live, {**LONG, "stream": True, "seed": i}) for i in range(6)]
        assert eventually(lambda: live.engine.active == 6)
        assert client.post("/v1/completions", json=body).json()["choices"][0]["text"] == alone
        for sock in socks:
            sock.close()
        assert live.wait_idle()
