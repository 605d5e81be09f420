"""Stands in for a model in the pictures: `python -m tests.tui.stage_model RUN`."""

import base64

from maquette.tui.lines import Request, Requests, serve
from tests.tui.scenes import STORY

_SIDE = 64
_ANSWERS = {
    "Who lives by the river?": "An otter does, and a small bear comes down to it every morning.",
    "What do they look for?": "Stones. The blue ones are the best of all, and they share them.",
}
_CLASSES = [
    ["ship", 0.8312],
    ["airplane", 0.0871],
    ["bird", 0.0304],
    ["automobile", 0.0192],
    ["truck", 0.0143],
    ["deer", 0.0087],
    ["horse", 0.0052],
    ["frog", 0.0021],
]


class Stage:
    def __init__(self, requests: Requests) -> None:
        self.requests = requests

    def answer(self, request: Request) -> None:
        getattr(self, f"_{request['do']}")(request)

    def _load(self, request: Request) -> None:
        facts = {"step": 1000, "passed_over": [], "chat": True, "context": 256, "device": "cpu"}
        self.requests.say(request, "loaded", **facts)

    def _write(self, request: Request) -> None:
        self._text(request, STORY)

    def _chat(self, request: Request) -> None:
        self._text(request, _ANSWERS[request["question"]])

    def _text(self, request: Request, text: str) -> None:
        self.requests.say(request, "piece", text=text)
        facts = {"characters": len(text), "seconds": len(text) / 410, "ending": "complete"}
        self.requests.say(request, "done", dropped=0, **facts)

    def _classify(self, request: Request) -> None:
        pixels = bytes(value for y in range(_SIDE) for x in range(_SIDE) for value in _sea(x, y))
        encoded = base64.b64encode(pixels).decode()
        self.requests.say(request, "classes", classes=_CLASSES, side=_SIDE, pixels=encoded)


def _sea(x: int, y: int) -> tuple[int, int, int]:
    """A sail on the sea, under the sun."""
    if 12 < y < 42 and 30 - (y - 12) * 0.55 < x < 31:
        return 236, 232, 222
    if 18 < y < 42 and 33 < x < 33 + (y - 18) * 0.5:
        return 214, 208, 196
    if 43 < y < 50 and 14 + (y - 44) < x < 50 - (y - 44):
        return 122, 62, 38
    if (x - 52) ** 2 + (y - 11) ** 2 < 36:
        return 246, 206, 96
    if y > 46:
        return 38 + (x * 7 + y * 13) % 11, 96 + (x * 5 + y * 11) % 17, 138 + y % 9
    return 150 + y, 190 + y // 2, 222


if __name__ == "__main__":
    asked = Requests()
    serve(asked, Stage(asked).answer)
