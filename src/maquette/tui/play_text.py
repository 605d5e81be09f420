"""Play with a language model: it goes on with a text, or answers in a chat."""

import secrets
import time
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.table import Table
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Static

from maquette.errors import UsageError
from maquette.quantities import format_duration
from maquette.runs.store import Run
from maquette.tui.parts import Choice, Prompt, Setting, Settings, visible
from maquette.tui.play import PlayPage

_SEEDS = 2**32
SETTINGS = (
    Setting("temperature", "temperature", "0.8", "0: always the likeliest token.", least=0),
    Setting("top_k", "top k", "", "Draw from the k likeliest alone.", int, least=1, optional=True),
    Setting(
        "top_p", "top p", "1", "Draw from the likeliest of this share.", least=0, most=1, open=True
    ),
    Setting("min_p", "min p", "0", "Draw from those this likely.", least=0, most=1),
    Setting("repetition_penalty", "repetition", "1", "Above 1: fewer of them.", least=0, open=True),
    Setting("max_new_tokens", "tokens", "200", "At most so many are written.", int, least=1),
    Setting("seed", "seed", "", "The same, the same text.", int, 0, 2**63 - 1, optional=True),
    Setting("stop", "stop at", "", "End before this text.", str, optional=True),
    Setting("system", "system", "", "How to answer.", str, optional=True),
)
_OPTIONS = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty")
_HELP = (
    "/retry answers again, /undo takes the last question back, /reset forgets all;"
    " // sends a text that begins with /"
)


@dataclass(slots=True)
class Turn:
    """A question and its answer, as far as it is there; without a chat, a text and how it goes on.

    `kept`: the model reads it with the next question.
    """

    question: str
    shown: "Entry"
    answer: str = ""
    kept: bool = False


class Entry(Static):
    """A question and its answer in the transcript."""

    def __init__(self, question: str, *, chat: bool) -> None:
        super().__init__(classes="entry", markup=False)
        self._question, self._chat = question, chat
        self._now = ("", "", True)

    def write(self, answer: str, note: str = "", *, pending: bool = False) -> None:
        """Show the answer as it is now."""
        self._now = (answer, note, pending)
        self.draw()

    def draw(self) -> None:
        """Draw it anew, in the colours of now."""
        answer, note, pending = self._now
        colours = self.app.theme_variables
        text = Text() if self._chat else Text(visible(self._question), "bold")
        text.append(visible(answer), "not bold")
        if pending:
            text.append("▌", colours["accent"])
        if note:
            text.append(f"\n{note}", f"not bold italic {colours['muted']}")
        if not self._chat:
            self.update(text)
            return
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_row(Text("you", colours["muted"]), Text(visible(self._question)))
        table.add_row(Text("model", f"bold {colours['accent']}"), text)
        self.update(table)


