"""A server of a tiny untrained model on a real socket, in a thread."""

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx2
import torch

from maquette.blueprint.blueprint import ImageBlueprint
from maquette.blueprint.resolve_images import resolve_images
from maquette.facts import ImageFacts, ImageSplitFacts
from maquette.models.convnext import ConvNeXt
from maquette.models.gpt import GPT
from maquette.runs.store import Store
from maquette.serving.app import create_app
from maquette.serving.classifier import Classifier
from maquette.serving.engine import Engine
from maquette.serving.limits import IMAGE_LIMITS, Limits
from maquette.serving.listening import listen
from maquette.serving.security import Access
from maquette.serving.served import AnyServed, Served, ServedClassifier
from maquette.serving.server import Server
from maquette.tokenizers.bytes import BytesTokenizer
from tests.models.small import LLAMA, small_model
from tests.models.small_images import TINY, small_convnext
from tests.trained_images import shapes_spec

TOKEN = "a-token-for-the-tests"
MODEL = "tiny-model"
CREATED = 1_700_000_000
CONTEXT = 128
CLASSES = ("circle", "square", "star", "<b>moon</b>", "a wave")
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


@dataclass(frozen=True)
class LiveClassifier:
    """A running server of a classifier."""

    address: str
    port: int
    classifier: Classifier
    model: ConvNeXt
    server: Server
    limits: Limits

    def wait_idle(self, seconds: float = 20) -> bool:
        """Whether no image waits, at the latest after so long."""
        return eventually(lambda: not self.classifier.unfinished, seconds)


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


def image_blueprint(classes: tuple[str, ...] = CLASSES) -> ImageBlueprint:
    """What belongs to `small_convnext()`, and to nothing that was trained."""
    split = ImageSplitFacts(100 * len(classes), (100,) * len(classes), 0)
    splits = {"train": split, "validation": split, "test": split}
    facts = ImageFacts(classes, TINY.image_size, (0.5,) * 3, (0.25,) * 3, splits)
    blueprint = resolve_images(shapes_spec(), facts)
    return dataclasses.replace(blueprint, shape=TINY)


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
    served = Served(
        MODEL,
        CREATED,
        engine,
        BytesTokenizer(),
        limits,
        store,
        reads_dialogues=reads_dialogues,
    )
    with _in_thread(served, token) as (port, server):
        yield Live(address(port), port, engine, model, server, limits, store)


@contextlib.contextmanager
def running_classifier(
    *,
    limits: Limits = IMAGE_LIMITS,
    token: str | None = TOKEN,
    model: ConvNeXt | None = None,
    classes: tuple[str, ...] = CLASSES,
) -> Iterator[LiveClassifier]:
    """The same of an image classifier."""
    model = model or small_convnext()
    classifier = Classifier(model, image_blueprint(classes), queue=limits.queue)
    served = ServedClassifier(MODEL, CREATED, classifier, limits, NO_RUNS)
    with _in_thread(served, token) as (port, server):
        yield LiveClassifier(address(port), port, classifier, model, server, limits)


@contextlib.contextmanager
def _in_thread(served: AnyServed, token: str | None) -> Iterator[tuple[int, Server]]:
    bound = listen("127.0.0.1", 0)
    port = bound.getsockname()[1]
    ready = threading.Event()
    app = create_app(served, Access("127.0.0.1", port, token))
    server = Server(app, served.limits, ready.set)
    thread = threading.Thread(target=lambda: server.run(sockets=[bound]))
    thread.start()
    try:
        assert ready.wait(20)
        yield port, server
    finally:
        server.should_exit = True
        thread.join(20)
        bound.close()
        assert not thread.is_alive()
        assert not served.engine.alive


def address(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def http(live: Live | LiveClassifier, token: str | None = TOKEN) -> httpx2.Client:
    """A plain client with the token."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return httpx2.Client(base_url=live.address, headers=headers, timeout=20)
