"""Where a person types: a line editor with history, or plain lines where there can't be one."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.errors import UsageError

if TYPE_CHECKING:
    from prompt_toolkit.history import History
    from prompt_toolkit.key_binding import KeyBindings

PROMPT = "> "
CONTINUED = "  "
HISTORY_BYTES = 1 << 20
"""A history longer than this loses its older half when a chat begins."""
LONGEST_LINE = 1 << 20
"""Bytes; no model here reads so much at once."""


def typed_messages(commands: Sequence[str]) -> Callable[[], str]:
    """Ask for a message on the terminal: raises EOFError at the end, KeyboardInterrupt on Ctrl-C.

    Alt-Enter, or a backslash at the end of a line, begins another line.
    """
    if os.environ.get("TERM", "") in ("", "dumb", "unknown"):
        return _plain_lines
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import WordCompleter
    from prompt_toolkit.output import create_output
    from prompt_toolkit.shortcuts import CompleteStyle

    output = create_output()
    if hasattr(output, "enable_cpr"):
        output.enable_cpr = False  # not every terminal says where its cursor is; nothing needs it
    session: PromptSession[str] = PromptSession(
        PROMPT,
        multiline=True,
        prompt_continuation=CONTINUED,
        key_bindings=_keys(),
        history=_history(),
        completer=WordCompleter(list(commands), sentence=True),
        complete_while_typing=False,
        complete_style=CompleteStyle.READLINE_LIKE,
        reserve_space_for_menu=0,
        enable_history_search=True,
        output=output,
    )

    def ask() -> str:
        before = signal.signal(signal.SIGTERM, _leave)
        try:
            return session.prompt(pre_run=_listen)
        finally:
            signal.signal(signal.SIGTERM, before)

    return ask


def _leave(number: int, _frame: object) -> None:
    """End by an exception, so that the editor leaves the terminal as it found it."""
    raise SystemExit(128 + number)


def _listen() -> None:
    """The same once the editor runs, as an event: amid its own work an exception may be lost."""
    import asyncio

    from prompt_toolkit.application import get_app

    app = get_app()

    def leave() -> None:
        if not app.is_done:
            app.exit(exception=SystemExit(128 + signal.SIGTERM))

    with contextlib.suppress(NotImplementedError):  # Windows
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, leave)


def _keys() -> "KeyBindings":
    from prompt_toolkit.key_binding import KeyBindings

    keys = KeyBindings()

    @keys.add("enter")
    def send(event: Any) -> None:
        buffer = event.current_buffer
        if buffer.document.is_cursor_at_the_end and buffer.text.endswith("\\"):
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def break_line(event: Any) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("c-c")
    def drop(event: Any) -> None:
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt)

    return keys


def _plain_lines() -> str:
    lines = [input(PROMPT)]
    while lines[-1].endswith("\\"):
        lines[-1] = lines[-1][:-1]
        lines.append(input(CONTINUED))
    return "\n".join(lines)


def _history() -> "History":
    """What was typed in earlier chats; only in memory where it can't be kept in a file."""
    import platformdirs
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    class Kept(FileHistory):
        def store_string(self, string: str) -> None:
            try:
                super().store_string(string)
            except OSError:  # a full disk is no reason not to chat
                return

    path = platformdirs.user_state_path("maquette") / "chat-history"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # what one types is private
        _shorten(path)
    except OSError:
        return InMemoryHistory()
    return Kept(path)


def _shorten(path: Path) -> None:
    if path.stat().st_size <= HISTORY_BYTES:
        return
    kept = path.read_bytes()[-HISTORY_BYTES // 2 :]
    path.write_bytes(kept[max(0, kept.find(b"\n# ")) :])


def piped_messages() -> Iterator[str | UsageError]:
    """The lines of stdin, blank ones left out; an error in place of one that can't be read.

    Raises UsageError for a line without an end.
    """
    number = 0
    if sys.stdin is None:  # closed before Python began
        return
    while raw := sys.stdin.buffer.readline(LONGEST_LINE):
        number += 1
        if len(raw) == LONGEST_LINE:
            raise UsageError(f"line {number} is longer than a million bytes")
        try:
            line = raw.decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            yield UsageError(f"line {number} is not UTF-8")
            continue
        if line.strip():
            yield line
