"""tui: every run in one terminal."""

import os
import shutil
import sys
from typing import Annotated

import typer

from maquette.cli import common
from maquette.cli.common import RunsDir
from maquette.errors import UsageError

_NARROWEST, _LOWEST = 60, 16  # columns and lines below which `watch` shows its small panel


def tui(
    light: Annotated[bool, typer.Option("--light", help="Begin with the light theme.")] = False,
    runs_dir: RunsDir = None,
) -> None:
    """See every run and steer every run, in this terminal: `?` there tells the keys."""
    _check_extra()
    if not _at_terminal():
        raise UsageError(
            "the terminal UI needs a terminal", hint="`maquette ps` and `maquette watch` need none"
        )
    from maquette.tui.app import MaquetteApp

    MaquetteApp(common.open_store(runs_dir), dark=not light).run()


def can_show() -> bool:
    """Whether one of its screens can be shown here, below the command that was typed."""
    columns, lines = shutil.get_terminal_size()
    small = columns < _NARROWEST or lines < _LOWEST
    return sys.platform != "win32" and _at_terminal() and not small and _has_extra()


def _at_terminal() -> bool:
    """Whether it has a terminal to read from and to draw on; Textual draws on stderr."""
    drawn_on = sys.stdout.isatty() and sys.__stderr__ is not None and sys.__stderr__.isatty()
    return common.stdin_is_terminal() and drawn_on and os.environ.get("TERM") != "dumb"


def _has_extra() -> bool:
    from importlib.util import find_spec

    return find_spec("textual") is not None


def _check_extra() -> None:
    """Raise UsageError where the package that only the terminal UI needs isn't there."""
    if not _has_extra():
        raise UsageError("the terminal UI needs textual", hint="pip install 'maquette[tui]'")
