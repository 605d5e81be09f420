"""tui: every run in one terminal."""

import sys
from typing import Annotated

import typer

from maquette.cli import common
from maquette.cli.common import RunsDir
from maquette.errors import UsageError


def tui(
    light: Annotated[bool, typer.Option("--light", help="Begin with the light theme.")] = False,
    runs_dir: RunsDir = None,
) -> None:
    """See every run and steer every run, in this terminal: `?` there tells the keys."""
    check_extra()
    if not (common.stdin_is_terminal() and sys.stdout.isatty()):
        raise UsageError(
            "the terminal UI needs a terminal", hint="`maquette ps` and `maquette watch` need none"
        )
    from maquette.tui.app import MaquetteApp

    MaquetteApp(common.open_store(runs_dir), dark=not light).run()


def check_extra() -> None:
    """Raise UsageError where the package that only the terminal UI needs isn't there."""
    from importlib.util import find_spec

    if find_spec("textual") is None:
        raise UsageError("the terminal UI needs textual", hint="pip install 'maquette[tui]'")
