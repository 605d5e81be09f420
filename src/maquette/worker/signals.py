"""Signals that ask a worker to end."""

import contextlib
import signal
from collections.abc import Callable
from types import FrameType


class StopOnSignal:
    """Hears SIGINT, SIGTERM and SIGHUP; use it as a context manager and pass it as `stop`.

    Once `patient`, the first signal asks the loop to end after its step, and the second ends at
    once; before, there is nothing to finish, and the first one ends at once. SIGHUP, which a
    closed terminal may send after another one, is never the second. Whatever comes after the end
    has begun is passed over: it would keep the worker from writing down that it stopped. `say`
    tells the person.
    """

    def __init__(self, say: Callable[[str], None] = lambda _: None) -> None:
        self.asked = False
        self.patient = False
        self.interrupted = False  # whether KeyboardInterrupt was raised
        self.exit_code = 130  # as a shell tells of the signal that came first; else of Ctrl-C
        self._say = say
        self._ending = False

    def __call__(self) -> bool:
        """Whether a signal came."""
        return self.asked

    def has_ended(self) -> None:
        """The training is at its end: a signal from now on finds nothing to end."""
        self._ending = True

    def __enter__(self) -> "StopOnSignal":
        self._before = {s: signal.signal(s, self._on_signal) for s in self._signals()}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._ending:
            return
        again = self.asked and number in (signal.SIGINT, signal.SIGTERM)
        if not self.asked:
            self.exit_code = 128 + number
        self.asked = True
        if again or not self.patient:
            self._ending = self.interrupted = True
            raise KeyboardInterrupt
        with contextlib.suppress(RuntimeError):  # a print can't begin inside another one
            self._say("ending after this step, with a checkpoint; once more ends at once")

    @staticmethod
    def _signals() -> list[signal.Signals]:
        names = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows lacks the last
        return [getattr(signal, name) for name in names if hasattr(signal, name)]
