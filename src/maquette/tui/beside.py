"""A process beside the screen, asked and answering in lines of JSON.

Whatever takes torch, or long, is done there: the screen never waits for it, and when it crashes,
or has to be killed, the screen tells it and goes on. `tui.lines` is its side of the matter.
"""

import contextlib
import json
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from typing import IO, Any

from textual.message import Message
from textual.message_pump import MessagePump

_LAST_BYTES = 4000


class Heard(Message):
    """The process said something: `row` has its `kind`, and the number `of` what it answers."""

    def __init__(self, source: "Beside", row: dict[str, Any]) -> None:
        super().__init__()
        self.source, self.row = source, row


class Ended(Message):
    """The process has ended by itself; `why` is for people."""

    def __init__(self, source: "Beside", why: str) -> None:
        super().__init__()
        self.source, self.why = source, why


class Beside:
    """`python -m MODULE ARGUMENTS`, from now until `close`. No method waits for it."""

    def __init__(self, target: MessagePump, module: str, *arguments: str) -> None:
        """`target` gets the messages Heard and Ended, unless it is closed before."""
        self._target = target
        self._closed = False
        self._asked = 0
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by its thread
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            start_new_session=True,
        )
        self._requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        for part in (self._write, self._read):
            threading.Thread(target=part, name=f"beside {module}", daemon=True).start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def ask(self, do: str, **facts: Any) -> int:
        """Ask for something; returns the number that answers to it carry."""
        self._asked += 1
        self._send(do=do, number=self._asked, **facts)
        return self._asked

    def stop(self) -> None:
        """Ask it to stop what it is at, and all that it was asked for before."""
        self._send(do="stop", number=self._asked)

    def close(self) -> None:
        """End it; nothing is heard of it any more."""
        self._closed = True
        self._requests.put(None)
        with contextlib.suppress(OSError):
            self._process.kill()

    def _send(self, **request: Any) -> None:
        self._requests.put(json.dumps(request).encode("ascii") + b"\n")

    def _write(self) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        with contextlib.suppress(OSError, ValueError), stdin:
            while (line := self._requests.get()) is not None:
                stdin.write(line)
                stdin.flush()

    def _read(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        with stdout:
            for line in stdout:
                with contextlib.suppress(ValueError):
                    self._post(Heard(self, json.loads(line)))
        code = self._process.wait()
        self._requests.put(None)
        self._post(Ended(self, self._why(code)))
        self._said.close()

    def _post(self, message: Message) -> None:
        if not self._closed:
            with contextlib.suppress(RuntimeError):  # the application is at its end
                self._target.post_message(message)

    def _why(self, code: int) -> str:
        """How it ended, with the last line that it said about it."""
        if code == -signal.SIGKILL:
            return "was killed; this machine may have run out of memory"
        if code < 0:
            with contextlib.suppress(ValueError):
                return f"crashed ({signal.Signals(-code).name})"
        size = self._said.seek(0, 2)
        self._said.seek(max(0, size - _LAST_BYTES))
        lines = self._said.read().decode("utf-8", "replace").strip().splitlines()
        return f"ended with exit code {code}" + (f": {lines[-1]}" if lines else "")
