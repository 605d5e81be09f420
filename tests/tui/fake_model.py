"""Stands in for `maquette.tui.playing`, without torch: what it does follows from what is asked."""

import base64
import os
import signal
import sys
import time
from pathlib import Path

from maquette.errors import CheckpointError
from maquette.tui.lines import Request, Requests, serve


class Fake:
    def __init__(self, requests: Requests, run: Path) -> None:
        self.requests, self.run = requests, run

    def answer(self, request: Request) -> None:
        getattr(self, request["do"])(request)

    def load(self, request: Request) -> None:
        if not self.run.is_dir():
            raise CheckpointError(f"{self.run.name} has no checkpoint", hint="it hasn't saved any")
        if request["checkpoint"] == "latest":
            time.sleep(600)  # until it is killed
        step = {"best": 7}.get(request["checkpoint"]) or int(request["checkpoint"])
        self.requests.say(
            request, "loaded", step=step, passed_over=[], chat=True, context=9, device="cpu"
        )

    def write(self, request: Request) -> None:
        self.text(request, request["prompt"])

    def chat(self, request: Request) -> None:
        said = "".join(f"[{one['role']}: {one['content']}]" for one in request["said"])
        self.text(request, request["question"], f"{said} heard {request['question']}")

    def text(self, request: Request, asked: str, answer: str = " and so on") -> None:
        if asked == "crash":
            print("boom at 0x0", file=sys.stderr, flush=True)
            os._exit(3)
        if asked == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if asked == "memory":
            raise MemoryError
        self.requests.say(request, "piece", text=answer)
        while asked == "deaf" or (asked == "slow" and not self.requests.stopped(request)):
            time.sleep(0.01)
        if asked == "options":
            self.requests.say(request, "piece", text=f" {request}")
        ending = "stopped" if asked == "slow" else "complete"
        self.requests.say(
            request, "done", characters=len(answer), seconds=0.5, ending=ending, dropped=0
        )

    def classify(self, request: Request) -> None:
        if "broken" in request["path"]:
            self.requests.say(request, "failed", message="is no image", hint=None)
            return
        pixels = base64.b64encode(bytes((255, 0, 0)) * 64).decode()
        classes = [["[red] cat\x1b", 0.75], ["dog 🐶", 0.25 if request["flip"] else 0.125]]
        self.requests.say(request, "classes", classes=classes, side=8, pixels=pixels)


if __name__ == "__main__":
    asked = Requests()
    serve(asked, Fake(asked, Path(sys.argv[1])).answer)
