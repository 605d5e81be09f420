"""The show in a terminal or a pipe."""

import os
import shutil
import sys
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from maquette.cli import common

if TYPE_CHECKING:
    from maquette.simulation.story import Story
    from maquette.simulation.terminal import Options

_PLAIN = str.maketrans({"━": "=", "─": "-", "°": " "})  # for terminals that know ASCII only
_NARROW = 60  # columns of a pipe, unless COLUMNS says another number


def play(stories: "Iterable[Story]", options: "Options", *, inhibit: bool) -> None:
    """Show stories until the options or Ctrl-C end them."""
    from maquette.cli.table import coloured
    from maquette.simulation import terminal

    live = _is_live()

    def width() -> int:
        return shutil.get_terminal_size((80 if live else _NARROW, 24)).columns

    pieces = terminal.play(stories, options, width=width, coloured=coloured(), live=live)
    with _awake(inhibit):
        try:
            for text, seconds in pieces:
                _write(text)
                if seconds:
                    time.sleep(seconds)
        except KeyboardInterrupt:
            _write("\n" if live else "")
            common.say(terminal.STOPPED)


def _is_live() -> bool:
    """Whether stdout is a terminal in which a line can give way to the next."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def _write(text: str) -> None:
    encoding = (getattr(sys.stdout, "encoding", None) or "ascii").lower()
    if text:
        sys.stdout.write(text if encoding.startswith("utf") else text.translate(_PLAIN))
        sys.stdout.flush()


def _awake(wanted: bool) -> AbstractContextManager[object]:
    if not wanted:
        return nullcontext()
    from maquette.cli.awake import awake

    return awake()
