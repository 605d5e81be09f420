"""A server of a tiny untrained model on a real socket, in a thread."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx2
import torch

from maquette.models.gpt import GPT
from maquette.runs.store import Store
from maquette.serving.app import Served, create_app
from maquette.serving.engine import Engine
from maquette.serving.limits import Limits
from maquette.serving.security import Access
from maquette.serving.server import Server, listen
from maquette.tokenizers.bytes import BytesTokenizer
from tests.models.small import LLAMA, small_model

TOKEN = "a-token-for-the-tests"
MODEL = "tiny-model"
CONTEXT = 128
NO_RUNS = Store("/nowhere")


@dataclass(frozen=True)
class Live:
    """A running server."""

    address: str
    port: int
    engine: Engine
    model: GPT
    server: Server
    limits: Limits
    store: Store

    def wait_idle(self, seconds: float = 20) -> bool:
        """Whether nothing is being written or waits, at the latest after so long."""
        return eventually(lambda: not self.engine.active and not self.engine.waiting, seconds)


def eventually(condition: Callable[[], bool], seconds: float = 20) -> bool:
    """Whether something becomes true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def byte_model(context: int = CONTEXT) -> GPT:
    """An untrained model of bytes that writes printable ASCII only, so never the end of text."""
    model = small_model(LLAMA, vocabulary=256, context=context, tie_embeddings=False)
    output = torch.nn.Linear(LLAMA.width, 256)
    with torch.no_grad():
        output.weight.copy_(model.output.weight)
        output.bias.fill_(-100)
        output.bias[32:127] = 0
    model.output = output
    return model


@contextlib.contextmanager
def running(
    *,
    limits: Limits | None = None,
    token: str | None = TOKEN,
    model: GPT | None = None,
    store: Store | None = None,
    reads_dialogues: bool = True,
) -> Iterator[Live]:
    """Serve on a free port of 127.0.0.1; everything has ended afterwards."""
    limits = limits or Limits()
    model = model or byte_model()
    store = store or NO_RUNS
    engine = Engine(model, slots=limits.slots, queue=limits.queue)
    bound = listen("127.0.0.1", 0)
    port = bound.getsockname()[1]
    served = Served(
        MODEL,
        1_700_000_000,
        engine,
        BytesTokenizer(),
        limits,
        store or NO_RUNS,
        reads_dialogues=reads_dialogues,
    )
    ready = threading.Event()
    app = create_app(served, Access("127.0.0.1", port, token))
    server = Server(app, limits, ready.set)
    thread = threading.Thread(target=lambda: server.run(sockets=[bound]))
    thread.start()
    try:
        assert ready.wait(20)
        yield Live(f"http://127.0.0.1:{port}", port, engine, model, server, limits, store)
    finally:
        server.should_exit = True
        thread.join(20)
        bound.close()
        assert not thread.is_alive()
        assert not engine.alive


def http(live: Live, token: str | None = TOKEN) -> httpx2.Client:
    """A plain client with the token."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return httpx2.Client(base_url=live.address, headers=headers, timeout=20)
