"""tui and watch where there is no terminal, or no extra."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

from maquette.cli import main, tui

Output = pytest.CaptureFixture[str]


def test_without_a_terminal_it_says_what_needs_none(capsys: Output) -> None:
    assert main(["tui"]) == 2
    assert "needs a terminal" in capsys.readouterr().err


def test_without_the_extra_it_says_how_to_get_it(
    capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["tui"]) == 2
    assert capsys.readouterr().err == (
        "error: the terminal UI needs textual\n  pip install 'maquette[tui]'\n"
    )


@pytest.mark.parametrize(
    ("size", "term", "extra", "shown"),
    [
        ((100, 30), "xterm", True, True),
        ((60, 16), "xterm", True, True),
        ((59, 30), "xterm", True, False),
        ((100, 15), "xterm", True, False),
        ((100, 30), "dumb", True, False),
        ((100, 30), "xterm", False, False),
    ],
)
def test_watch_is_its_screen_where_that_can_be_shown(
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
    term: str,
    extra: bool,
    shown: bool,
) -> None:
    controller, terminal = os.openpty()
    with (
        os.fdopen(controller, "rb"),
        os.fdopen(terminal, "r", closefd=False) as keys,
        os.fdopen(terminal, "w") as screen,
    ):
        monkeypatch.setattr(sys, "stdin", keys)
        monkeypatch.setattr(sys, "stdout", screen)
        monkeypatch.setattr(sys, "__stderr__", screen)
        monkeypatch.setenv("TERM", term)
        monkeypatch.setenv("COLUMNS", str(size[0]))
        monkeypatch.setenv("LINES", str(size[1]))
        if not extra:
            monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        assert tui.can_show() is shown


def test_the_style_sheets_are_part_of_the_package() -> None:
    folder = Path(tui.__file__).parents[1] / "tui"
    assert (folder / "style.tcss").is_file()
