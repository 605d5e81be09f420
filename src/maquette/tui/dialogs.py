"""Questions: yes or no, a line of text, and the page of keys."""

from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static


class Confirm(ModalScreen[bool]):
    """A question about something that can't be undone; Enter alone never says yes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape", "answer(False)", "No"),
        Binding("left,right", "app.focus_next", show=False),
    ]

    def __init__(self, question: str, detail: str, yes: str) -> None:
        """`yes`: what the button says that does it."""
        super().__init__()
        self._question, self._detail, self._yes = question, detail, yes

    def compose(self) -> ComposeResult:
        """The question in a box, with its two buttons."""
        with Vertical(classes="box"):
            yield Static(Text(self._question), classes="question")
            with VerticalScroll(classes="detail"):
                yield Static(Text(self._detail))
            with Horizontal(classes="buttons"):
                yield Button(Text("Cancel  n"), id="no")
                yield Button(Text(f"{self._yes}  y"), id="yes", variant="error")

    def on_mount(self) -> None:
        """Begin at the answer that changes nothing."""
        self.query_one("#no").focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer."""
        self.dismiss(event.button.id == "yes")

    def action_answer(self, answer: bool) -> None:
        """Answer."""
        self.dismiss(answer)


class Ask(ModalScreen[str | None]):
    """A line of text; None if it is not to be."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Cancel")]

    def __init__(
        self,
        question: str,
        *,
        value: str = "",
        hint: str = "",
        check: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        """`check` says what is wrong with an answer, or None."""
        super().__init__()
        self._question, self._value, self._hint, self._check = question, value, hint, check

    def compose(self) -> ComposeResult:
        """The question, a line to answer in, and what is wrong with the answer."""
        with Vertical(classes="box"):
            yield Static(Text(self._question), classes="question")
            yield Input(self._value, select_on_focus=True)
            yield Static(Text(self._hint), classes="hint")

    def on_input_changed(self, event: Input.Changed) -> None:
        """Say what is wrong while it is typed."""
        wrong = self._check(event.value)
        hint = self.query_one(".hint", Static)
        hint.update(Text(wrong or self._hint))
        hint.set_class(wrong is not None, "wrong")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the answer, if nothing is wrong with it."""
        if self._check(event.value) is None:
            self.dismiss(event.value)

    def action_cancel(self) -> None:
        """No answer."""
        self.dismiss(None)


class Help(ModalScreen[None]):
    """What the keys do here, and everywhere."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q,enter", "close", "Close")
    ]

    def __init__(self, title: str, keys: list[tuple[str, list[tuple[str, str]]]]) -> None:
        """`keys`: groups of a heading, and of keys with what they do."""
        super().__init__()
        self._title, self._keys = title, keys

    def compose(self) -> ComposeResult:
        """A box as long as it must be, that scrolls where the terminal is low."""
        text = Text()
        width = max(len(key) for _, group in self._keys for key, _ in group) + 3
        for heading, group in self._keys:
            text.append(f"{heading}\n", "bold")
            for key, does in group:
                text.append(f"  {key:<{width}}", "bold")
                text.append(f"{does}\n")
            text.append("\n")
        with VerticalScroll(classes="box help"):
            yield Static(Text(self._title), classes="question")
            yield Static(text)

    def action_close(self) -> None:
        """Go back."""
        self.dismiss(None)
