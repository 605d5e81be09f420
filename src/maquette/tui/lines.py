"""The side of `tui.beside` that does the work: reads requests, answers in lines of JSON."""

import contextlib
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from maquette.errors import MaquetteError
from maquette.runs.recorder import is_out_of_memory

Request = dict[str, Any]
_PIECES_SECONDS = 0.05


class Requests:
    """What is asked on stdin. When whoever asks is gone, so is this process, at once."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)  # nothing else may print into the answers
        self._waiting: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self._stopped = 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in sys.stdin.buffer:
            request = json.loads(line)
            if request["do"] == "stop":
                self._stopped = request["number"]
            else:
                self._waiting.put(request)
        os._exit(0)

    def __iter__(self) -> Iterator[Request]:
        while True:
            yield self._waiting.get()

    def newest(self, request: Request) -> Request:
        """The last that was asked meanwhile, if only the last one counts; else this one."""
        with contextlib.suppress(queue.Empty):
            while True:
                request = self._waiting.get_nowait()
        return request

    def stopped(self, request: Request) -> bool:
        """Whether nobody wants the answer any more."""
        return bool(request["number"] <= self._stopped)

    def say(self, request: Request, kind: str, **facts: Any) -> None:
        """Answer something."""
        row = {"kind": kind, "of": request["number"], **facts}
        self._out.write(json.dumps(row).encode("ascii") + b"\n")
        self._out.flush()

    def say_pieces(self, request: Request, pieces: Iterator[str]) -> str:
        """Answer a text as it is written, a few times a second; returns all of it."""
        text, said, at = "", 0, 0.0
        try:
            for piece in pieces:
                text += piece
                if time.monotonic() - at >= _PIECES_SECONDS:
                    self.say(request, "piece", text=text[said:])
                    said, at = len(text), time.monotonic()
        finally:
            if said < len(text):
                self.say(request, "piece", text=text[said:])
        return text


def serve(requests: Requests, answer: Callable[[Request], None]) -> None:
    """Answer every request; whatever goes wrong with one is told, and the next one is taken."""
    for request in requests:
        try:
            answer(request)
        except Exception as error:
            message, hint = told(error)
            requests.say(request, "failed", message=message, hint=hint)


def told(error: Exception) -> tuple[str, str | None]:
    """What to tell a person of an exception, and a hint."""
    if isinstance(error, MaquetteError):
        return error.message, error.hint
    if is_out_of_memory(error):
        return "out of memory", "another device may have more; so has this one once others are done"
    if isinstance(error, FloatingPointError):
        return "the weights of this checkpoint are broken", "an earlier one may be sound"
    first = (str(error).strip() or "no message").splitlines()[0]
    return f"unexpected {type(error).__name__}: {first}", "this is a defect of maquette"
