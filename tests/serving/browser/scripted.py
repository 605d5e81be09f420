"""In place of the decoder: writes what a test says, a byte a step, with made-up chances."""

import math
import threading
from collections.abc import Callable

from maquette.generation.batching import Chance, End, Request, Stream, Written

Replies = Callable[[str], str | bytes | Exception]
"""The last thing that the user said -> the answer, or what goes wrong instead."""

HALT = b"\x1a"
"""In an answer: wait here until the test lets it go on."""


class ScriptedDecoder:
    """As `BatchDecoder`, but it knows its answers; all above it are the real things."""

    def __init__(self, replies: Replies, *, context: int, slots: int = 16) -> None:
        self.replies = replies
        self.slots = slots
        self.prompts: list[str] = []
        self.go = threading.Event()
        self._context = context
        self._left: dict[Stream, bytes | Exception] = {}

    @property
    def free(self) -> int:
        return self.slots - len(self._left)

    def add(self, request: Request) -> Stream:
        stream = Stream(request, len(self.prompts), self._context, 256)
        prompt = bytes(request.prompt_ids).decode()
        self.prompts.append(prompt)
        question = prompt.rpartition("user: ")[2].removesuffix("\nassistant: ")
        reply = self.replies(question)
        self._left[stream] = reply.encode() if isinstance(reply, str) else reply
        return stream

    def remove(self, stream: Stream) -> None:
        self._left.pop(stream, None)

    def step(self) -> list[Written]:
        written = [self._next(stream) for stream in list(self._left)]
        for one in written:
            if one.end or one.error:
                self.remove(one.stream)
        return written

    def _next(self, stream: Stream) -> Written:
        left = self._left[stream]
        if isinstance(left, Exception):
            return Written(stream, error=left)
        if left[:1] == HALT:
            self.go.wait(20)
            left = left[1:]
        if not left:
            return Written(stream, end="stop")
        token = left[0]
        self._left[stream] = left[1:]
        stream.written += 1
        end: End | None = "length" if stream.written == stream.request.max_new_tokens else None
        return Written(stream, token, chance(token, stream.request.logprobs), end)


def chance(token: int, alternatives: int | None) -> Chance | None:
    """The token and its successors, each half as likely as the one before; `z` is a surprise."""
    if alternatives is None:
        return None
    if token == ord("z"):
        others = tuple((ord("a") + i, math.log(0.5 ** (i + 1))) for i in range(alternatives))
        return Chance(token, math.log(0.001), others)
    likely = [((token + i) % 256, math.log(0.5 ** (i + 1))) for i in range(alternatives)]
    return Chance(token, math.log(0.5), tuple(likely))
