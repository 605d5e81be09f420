"""What a person can do in a chat: ask, and the commands that begin with a slash."""

import dataclasses
import json
import shutil
import textwrap
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from maquette.cli.common import say
from maquette.cli.writing import any_seed, in_option_names
from maquette.errors import DataError, UsageError

if TYPE_CHECKING:
    from maquette.generation.chat import Answer, Conversation, Settings

Stoppable = Callable[[], AbstractContextManager[Callable[[], bool]]]
"""A context in which Ctrl-C is counted; it gives a function that says whether one came."""


class Left(Exception):  # noqa: N818  # nothing went wrong
    """The person wants to leave."""


class Session:
    """A chat as a person handles it. `show` prints an answer as it comes.

    `handle` raises UsageError or DataError for what can't be done; nothing has changed then.
    """

    def __init__(
        self,
        conversation: "Conversation",
        settings: "Settings",
        *,
        show: Callable[["Answer"], None],
        stoppable: Stoppable,
    ) -> None:
        self.conversation = conversation
        self.settings = settings
        self._show = show
        self._stoppable = stoppable
        self._dropped = 0

    def handle(self, text: str) -> None:
        """Answer a message, or do what a command says. Raises Left for /quit."""
        if text.startswith("//"):
            self.ask(text[1:])
        elif text.startswith("/"):
            name, *rest = text[1:].split(maxsplit=1) or ["help"]
            find_command(name).run(self, "".join(rest).strip())
        elif text.strip():
            self.ask(text)

    def ask(self, text: str) -> None:
        """Answer a message."""
        with self._stoppable() as stopped:
            self._answer(self.conversation.ask(text, self.settings, stopped=stopped))

    def retry(self, rest: str) -> None:
        """Answer the last message again."""
        _nothing_after("/retry", rest)
        with self._stoppable() as stopped:
            self._answer(self.conversation.retry(self.settings, stopped=stopped))

    def _answer(self, answer: "Answer") -> None:
        dropped = answer.prompt.dropped
        if dropped > self._dropped:
            word = "message" if dropped == 1 else f"{dropped} messages"
            say(
                f"(the oldest {word} left out: the model reads"
                f" {self.conversation.context:,} tokens at once)"
            )
        self._dropped = dropped
        try:
            self._show(answer)
        except KeyboardInterrupt:
            if answer.ending != "stopped":  # not in the answer
                raise
        if answer.ending == "stopped":
            say("(stopped; /retry asks again)" if answer.text else "(stopped; nothing is kept)")
        elif not answer.text:
            say("(no answer; /retry asks again)")
        elif answer.ending == "length":
            say(f"(ends at {self.settings.max_new_tokens:,} tokens; /max-new-tokens changes that)")

    def system(self, rest: str) -> None:
        """Tell the system message, or set it."""
        if rest:
            self.conversation.system = "" if rest == "-" else rest
        now = self.conversation.system
        say(f"system: {visible(now)}" if now else "no system message")

    def reset(self, rest: str) -> None:
        """Forget all but the system message."""
        _nothing_after("/reset", rest)
        self.conversation.reset()
        self._dropped = 0
        say("forgotten" + ("; the system message stays" if self.conversation.system else ""))

    def undo(self, rest: str) -> None:
        """Take back the last question and its answer."""
        _nothing_after("/undo", rest)
        question = self.conversation.undo()
        say(f"taken back: {visible(question)}" if question else "taken back")

    def history(self, rest: str) -> None:
        """Show what was said."""
        _nothing_after("/history", rest)
        messages = self.conversation.messages()
        for message in messages:
            mark = " (stopped)" if message.get("stopped") else ""
            say(f"{message['role']}: {visible(str(message['content']))}{mark}")
        if not messages:
            say("nothing was said yet")

    def save(self, rest: str, *, over: bool = False) -> None:
        """Write what was said to a file, as one line of JSON."""
        if not rest:
            raise UsageError("/save needs a file: /save chat.json")
        if not self.conversation.said:
            raise UsageError("nothing was said yet")
        text = json.dumps({"messages": self.conversation.messages()}, ensure_ascii=False) + "\n"
        path = Path(rest).expanduser()
        try:
            if over:
                from maquette.runs.durable import write_text

                write_text(path, text)
            else:
                with path.open("x", encoding="utf-8") as file:
                    file.write(text)
        except FileExistsError:
            raise UsageError(
                f"{path} is there already", hint=f"/save! {rest} replaces it"
            ) from None
        except OSError as error:
            raise DataError(f"{path}: can't be written: {(error.strerror or '').lower()}") from None
        say(f"saved to {path}")

    def load(self, rest: str) -> None:
        """Go on with a conversation from a file."""
        if not rest:
            raise UsageError("/load needs a file: /load chat.json")
        from maquette.data.text.dialogues import read_dialogues

        path = Path(rest).expanduser()
        if not path.is_file():
            raise DataError(f"{path}: there is no such file")
        dialogues = read_dialogues(path)
        turns = next(dialogues)
        more = next(dialogues, None) is not None
        self.conversation.load(turns)
        self._dropped = 0
        say(f"loaded {len(turns)} messages" + (" of the file's first dialogue" if more else ""))

    def set(self, name: str, rest: str) -> None:
        """Tell one of the settings, or change it."""
        if rest:
            self.settings = changed(self.settings, name, rest)
            if name == "seed":
                self.conversation.asked = 0
        say(f"{name}: {value_of(self.settings, name)}")

    def help(self, rest: str) -> None:
        """List the commands, or tell of one."""
        names = [rest.removeprefix("/")] if rest else list(COMMANDS)
        width = shutil.get_terminal_size().columns - 1
        for command in map(find_command, names):
            now = f" Now {value_of(self.settings, command.name)}." if command.setting else ""
            for line in _help_lines(command.usage, command.help + now, width):
                say(line)
        if not rest:
            more = (
                "A text that begins with // is sent with one /. Alt-Enter, or \\ at the end of a"
                " line, begins a new line. Ctrl-C stops an answer, Ctrl-D leaves."
            )
            say(textwrap.fill(more, max(20, width)))


