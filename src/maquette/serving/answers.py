"""One request's jobs on their way: collected into one answer, or streamed as they come."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any, TypeVar

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from maquette.generation.batching import Chance, End
from maquette.serving.engine import Delta, Engine, EngineClosedError, Job, QueueFullError
from maquette.serving.forms import Form, Json
from maquette.serving.wire import ApiError, too_many_waiting

T = TypeVar("T")

GRACE_SECONDS = 5.0
"""For the client to take an error that says it took too long."""


class Answer:
    """Jobs that one client waits for. Belongs to the event loop that it is made in."""

    def __init__(self, jobs: Sequence[Job], form: Form, *, model: str, seconds: float) -> None:
        """`seconds`: how long it may take, waiting included."""
        self._jobs, self._form, self._seconds = jobs, form, seconds
        self._with_chances = any(job.request.logprobs is not None for job in jobs)
        self._prompt_tokens = 0
        self._tokens = 0
        self._envelope = {
            "id": form.prefix + secrets.token_hex(12),
            "created": int(time.time()),
            "model": model,
        }
        self._deltas: asyncio.Queue[tuple[int, Delta]] = asyncio.Queue()

    def submit(self, engine: Engine, *, prompt_tokens: int) -> None:
        """Hand the jobs over. Raises ApiError where the queue is full, or the server ending."""
        loop = asyncio.get_running_loop()
        self._prompt_tokens = prompt_tokens
        for index, job in enumerate(self._jobs):

            def deliver(delta: Delta, index: int = index) -> None:
                loop.call_soon_threadsafe(self._deltas.put_nowait, (index, delta))

            job.deliver = deliver
        try:
            engine.submit(self._jobs)
        except (QueueFullError, EngineClosedError) as error:
            raise as_api_error(error) from None

    def cancel(self) -> None:
        """Whatever isn't finished ends before its next token."""
        for job in self._jobs:
            job.cancel()

    async def whole(self) -> Json:
        """The answer, once it is all there. Raises ApiError."""
        texts = [""] * len(self._jobs)
        chances: list[list[tuple[int, Chance]]] = [[] for _ in self._jobs]
        ends: list[End | None] = [None] * len(self._jobs)
        async for index, delta in self._until_the_end():
            texts[index] += delta.text
            chances[index] += delta.chances
            ends[index] = delta.end
        form = self._form
        choices = [
            form.whole(i, texts[i], chances[i] if self._with_chances else None, ends[i])
            for i in range(len(texts))
        ]
        answer = {**self._envelope, "object": form.name, "choices": choices}
        return {**answer, "usage": self._usage()}

    async def events(self, *, usage: bool) -> AsyncIterator[bytes]:
        """The answer as server-sent events, an error as the last one."""
        form = self._form
        rest: Json = {"usage": None} if usage else {}
        try:
            for index in range(len(self._jobs)):
                if opening := form.opening(index):
                    yield self._event([opening], rest)
            async for index, delta in self._until_the_end():
                # A held-back token has no text yet; its probabilities come with it.
                if delta.text or delta.chances or delta.last:
                    chances = delta.chances if self._with_chances else None
                    yield self._event([form.part(index, delta.text, chances, delta.end)], rest)
        except ApiError as error:
            yield event(error.body)
            return
        if usage:
            yield self._event([], {"usage": self._usage()})
        yield b"data: [DONE]\n\n"

    def _event(self, choices: list[Json], rest: Json) -> bytes:
        return event({**self._envelope, "object": self._form.chunk, "choices": choices, **rest})

    def _usage(self) -> Json:
        return {
            "prompt_tokens": self._prompt_tokens,
            "completion_tokens": self._tokens,
            "total_tokens": self._prompt_tokens + self._tokens,
        }

    async def _until_the_end(self) -> AsyncIterator[tuple[int, Delta]]:
        """Every delta, until each job has ended. Raises ApiError."""
        left = len(self._jobs)
        deadline = asyncio.get_running_loop().time() + self._seconds
        while left:
            try:
                async with asyncio.timeout_at(deadline):
                    index, delta = await self._deltas.get()
            except TimeoutError as error:
                raise as_api_error(error) from None
            if delta.error is not None:
                raise as_api_error(delta.error)
            self._tokens += delta.tokens
            left -= delta.last
            yield index, delta


def as_api_error(error: Exception) -> ApiError:
    """What a client is told of an error in the model's work, or of there being no answer."""
    if isinstance(error, QueueFullError):
        return too_many_waiting()
    if isinstance(error, TimeoutError):
        return ApiError(503, "the answer took too long", code="timeout", kind="server_error")
    if isinstance(error, EngineClosedError):
        return ApiError(503, "the server is ending", code="shutting_down", kind="server_error")
    if isinstance(error, FloatingPointError):
        message = "the model's weights are broken: they give no finite logits"
        return ApiError(500, message, code="model_error", kind="server_error")
    return ApiError(500, "the model failed", code="model_error", kind="server_error")


def event(data: Json) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(data, ensure_ascii=False).encode(errors="replace") + b"\n\n"


async def while_connected(
    receive: Receive, work: Coroutine[Any, Any, T], *, seconds: float | None = None
) -> T | None:
    """What `work` returns; None, and the work cancelled, when the client hangs up before."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_hung_up(receive))
    try:
        await asyncio.wait((task, gone), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for one in (task, gone):
            one.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def answer_whole(answer: Answer, receive: Receive) -> Response:
    """The answer as JSON, unless the client hangs up. Raises ApiError."""
    try:
        found = await while_connected(receive, answer.whole())
    finally:
        answer.cancel()
    return JSONResponse(found) if found is not None else Response(status_code=499)


class EventStream(Response):
    """The answer as server-sent events; ends, and with it the jobs, when the client hangs up."""

    media_type = "text/event-stream"

    def __init__(self, answer: Answer, *, usage: bool, seconds: float) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._answer, self._with_usage, self._seconds = answer, usage, seconds

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            # Its own deadline, since a client that reads nothing holds up `send`.
            seconds = self._seconds + GRACE_SECONDS
            await while_connected(receive, self._send(send), seconds=seconds)
        finally:
            self._answer.cancel()

    async def _send(self, send: Send) -> None:
        await send(
            {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        )
        async for data in self._answer.events(usage=self._with_usage):
            await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