class TextScreen(PlayPage):
    """A language model: it writes, or answers."""

    ABOUT: ClassVar[str] = "let a run's model write, or talk to it."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+r", "again", "Again", tooltip="Another answer to the last question"),
        Binding("f2", "settings", "Settings", tooltip="Go to the settings, and back"),
        Binding("ctrl+l", "forget", "Clear", show=False, tooltip="Forget all that was said"),
    ]

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        sources = run.meta.spec.get("data", {}).get("sources", {})
        talks = any(source.get("kind") == "dialogues" for source in sources.values())
        self.mode = Choice(["chat", "write"], id="mode")
        self.mode.set_reactive(Choice.value, "chat" if talks else "write")
        self.turns: list[Turn] = []
        self._shown_at = 0.0
        self._follows, self._at = True, 0

    def body(self) -> ComposeResult:
        """What was said, a line about what goes on, where to write; settings beside it."""
        above = (("mode", self.mode), ("checkpoint", self.checkpoint), ("device", self.device))
        with Horizontal(id="play"):
            with Vertical(id="talk"):
                yield VerticalScroll(Static(id="invitation"), id="transcript", can_focus=True)
                yield Static(id="status")
                yield Prompt("", id="prompt")
            yield Settings(SETTINGS, above, id="settings")

    def on_mount(self) -> None:
        """Begin where to write."""
        super().on_mount()
        self._set_mode()
        self.query_one(Prompt).focus()

    def on_resize(self) -> None:
        """In a narrow terminal the settings come by their key alone."""
        super().on_resize()
        self._arrange()

    def _arrange(self) -> None:
        settings = self.query_one(Settings)
        narrow = self.size.width < 90
        self.query_one("#play").set_class(narrow, "narrow")
        settings.display = not narrow or settings.has_focus_within
        self.query_one("#talk").display = not (narrow and settings.has_focus_within)

    @property
    def chats(self) -> bool:
        """Whether what is written is a question in a chat."""
        return self.mode.value == "chat"

    def _set_mode(self) -> None:
        settings, prompt = self.query_one(Settings), self.query_one(Prompt)
        settings.show("stop", not self.chats)
        settings.show("system", self.chats)
        prompt.placeholder = "say something" if self.chats else "the beginning of a text"
        self.query_one("#invitation", Static).update(Text(self._invitation()))

    def _invitation(self) -> str:
        if self.chats:
            return f"Say something, and the model answers.\n\n{_HELP}"
        return "Begin a text, and the model goes on with it. Nothing at all begins one, too."

    def draw(self) -> None:
        """Draw all that was said."""
        for turn in self.turns:
            turn.shown.draw()

    def model_is_there(self) -> None:
        """Offer a chat if it can have one."""
        assert self.loaded is not None
        self.mode.offer(["chat", "write"] if self.loaded["chat"] else ["write"])

    @on(Choice.Changed, "#mode")
    def _change_mode(self) -> None:
        self._set_mode()
        self.action_forget()

    def action_settings(self) -> None:
        """Go to the settings, or back from there."""
        settings = self.query_one(Settings)
        if settings.has_focus_within:
            self._leave_settings()
        else:
            settings.display = True
            self.mode.focus()
            self.call_after_refresh(self._arrange)

    def _leave_settings(self) -> None:
        self.query_one("#talk").display = True
        self.query_one(Prompt).focus()
        self.call_after_refresh(self._arrange)

    def leave_input(self) -> None:
        """From the settings to the prompt, from there to the transcript."""
        if self.query_one(Settings).has_focus_within:
            self._leave_settings()
        else:
            self.query_one("#transcript").focus()

    # Asking

    @on(Prompt.Sent)
    def _send(self, event: Prompt.Sent) -> None:
        text = event.text
        if self.busy:
            self.say("Esc stops this answer, and then there is room for the next", wrong=True)
            return
        try:
            done = self._send_chat(text) if self.chats else self._begin(text)
        except (ValueError, UsageError) as error:
            self.say(str(error), wrong=True)
            return
        if done:
            self.query_one(Prompt).clear()

    def _send_chat(self, text: str) -> bool:
        if text.startswith("//"):
            text = text[1:]
        elif text.startswith("/"):
            return self._command(text[1:].strip())
        return self._begin(text) if text.strip() else False

    def _command(self, name: str) -> bool:
        known = {"retry": self.action_again, "undo": self._undo, "reset": self.action_forget}
        if name not in known:
            raise UsageError(_HELP)
        known[name]()
        return True

    def action_again(self) -> None:
        """Another answer to the last question."""
        if self.busy:
            self.say("Esc stops this answer, and then there is room for another", wrong=True)
        elif not self.turns:
            self.say("there is no question to ask again", wrong=True)
        else:
            last = self.turns[-1]
            try:
                self._ask(last.question, self._said(self.turns[:-1]), last)
            except ValueError as error:
                self.say(str(error), wrong=True)

    def _undo(self) -> None:
        if not self.turns:
            raise UsageError("there is nothing to take back")
        self.turns.pop().shown.remove()
        self.say("taken back")

    def action_forget(self) -> None:
        """Forget all that was said."""
        if self.busy:
            self.stop_answer()
        for turn in self.turns:
            turn.shown.remove()
        self.turns.clear()
        self.query_one("#invitation").display = True

    def _begin(self, text: str) -> bool:
        turn = Turn(text, Entry(text, chat=self.chats))
        if not self._ask(text, self._said(self.turns), turn):
            return False
        self.turns.append(turn)
        self.query_one("#invitation").display = False
        transcript = self.query_one("#transcript", VerticalScroll)
        transcript.mount(turn.shown)
        transcript.scroll_end(animate=False)
        self._follows, self._at = True, 0
        return True

    def _said(self, turns: list[Turn]) -> list[dict[str, str]]:
        """What the model reads before a question; a text that it goes on with has nothing."""
        return [
            {"role": role, "content": content}
            for turn in turns
            if turn.kept
            for role, content in (("user", turn.question), ("assistant", turn.answer))
        ]

    def _ask(self, text: str, said: list[dict[str, str]], turn: Turn) -> bool:
        """Ask for an answer. Raises ValueError for a setting that is wrong."""
        settings = self.query_one(Settings).read()
        seed = secrets.randbelow(_SEEDS) if settings["seed"] is None else settings["seed"]
        facts = {
            "options": {key: settings[key] for key in _OPTIONS},
            "max_new_tokens": settings["max_new_tokens"],
            "seed": seed,
        }
        if self.chats:
            if settings["system"]:
                said = [{"role": "system", "content": settings["system"]}, *said]
            begun = self.ask("chat", question=text, said=said, **facts)
        else:
            stop = [settings["stop"]] if settings["stop"] else []
            begun = self.ask("write", prompt=text, stop=stop, **facts)
        if begun:
            turn.answer, turn.kept = "", False
            turn.shown.write("", pending=True)
            if self.loaded is not None:
                self.say("writing; Esc stops it")
        return begun

    # Answers

    def hear(self, row: dict[str, Any]) -> None:
        """Show what came, and how it ended."""
        turn = self.turns[-1]
        transcript = self.query_one("#transcript", VerticalScroll)
        at = transcript.scroll_offset.y  # lower than before: somebody scrolled up, to look back
        self._follows = at >= transcript.max_scroll_y or (self._follows and at >= self._at)
        self._at = at
        if row["kind"] == "piece":
            turn.answer += row["text"]
            # A long text takes long to draw.
            if time.monotonic() - self._shown_at > 0.1 + len(turn.answer) / 40_000:
                turn.shown.write(turn.answer, pending=True)
                self._shown_at = time.monotonic()
        else:
            turn.kept = bool(turn.answer)
            turn.shown.write(turn.answer, self._note(row, turn))
            self._say_speed(row)
        if self._follows:
            transcript.scroll_end(animate=False)

    def _say_speed(self, row: dict[str, Any]) -> None:
        speed = ""
        if row["seconds"] > 0:
            speed = f", {row['characters'] / row['seconds']:,.0f} a second"
        self.say(f"{row['characters']:,} characters in {format_duration(row['seconds'])}{speed}")

    def _note(self, row: dict[str, Any], turn: Turn) -> str:
        notes = []
        if row.get("dropped"):
            count = "message" if row["dropped"] == 1 else f"{row['dropped']} messages"
            notes.append(f"the oldest {count} left out: there is no room for more")
        if row["ending"] == "stopped":
            notes.append("stopped")
        elif not turn.answer:
            notes.append("nothing: the model ended here")
        elif row["ending"] == "length":
            notes.append("ends at its limit of tokens")
        return f"({'; '.join(notes)})" if notes else ""

    def answered(self, row: dict[str, Any] | None) -> None:
        """Keep what there is of an answer that ended before its time."""
        if self.turns:
            turn = self.turns[-1]
            turn.kept = bool(turn.answer)
            turn.shown.write(turn.answer, "(cancelled)" if row is None else "(failed)")