class Command(NamedTuple):
    """A command: how it is written, what it does."""

    name: str
    parameters: str
    help: str
    run: Callable[[Session, str], None]
    setting: bool = False

    @property
    def usage(self) -> str:
        """As it is typed."""
        return f"/{self.name} {self.parameters}".rstrip()


def _setting(name: str, parameters: str, text: str) -> Command:
    return Command(name, parameters, text, lambda s, rest: s.set(name, rest), setting=True)


def _leave(_session: Session, rest: str) -> None:
    _nothing_after("/quit", rest)
    raise Left


COMMANDS = {
    command.name: command
    for command in (
        Command("help", "[COMMAND]", "What there is.", Session.help),
        Command("system", "[TEXT|-]", "Set the system message; - for none.", Session.system),
        Command("retry", "", "Another answer to the last question.", Session.retry),
        Command("undo", "", "Take back the last question and its answer.", Session.undo),
        Command("reset", "", "Forget everything but the system message.", Session.reset),
        Command("history", "", "Show what was said.", Session.history),
        Command("save", "FILE", "Write what was said as JSON, to a new file.", Session.save),
        Command("save!", "FILE", "The same; replaces the file.", lambda s, f: s.save(f, over=True)),
        Command("load", "FILE", "Go on with a saved conversation.", Session.load),
        _setting("temperature", "[NUMBER]", "0: always the likeliest token."),
        _setting("top-k", "[COUNT|off]", "Draw from the k likeliest tokens only."),
        _setting("top-p", "[SHARE]", "Draw from the likeliest of this probability."),
        _setting("min-p", "[SHARE]", "Draw from those this likely beside the likeliest."),
        _setting("repetition-penalty", "[NUMBER]", "Above 1: fewer repetitions."),
        _setting("max-new-tokens", "[COUNT]", "Tokens that an answer has at most."),
        _setting("seed", "[COUNT|random]", "The same seed, the same answers."),
        Command("quit", "", "Leave.", _leave),
    )
}


def find_command(name: str) -> Command:
    """The command of a name. Raises UsageError, which tells what there is."""
    if name == "exit":
        name = "quit"
    if name in COMMANDS:
        return COMMANDS[name]
    import difflib

    close = difflib.get_close_matches(name, COMMANDS, n=1)
    meant = f"; did you mean /{close[0]}?" if close else ""
    there_are = ", ".join(f"/{known}" for known in COMMANDS)
    raise UsageError(
        f"there is no /{visible(name[:40])}{meant}",
        hint=f"there are {there_are}; begin with // to send a text that begins with /",
    )


def changed(settings: "Settings", name: str, text: str) -> "Settings":
    """The settings with another value. Raises UsageError."""
    if name == "seed" and text == "random":
        return dataclasses.replace(settings, seed=any_seed())
    whole = name in ("top-k", "max-new-tokens", "seed")
    value: Any
    try:
        value = None if (name, text) == ("top-k", "off") else (int(text) if whole else float(text))
    except ValueError:
        kind = "a whole number" if whole else "a number"
        usage = COMMANDS[name].usage
        raise UsageError(f"/{name} takes {kind}, not {visible(text[:40])!r}", hint=usage) from None
    if name == "max-new-tokens" and (value or 0) < 1:
        raise UsageError(f"/{name} {text} must be 1 or more")
    if name == "seed" and not 0 <= (value or 0) < 2**63:
        raise UsageError(f"/{name} {text} must be 0 or more, and less than 2 to the power of 63")
    field = name.replace("-", "_")
    if field in _names(settings):
        return dataclasses.replace(settings, **{field: value})
    try:
        options = dataclasses.replace(settings.options, **{field: value})
    except ValueError as error:
        raise UsageError(f"/{in_option_names(error)}") from None
    return dataclasses.replace(settings, options=options)


def value_of(settings: "Settings", name: str) -> str:
    """A setting's value, as it is typed."""
    field = name.replace("-", "_")
    value = getattr(settings if field in _names(settings) else settings.options, field)
    return "off" if value is None else f"{value}"


def visible(text: str) -> str:
    """Text without anything that could steer a terminal: line ends and tabs stay."""
    return "".join(_shown(text))


def _shown(text: str) -> Iterator[str]:
    for character in text:
        code = ord(character)
        if code < 32 and character not in "\n\t":
            yield chr(0x2400 + code)  # the pictures of control characters
        else:
            yield "\N{REPLACEMENT CHARACTER}" if 127 <= code < 160 else character


def _names(settings: "Settings") -> set[str]:
    return {field.name for field in dataclasses.fields(settings)} - {"options"}


def _nothing_after(command: str, rest: str) -> None:
    if rest:
        raise UsageError(f"{command} stands alone; {visible(rest[:40])!r} is too much")


def _help_lines(usage: str, text: str, width: int) -> list[str]:
    column = 32
    if width < 2 * column:
        indent = " " * 4
        return [
            usage,
            *textwrap.wrap(text, max(20, width), initial_indent=indent, subsequent_indent=indent),
        ]
    lines = textwrap.wrap(text, width - column)
    return [f"{usage:{column}}{lines[0]}", *(" " * column + line for line in lines[1:])]
