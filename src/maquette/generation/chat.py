"""Conversations with a model: what was said, what of it the model reads, and its answers."""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

from maquette.errors import UsageError
from maquette.generation.decode import generate
from maquette.generation.sampling import SamplingOptions
from maquette.generation.text import TextStream
from maquette.models.gpt import GPT
from maquette.tokenizers import chat
from maquette.tokenizers.base import Tokenizer
from maquette.tokenizers.bytes import to_utf8

ANSWER_SHARE = 4
"""One part in so many of the context is kept free for an answer, if it may be that long."""
SEEDS = 2**63


@dataclass(frozen=True, slots=True)
class Said:
    """A message; `stopped` marks an answer that was stopped before its end."""

    role: str
    content: str
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model reads of a conversation: the ids, and how many messages were left out."""

    ids: list[int]
    dropped: int


@dataclass(frozen=True, slots=True)
class Settings:
    """How answers are drawn. Each answer takes another seed: `seed`, `seed` + 1, ..."""

    options: SamplingOptions = field(default_factory=SamplingOptions)
    max_new_tokens: int = 200
    seed: int = 0


def fit_chat(
    tokenizer: Tokenizer, messages: Sequence[chat.Message], *, context: int, answer: int
) -> Prompt:
    """The prompt of a chat without the oldest messages, if not all of them leave room to answer.

    The system message, if one comes first, and the last message stay; what is dropped ends before
    a user's message. `answer` tokens are wanted for the answer; up to a quarter of the context is
    kept for them, but the last message may take all but one of the tokens. Raises UsageError if it
    doesn't fit even alone, and as `chat.encode_chat` does.
    """
    turns = chat.encode_turns(tokenizer, [(m["role"], m["content"]) for m in messages])
    opening = chat.encode_chat(tokenizer, [])
    first = 1 if messages and messages[0]["role"] == "system" else 0
    fixed = sum(map(len, turns[:first])) + len(opening)
    room = context - fixed - min(answer, context // ANSWER_SHARE)
    start, used = len(turns), 0
    for place in range(len(turns) - 1, first - 1, -1):
        used += len(turns[place])
        if used > room and place < len(turns) - 1:
            break
        if messages[place]["role"] == "user" or place == first:
            start = place
    start = min(start, max(first, len(turns) - 1))
    ids = [i for turn in (*turns[:first], *turns[start:]) for i in turn] + opening
    if len(ids) >= context:
        raise UsageError(
            f"too long: with the system message that is {len(ids):,} tokens,"
            f" and the model reads {context - 1:,} at most",
            hint="say it in fewer words, or shorten the system message",
        )
    return Prompt(ids, start - first)


class Conversation:
    """What a person and a model said to each other; questions and answers take turns.

    A question that got no answer, or none with a word in it, isn't part of it, but `retry` asks it
    again. Raises UsageError for a tokenizer that can't chat, or a system message that is too long.
    """

    def __init__(self, model: GPT, tokenizer: Tokenizer, *, system: str = "") -> None:
        chat.check_chat(tokenizer)
        self.model = model
        self.tokenizer = tokenizer
        self.said: list[Said] = []
        self.unanswered = ""
        self.asked = 0  # answers begun since the seed was set
        self._system = ""
        self.system = system

    @property
    def context(self) -> int:
        """Tokens that the model reads at once."""
        return self.model.shape.context

    @property
    def system(self) -> str:
        """The system message, which stands before everything else; empty for none."""
        return self._system

    @system.setter
    def system(self, content: str) -> None:
        content = _clean(content)
        if content:
            messages = [{"role": "system", "content": content}]
            fit_chat(self.tokenizer, messages, context=self.context, answer=0)
        self._system = content

    def messages(self) -> list[dict[str, object]]:
        """Everything said, the system message first, as JSON has it."""
        system = [Said("system", self._system)] if self._system else []
        rows = [asdict(said) for said in (*system, *self.said)]
        return [{k: v for k, v in row.items() if k != "stopped" or v} for row in rows]

    def load(self, messages: Sequence[tuple[str, str]]) -> None:
        """Put other messages (role, content) in place of all that was said.

        Those of one role in a row become one; a last question without an answer is `unanswered`.
        """
        said: list[Said] = []
        for role, content in messages:
            if said and said[-1].role == role:
                content = f"{said.pop().content}\n{content}"
            said.append(Said(role, _clean(content)))
        system = said.pop(0).content if said and said[0].role == "system" else ""
        unanswered = said.pop().content if said and said[-1].role == "user" else ""
        self.system = system
        self.said, self.unanswered = said, unanswered

    def reset(self) -> None:
        """Forget all that was said; the system message stays."""
        self.said, self.unanswered = [], ""

    def undo(self) -> str:
        """Take back the last question with its answer; returns it. Raises UsageError."""
        if self.unanswered:
            question, self.unanswered = self.unanswered, ""
            return question
        if not self.said:
            raise UsageError("there is nothing to take back")
        self.said.pop()
        return self.said.pop().content if self.said else ""

    def ask(
        self, content: str, settings: Settings, *, stopped: Callable[[], bool] = lambda: False
    ) -> "Answer":
        """The answer to a message, written while it is iterated over.

        When `stopped` says so it ends before the next token. Raises UsageError for an empty message
        or one that is too long.
        """
        content = _clean(content)
        if not content:
            raise UsageError("an empty message")
        return self._answer(self.said, content, settings, stopped, unanswered=content)

    def retry(self, settings: Settings, *, stopped: Callable[[], bool] = lambda: False) -> "Answer":
        """Another answer to the last question, in place of the one there is. Raises UsageError."""
        if self.unanswered:
            return self.ask(self.unanswered, settings, stopped=stopped)
        if len(self.said) < 2:
            raise UsageError("there is no question to ask again")
        question = self.said[-2].content
        return self._answer(self.said[:-2], question, settings, stopped, unanswered="")

    def _answer(
        self,
        before: list[Said],
        question: str,
        settings: Settings,
        stopped: Callable[[], bool],
        *,
        unanswered: str,
    ) -> "Answer":
        turns = [Said("system", self._system), *before, Said("user", question)]
        messages = [{"role": s.role, "content": s.content} for s in turns if s.content]
        prompt = fit_chat(
            self.tokenizer, messages, context=self.context, answer=settings.max_new_tokens
        )
        seed = (settings.seed + self.asked) % SEEDS
        self.asked += 1

        def keep(answer: Answer) -> None:
            if answer.text:
                said = Said("assistant", answer.text, stopped=answer.ending == "stopped")
                self.said = [*before, Said("user", question), said]
                self.unanswered = ""
            else:
                self.unanswered = unanswered

        return Answer(self.model, self.tokenizer, prompt, settings, seed, stopped, keep)


class Answer:
    """An answer: its pieces when iterated over, once; `text` and `ending` tell of it afterwards."""

    def __init__(
        self,
        model: GPT,
        tokenizer: Tokenizer,
        prompt: Prompt,
        settings: Settings,
        seed: int,
        stopped: Callable[[], bool],
        keep: Callable[["Answer"], None],
    ) -> None:
        self.prompt = prompt
        self.text = ""
        self.ending: Literal["complete", "length", "stopped"] = "complete"
        self._limit = settings.max_new_tokens
        self._stopped = stopped
        self._keep = keep
        tokens = generate(
            model,
            prompt.ids,
            max_new_tokens=settings.max_new_tokens,
            options=settings.options,
            seed=seed,
            stop_tokens=chat.stop_tokens(tokenizer),
        )
        text = TextStream(tokenizer, chat.stop_strings(tokenizer), trim=True)
        self._pieces = self._written(tokens, text)

    def __iter__(self) -> Generator[str]:
        try:
            for piece in filter(None, self._pieces):
                self.text += piece
                yield piece
        except BaseException:
            self.ending = "stopped"
            raise
        finally:
            self._keep(self)

    def _written(self, tokens: Iterator[int], text: TextStream) -> Iterator[str]:
        count = 0
        while not text.stopped:
            if self._stopped():
                self.ending = "stopped"
                break
            token = next(tokens, None)
            if token is None:
                self.ending = "length" if count >= self._limit else "complete"
                break
            count += 1
            yield text.feed(token)
        if not text.stopped:
            yield text.end()


def _clean(content: str) -> str:
    return chat.plain(to_utf8(content).decode())
