"""Stands in for `maquette.tui.planning`, without torch: it repeats what it was asked."""

import os
import time

from maquette.tui.lines import Request, Requests, serve


class Fake:
    def __init__(self, requests: Requests) -> None:
        self.requests = requests

    def answer(self, request: Request) -> None:
        request = self.requests.newest(request)
        text = request["text"]
        if "crash" in text:
            os._exit(4)
        if "prepared" in text and not request["prepare"]:
            self.requests.say(request, "unprepared")
            return
        if "endless" in text:
            self.requests.say(request, "progress", text="preparing data: 1 of 9")
            time.sleep(600)
        figures = [[label, "planned", ""] for label in ("parameters", "memory", "time")]
        rows = [*figures, *([line, "", ""] for line in text.splitlines()[:3])]
        self.requests.say(request, "plan", sections=[rows], short_of_memory="short" in text)


if __name__ == "__main__":
    asked = Requests()
    serve(asked, Fake(asked).answer)
