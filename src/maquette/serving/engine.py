"""The thread that decodes: it takes jobs in, and hands out text as it is written."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from maquette.generation.batching import BatchDecoder, Chance, End, Request, Stream, Written
from maquette.generation.text import TextStream
from maquette.models.gpt import GPT
from maquette.serving.metrics import Figure

log = logging.getLogger(__name__)


class QueueFullError(Exception):
    """The queue is full."""


class EngineClosedError(Exception):
    """The server is ending."""


@dataclass(frozen=True, slots=True)
class Delta:
    """What became known of a job: more text, and in the last one how it ended."""

    text: str = ""
    chances: tuple[tuple[int, Chance], ...] = ()
    """Of the tokens of this text: where each begins, in characters of the whole answer."""
    tokens: int = 0
    end: End | None = None
    error: Exception | None = None

    @property
    def last(self) -> bool:
        """Whether nothing comes after it."""
        return self.end is not None or self.error is not None


class Job:
    """A request and how its text is cut; `deliver` is called in the engine's thread."""

    def __init__(self, request: Request, text: TextStream) -> None:
        self.request = request
        self.deliver: Callable[[Delta], None] = lambda _: None
        self.cancelled = False
        self._text = text
        self._chances: deque[tuple[int, Chance]] = deque()

    def cancel(self) -> None:
        """Nobody wants it any more: it ends before its next token. From any thread."""
        self.cancelled = True

    def take(self, written: Written) -> Delta:
        """What a step of the decoder means as text."""
        if written.error is not None:
            return Delta(error=written.error)
        text, begin = "", self._text.read
        if written.token is not None:
            text = self._text.feed(written.token)
            if written.chance is not None:
                self._chances.append((begin, written.chance))
        end: End | None = "stop" if self._text.stopped else written.end
        if end and not self._text.stopped:
            text += self._text.end()
        whole = end is not None and not self._text.stopped
        chances = []
        while self._chances and (whole or self._chances[0][0] < self._text.passed):
            chances.append(self._chances.popleft())
        return Delta(text, tuple(chances), int(written.token is not None), end)


@dataclass(slots=True)
class Counts:
    """What the engine has done since it began."""

    tokens: int = 0
    prompt_tokens: int = 0
    finished: int = 0
    failed: int = 0
    cancelled: int = 0
    refused: int = 0
    steps: int = 0
    step_seconds: float = 0.0


class Engine:
    """Owns the model. Jobs are written together, up to `slots`; up to `queue` more wait."""

    def __init__(self, model: GPT, *, slots: int, queue: int) -> None:
        self.counts = Counts()
        self.context = model.shape.context
        self._decoder = BatchDecoder(model, slots=slots)
        self._slots, self._queue = slots, queue
        self._active: dict[Stream, Job] = {}
        self._waiting: deque[Job] = deque()
        self._wake = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    @property
    def active(self) -> int:
        """Jobs that are being written."""
        return len(self._active)

    @property
    def waiting(self) -> int:
        """Jobs that wait for a slot."""
        return len(self._waiting)

    @property
    def alive(self) -> bool:
        """Whether it can take jobs."""
        return self._thread.is_alive() and not self._closed

    def start(self) -> None:
        """Begin to decode."""
        self._thread.start()

    def close(self) -> None:
        """End within one token; jobs that aren't finished get the error EngineClosedError."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join()

    def submit(self, jobs: Sequence[Job]) -> None:
        """Take in jobs, all or none. Raises QueueFullError, EngineClosedError."""
        with self._wake:
            if self._closed:
                raise EngineClosedError
            if self.active + self.waiting + len(jobs) > self._slots + self._queue:
                self.counts.refused += 1
                raise QueueFullError
            self._waiting.extend(jobs)
            self._wake.notify()

    def figures(self) -> list[Figure]:
        """What it has done, for Prometheus."""
        counts = self.counts
        return [
            Figure("generated_tokens_total", "counter", "Tokens written.", counts.tokens),
            Figure("prompt_tokens_total", "counter", "Tokens of prompts.", counts.prompt_tokens),
            Figure("finished_total", "counter", "Choices written to their end.", counts.finished),
            Figure("failed_total", "counter", "Choices that ended in an error.", counts.failed),
            Figure("cancelled_total", "counter", "Choices nobody waited for.", counts.cancelled),
            Figure("refused_total", "counter", "Requests there was no room for.", counts.refused),
            Figure("steps_total", "counter", "Steps of the decoder.", counts.steps),
            Figure("step_seconds_total", "counter", "Time in these steps.", counts.step_seconds),
            Figure("active_choices", "gauge", "Choices being written.", self.active),
            Figure("waiting_choices", "gauge", "Choices waiting for a slot.", self.waiting),
        ]

    def _run(self) -> None:
        while self._next_round():
            begin = time.perf_counter()
            try:
                written = self._decoder.step()
            except Exception as error:  # a defect, but the next request may be spared it
                log.exception("decoding failed")
                written = [Written(stream, error=error) for stream in self._active]
            self.counts.steps += 1
            self.counts.step_seconds += time.perf_counter() - begin
            for one in written:
                self._hand_out(one)
        for job in (*self._active.values(), *self._waiting):
            self._deliver(job, Delta(error=EngineClosedError()))
        self._active.clear()
        self._waiting.clear()

    def _next_round(self) -> bool:
        """Wait for work, drop what was cancelled, let new jobs join; False when closed."""
        with self._wake:
            self._wake.wait_for(lambda: self._closed or self._active or self._waiting)
            if self._closed:
                return False
            for stream in [s for s, job in self._active.items() if job.cancelled]:
                self._leave(stream)
                self.counts.cancelled += 1
            self.counts.cancelled += sum(job.cancelled for job in self._waiting)
            self._waiting = deque(job for job in self._waiting if not job.cancelled)
            while self._waiting and self._decoder.free:
                self._join(self._waiting.popleft())
        return True

    def _join(self, job: Job) -> None:
        try:
            self._active[self._decoder.add(job.request)] = job
        except Exception as error:
            self.counts.failed += 1
            self._deliver(job, Delta(error=error))
            return
        self.counts.prompt_tokens += len(job.request.prompt_ids)

    def _leave(self, stream: Stream) -> Job:
        self._decoder.remove(stream)
        return self._active.pop(stream)

    def _hand_out(self, written: Written) -> None:
        job = self._active[written.stream]
        try:
            delta = job.take(written)
        except Exception as error:
            delta = Delta(error=error)
        self.counts.tokens += delta.tokens
        if delta.last:
            self._leave(written.stream)
            self.counts.finished += delta.end is not None
            self.counts.failed += delta.error is not None
        if delta.text or delta.chances or delta.tokens or delta.last:
            self._deliver(job, delta)

    def _deliver(self, job: Job, delta: Delta) -> None:
        try:
            job.deliver(delta)
        except Exception:  # whoever asked is gone, with its event loop
            job.cancel()
