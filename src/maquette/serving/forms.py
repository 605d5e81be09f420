"""How an answer looks in each of the two APIs: whole, and as chunks of a stream."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from maquette.generation.batching import Chance, End
from maquette.tokenizers.base import Tokenizer

Chances = Sequence[tuple[int, Chance]]
Json = dict[str, Any]


class Form(Protocol):
    """One API's way to write a choice."""

    name: str
    """Of a whole answer."""
    chunk: str
    """Of a part of a stream."""
    prefix: str
    """Of an answer's id."""

    def opening(self, index: int) -> Json | None:
        """The choice in a stream's first chunk, if there is one."""
        ...

    def part(self, index: int, text: str, chances: Chances | None, end: End | None) -> Json:
        """The choice in another chunk."""
        ...

    def whole(self, index: int, text: str, chances: Chances | None, end: End | None) -> Json:
        """The choice in an answer that isn't streamed."""
        ...


@dataclass(frozen=True, slots=True)
class ChatForm:
    """/v1/chat/completions."""

    tokenizer: Tokenizer
    name = "chat.completion"
    chunk = "chat.completion.chunk"
    prefix = "chatcmpl-"

    def opening(self, index: int) -> Json | None:
        """Who speaks."""
        delta = {"role": "assistant", "content": ""}
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}

    def part(self, index: int, text: str, chances: Chances | None, end: End | None) -> Json:
        """More of what is said."""
        logprobs = self._logprobs(chances)
        delta = {"content": text} if text else {}
        return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": end}

    def whole(self, index: int, text: str, chances: Chances | None, end: End | None) -> Json:
        """The message."""
        message = {"role": "assistant", "content": text, "refusal": None}
        logprobs = self._logprobs(chances)
        return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": end}

    def _logprobs(self, chances: Chances | None) -> Json | None:
        if chances is None:
            return None
        content = [
            {
                **self._token(chance.token, chance.logprob),
                "top_logprobs": [self._token(*one) for one in chance.alternatives],
            }
            for _, chance in chances
        ]
        return {"content": content, "refusal": None}

    def _token(self, token: int, logprob: float) -> Json:
        data = self.tokenizer.decode_bytes((token,))
        text = data.decode(errors="replace")
        return {"token": text, "logprob": max(logprob, LOWEST), "bytes": list(data)}


LOWEST = -9999.0
"""What stands for a chance of nothing: JSON has no infinity."""


@dataclass(frozen=True, slots=True)
class CompletionForm:
    """/v1/completions."""

    tokenizer: Tokenizer
    name = "text_completion"
    chunk = "text_completion"
    prefix = "cmpl-"

    def opening(self, index: int) -> Json | None:  # noqa: ARG002
        """Nothing: the text begins at once."""
        return None

    def part(self, index: int, text: str, chances: Chances | None, end: End | None) -> Json:
        """More text."""
        return self.whole(index, text, chances, end)

    def whole(self, index: int, text: str, chances: Chances | None, end: End | None) -> Json:
        """The text."""
        logprobs = self._logprobs(chances)
        return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": end}

    def _logprobs(self, chances: Chances | None) -> Json | None:
        if chances is None:
            return None
        return {
            "tokens": [self._text(chance.token) for _, chance in chances],
            "token_logprobs": [max(chance.logprob, LOWEST) for _, chance in chances],
            "top_logprobs": [
                {self._text(token): max(value, LOWEST) for token, value in chance.alternatives}
                for _, chance in chances
            ],
            "text_offset": [begin for begin, _ in chances],
        }

    def _text(self, token: int) -> str:
        data = self.tokenizer.decode_bytes((token,))
        try:
            return data.decode()
        except UnicodeDecodeError:  # else all of these would be one key
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in data)
