"""watch and logs: what a run does and says, from its files, wherever its worker runs."""

import contextlib
import select
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maquette.cli import common
from maquette.cli.common import RunName, RunsDir
from maquette.errors import MaquetteError, RunError

if TYPE_CHECKING:
    from maquette.cli.panel import Shown
    from maquette.cli.view import Watch
    from maquette.events import Sampled
    from maquette.runs.state import State
    from maquette.runs.store import Run
    from maquette.runs.tail import News

_LOOK_SECONDS = 0.25
_LANDMARKS = 256  # events kept to work the state out from, should state.json be unreadable

JsonLines = Annotated[bool, typer.Option("--json", help="Print lines of JSON, for programs.")]


def watch(name: RunName = "latest", as_json: JsonLines = False, runs_dir: RunsDir = None) -> None:
    """Watch a run live until it ends. Ctrl-C or q ends the watching, not the run.

    On a terminal this is the Run screen of `maquette tui`; once a key was pressed there, it stays
    after the run's end too. Anywhere else, and without the extra `tui`, lines are printed.
    With --json each is an event, as in metrics.jsonl, and the last the state at the end.

    Exit code 0 if the run completed or was stopped, 1 if it failed or was lost.
    """
    from maquette.cli.tui import can_show
    from maquette.runs.control import way_on, why_lost
    from maquette.runs.state import ACTIVE

    store = common.open_store(runs_dir)
    run = store.find(name)
    try:
        if as_json:
            state = _Watching(run).print_json()
        elif can_show():
            from maquette.tui.app import watch_inline

            watch_inline(store, run)
            state = run.state()
            if not run.path.is_dir():
                raise run.gone()
            if state.status in ACTIVE:
                raise KeyboardInterrupt
        else:
            state = _Watching(run).until_it_ends()
    except KeyboardInterrupt:
        common.say(f"{run.id} goes on; `maquette watch {run.name}` shows it again")
        return
    if state.status == "failed" and state.error is not None:
        raise RunError(f"{run.id} failed: {state.error.message}", hint=state.error.hint)
    if state.status in ("failed", "lost"):
        what = (
            f"{run.id} is lost: {why_lost(state)}" if state.status == "lost" else f"{run.id} failed"
        )
        raise RunError(what, hint=way_on(run))


def logs(
    name: RunName = "latest",
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on as it grows, until the run ends.")
    ] = False,
    lines: Annotated[
        int | None,
        typer.Option("--lines", "-n", min=0, help="The last so many lines.", show_default="all"),
    ] = None,
    as_json: JsonLines = False,
    runs_dir: RunsDir = None,
) -> None:
    """Print what a run's worker had to say: its worker.log."""
    from maquette.runs.state import ACTIVE
    from maquette.runs.tail import TextTail

    run = common.open_store(runs_dir).find(name)
    tail = TextTail(run.log_path, lines=lines)
    rest = b""  # of a line whose end isn't there yet
    sys.stdout.flush()
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            live = follow and run.state(()).status in ACTIVE
            while text := tail.read():
                if as_json:
                    *whole, rest = (rest + text).split(b"\n")
                    _print_lines(whole)
                else:
                    sys.stdout.buffer.write(text)
            if rest and not live:
                _print_lines([rest])
            sys.stdout.flush()
            if not run.path.is_dir():
                raise run.gone()
            if text is None and not live:
                raise RunError(f"{run.id} has no worker.log: no worker has begun on it")
            if not live:
                return
            _wait_for_output(_LOOK_SECONDS)


