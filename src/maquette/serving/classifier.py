"""The thread that looks at images, one after another, so that none depends on its company."""

import logging
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from maquette.blueprint.blueprint import ImageBlueprint
from maquette.classification import Given, classify
from maquette.data.image.decoding import BrokenError, dimensions
from maquette.models.convnext import ConvNeXt
from maquette.serving.engine import EngineClosedError, QueueFullError
from maquette.serving.metrics import Figure

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Seen:
    """An image's width and height, and its likeliest classes with their probabilities."""

    width: int
    height: int
    classes: tuple[tuple[str, float], ...]


@dataclass(slots=True)
class Counts:
    """What the classifier has done since it began."""

    seen: int = 0
    broken: int = 0
    failed: int = 0
    cancelled: int = 0
    refused: int = 0
    seconds: float = 0.0


class Classifier:
    """Owns the model. It looks at one image, and up to `queue` more wait."""

    def __init__(self, model: ConvNeXt, blueprint: ImageBlueprint, *, queue: int) -> None:
        self.counts = Counts()
        self.classes = blueprint.facts.classes
        self.image_size = blueprint.shape.image_size
        self._model, self._blueprint = model, blueprint
        self._room = queue + 1
        self._unfinished = 0
        self._lock = threading.Lock()
        self._thread: ThreadPoolExecutor | None = None

    @property
    def alive(self) -> bool:
        """Whether it can take images."""
        return self._thread is not None

    @property
    def unfinished(self) -> int:
        """Images that it looks at or that wait."""
        return self._unfinished

    def start(self) -> None:
        """Begin to take images."""
        self._thread = ThreadPoolExecutor(1, "classifier")

    def close(self) -> None:
        """End after the image that it looks at; those that wait are cancelled."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown(cancel_futures=True)

    def submit(self, image: bytes, top: int) -> Future[Seen]:
        """Take in an image file; a result that is cancelled before its turn costs nothing.

        Raises QueueFullError, EngineClosedError; and the result BrokenError for a file that can't
        be read, FloatingPointError if the weights are broken.
        """
        if self._thread is None:
            raise EngineClosedError
        with self._lock:
            if self._unfinished == self._room:
                self.counts.refused += 1
                raise QueueFullError
            self._unfinished += 1
        future = self._thread.submit(self._look, image, top)
        future.add_done_callback(self._settle)
        return future

    def figures(self) -> list[Figure]:
        """What it has done, for Prometheus."""
        counts = self.counts
        return [
            Figure("classified_total", "counter", "Images looked at.", counts.seen),
            Figure("broken_images_total", "counter", "Files that were no image.", counts.broken),
            Figure("failed_total", "counter", "Images that the model failed on.", counts.failed),
            Figure("cancelled_total", "counter", "Images nobody waited for.", counts.cancelled),
            Figure("refused_total", "counter", "Images there was no room for.", counts.refused),
            Figure("look_seconds_total", "counter", "Time spent on images.", counts.seconds),
            Figure("unfinished_images", "gauge", "Images not answered yet.", self.unfinished),
        ]

    def _look(self, image: bytes, top: int) -> Seen:
        begin = time.perf_counter()
        try:
            width, height = dimensions(image)
            (said,) = classify(self._model, self._blueprint, [Given("", image)], top=top)
            if said.problem is not None:
                raise BrokenError(said.problem)
            return Seen(width, height, said.classes)
        finally:
            self.counts.seconds += time.perf_counter() - begin

    def _settle(self, future: Future[Seen]) -> None:
        error = None if future.cancelled() else future.exception()
        with self._lock:
            self._unfinished -= 1
            self.counts.cancelled += future.cancelled()
            self.counts.broken += isinstance(error, BrokenError)
            self.counts.failed += error is not None and not isinstance(error, BrokenError)
            self.counts.seen += not future.cancelled() and error is None
        if error is not None and not isinstance(error, BrokenError | FloatingPointError):
            log.error("classifying failed", exc_info=error)
