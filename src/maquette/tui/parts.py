"""What Play and New are made of: a text to send, a choice among words, a column of settings."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Input, Label, Static, TextArea

_NEW_LINE = ("ctrl+j", "alt+enter", "shift+enter")


def visible(text: str) -> str:
    """Text without anything that could steer a terminal: line ends and tabs stay."""
    if text.isprintable():
        return text
    return "".join(_visible(c) for c in text)


def _visible(character: str) -> str:
    code = ord(character)
    if character in "\n\t" or character.isprintable() or code > 0xFFFF:
        return character
    # Control characters have pictures; of the rest, what is no blank has none.
    return chr(0x2400 + code) if code < 32 else " " if character.isspace() else "\ufffd"


class Prompt(TextArea):
    """Some lines of text; Enter sends them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "send", "Send"),
        Binding(",".join(_NEW_LINE), "new_line", "New line", key_display="^j", show=False),
    ]

    class Sent(Message):
        """The text is to be sent."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, placeholder: str, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(
            id=id,
            placeholder=placeholder,
            soft_wrap=True,
            show_line_numbers=False,
            highlight_cursor_line=False,
            compact=True,
        )

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "enter" or event.key in _NEW_LINE:
            event.stop()
            event.prevent_default()
            self.action_send() if event.key == "enter" else self.action_new_line()
            return
        await super()._on_key(event)

    def action_send(self) -> None:
        """Send the text."""
        self.post_message(self.Sent(self.text))

    def action_new_line(self) -> None:
        """Begin a new line."""
        self.insert("\n")


class Choice(Static, can_focus=True):
    """One of some words: left and right change it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "move(-1)", "Before", show=False),
        Binding("right,space,enter", "move(1)", "Next", show=False),
    ]
    value = reactive("", init=False)

    class Changed(Message):
        """Another word was chosen."""

        def __init__(self, choice: "Choice") -> None:
            super().__init__()
            self.choice = choice

        @property
        def control(self) -> "Choice":
            """Where."""
            return self.choice

    def __init__(self, words: Sequence[str], *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.words = list(words)
        self.set_reactive(Choice.value, self.words[0])

    def render(self) -> Text:
        """The word between two arrows."""
        return Text.assemble(("‹ ", "dim"), visible(self.value), (" ›", "dim"))

    def offer(self, words: Sequence[str]) -> None:
        """Let these be chosen among from now on; what is chosen stays, if it is among them."""
        self.words = list(words)
        if self.value not in self.words:
            self.value = self.words[0]

    def watch_value(self) -> None:
        """Tell it."""
        self.refresh(layout=True)
        self.post_message(self.Changed(self))

    def action_move(self, by: int) -> None:
        """Choose the next word, or the one before."""
        self.value = self.words[(self.words.index(self.value) + by) % len(self.words)]

    def on_click(self, event: events.Click) -> None:
        """The left arrow goes back, all else goes on."""
        self.action_move(-1 if event.x < 2 else 1)


class Setting(NamedTuple):
    """A number or a text that can be set. Bounds that are `open` aren't in themselves allowed."""

    key: str
    label: str
    default: str
    about: str
    kind: type = float
    least: float = -math.inf
    most: float = math.inf
    open: bool = False  # the lower bound
    optional: bool = False

    def read(self, text: str) -> Any:
        """What a text means. Raises ValueError, with what it should be."""
        text = text if self.kind is str else text.strip()
        if self.optional and not text:
            return None
        if self.kind is str:
            return text
        word = "a whole number" if self.kind is int else "a number"
        try:
            value = self.kind(text)
        except ValueError:
            raise ValueError(f"{self.label}: {word}, not {text[:20]!r}") from None
        below = value <= self.least if self.open else value < self.least
        if below or not value <= self.most or not math.isfinite(value):
            raise ValueError(f"{self.label}: {self._bounds()}")
        return value

    def _bounds(self) -> str:
        low = f"above {self.least:g}" if self.open else f"{self.least:g} or more"
        return low if math.isinf(self.most) else f"{low}, {self.most:g} at most"


class Settings(VerticalScroll):
    """Settings, one a line, under choices that `above` has."""

    def __init__(
        self,
        settings: Sequence[Setting],
        above: Sequence[tuple[str, Choice]] = (),
        *,
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(id=id, can_focus=False)
        self._settings, self._above = settings, above

    def compose(self) -> ComposeResult:
        """A label and an input a line, what is wrong below."""
        for label, choice in self._above:
            with Horizontal(classes="setting", id=f"line-{choice.id}"):
                yield Label(label, markup=False)
                yield choice
        for setting in self._settings:
            with Horizontal(classes="setting", id=f"line-{setting.key}"):
                yield Label(setting.label, markup=False)
                line = Input(
                    setting.default,
                    placeholder="any" if setting.key == "seed" else "off",
                    id=f"set-{setting.key}",
                    compact=True,
                    select_on_focus=False,
                )
                line.tooltip = Text(setting.about)
                yield line
        yield Static(id="setting-about")

    def on_input_changed(self, event: Input.Changed) -> None:
        """Say what is wrong with it."""
        event.stop()
        if event.input.has_focus:
            self._show_about(event.input)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Say what it is about."""
        if isinstance(event.widget, Input):
            self._show_about(event.widget)
        else:
            self.query_one("#setting-about", Static).update("")

    def _show_about(self, line: Input) -> None:
        setting = next(s for s in self._settings if f"set-{s.key}" == line.id)
        about, wrong = setting.about, False
        try:
            setting.read(line.value)
        except ValueError as error:
            about, wrong = str(error), True
        line.set_class(wrong, "wrong")
        shown = self.query_one("#setting-about", Static)
        shown.update(Text(about))
        shown.set_class(wrong, "wrong")

    def read(self) -> dict[str, Any]:
        """All values. Raises ValueError for the first that is wrong."""
        return {
            setting.key: setting.read(self.query_one(f"#set-{setting.key}", Input).value)
            for setting in self._settings
        }

    def show(self, key: str, shown: bool) -> None:
        """Show the line of a setting or choice, or not."""
        self.query_one(f"#line-{key}").display = shown