class _Watching:
    """Shows one run, looking at its files four times a second."""

    def __init__(self, run: "Run") -> None:
        from maquette.events import Event
        from maquette.runs.tail import Tail

        self._run = run
        self._tail = Tail(run.metrics_path)
        self._landmarks: deque[tuple[float, Event]] = deque(maxlen=_LANDMARKS)

    def until_it_ends(self) -> "State":
        """Show the run; returns its state at the end. Raises RunError if its folder goes away."""
        from maquette.cli.panel import showing
        from maquette.cli.view import Watch
        from maquette.runs.state import ACTIVE

        state, news = self._look()
        view = self._take_in(news, state)
        with showing(common.out(), Watch(self._run.id, unit=self._run.meta.unit)) as shown:
            shown.begin(view)
            while True:
                shown.look(state, self._standing(state))
                if state.status not in ACTIVE:
                    return state
                time.sleep(_LOOK_SECONDS)
                state, news = self._look()
                self._show(shown, news, state)

    def print_json(self) -> "State":
        """The same as lines of JSON: every event that comes, and the state at the end."""
        from maquette.events import to_row
        from maquette.runs.state import ACTIVE

        while True:
            state, news = self._look()
            self._remember(news)
            for at, event in news.events:
                _print_line({"at": at, **to_row(event)})
            if state.status not in ACTIVE:
                _print_line({"id": self._run.id, **state.to_json()})
                return state
            sys.stdout.flush()
            _wait_for_output(_LOOK_SECONDS)

    def _look(self) -> "tuple[State, News]":
        # The state first: what it knows of is in the metrics then.
        state = self._run.state(list(self._landmarks) or None)
        news = self._tail.read()
        if not self._run.path.is_dir():
            raise self._run.gone()
        return state, news

    def _show(self, shown: "Shown", news: "News", state: "State") -> None:
        if news.anew:
            shown.begin(self._take_in(news, state))
            return
        self._remember(news)
        for at, event in news.events:
            shown.show(event, at)

    def _take_in(self, news: "News", state: "State") -> "Watch":
        """All that happened so far."""
        from maquette.cli.view import Watch

        self._landmarks.clear()
        self._remember(news)
        view = Watch(self._run.id, unit=self._run.meta.unit)
        for _, event in news.history:
            view.recall(event)
        for at, event in news.events:
            view.add(event, at)
        if news.history and (sample := self._last_sample()) is not None:
            view.recall(sample)
        view.look(state, self._standing(state))
        return view

    def _remember(self, news: "News") -> None:
        from maquette.events import StepDone

        events = news.history + news.events
        self._landmarks += [pair for pair in events if not isinstance(pair[1], StepDone)]
        self._landmarks += events[-1:]

    def _last_sample(self) -> "Sampled | None":
        from maquette.events import Sampled

        with contextlib.suppress(OSError, ValueError):
            newest = max(self._run.samples_path.glob("step-*.txt"), default=None)
            if newest is not None:
                text = newest.read_text(encoding="utf-8", errors="replace")
                return Sampled(int(newest.stem.removeprefix("step-")), "", text)
        return None

    def _standing(self, state: "State") -> str:
        """What a run waits for that doesn't train yet."""
        if state.status == "queued":
            ahead = self._ahead(state)
            return f"queued, {ahead} ahead" if ahead else "queued"
        return (state.doing or "") if state.status == "running" else ""

    def _ahead(self, state: "State") -> int:
        from maquette.runs.queue import ahead_of
        from maquette.worker import queue_folder

        if state.process is None or state.process.elsewhere():
            return 0
        with contextlib.suppress(OSError, MaquetteError):
            return ahead_of(queue_folder(), state.process.pid)
        return 0


def _print_lines(lines: list[bytes]) -> None:
    for line in lines:
        _print_line({"line": line.decode("utf-8", "replace")})


def _print_line(value: dict[str, Any]) -> None:
    """An object as one line of JSON; numbers that aren't finite become null."""
    import json

    from maquette.runs.durable import finite

    print(json.dumps(finite(value), ensure_ascii=False, allow_nan=False))


def _wait_for_output(seconds: float) -> None:
    """Sleep, unless nobody reads stdout any more: then BrokenPipeError."""
    if not hasattr(select, "poll"):
        time.sleep(seconds)
        return
    poll = select.poll()
    with contextlib.suppress(OSError, ValueError):
        poll.register(sys.stdout.fileno(), 0)
    if poll.poll(seconds * 1000):
        raise BrokenPipeError
