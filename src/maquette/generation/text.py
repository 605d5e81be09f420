"""Text from a model, piece by piece: whole characters only, and never a part of a stop string."""

import codecs
from collections.abc import Iterator, Sequence

from maquette.generation.decode import generate
from maquette.generation.sampling import SamplingOptions
from maquette.models.gpt import GPT
from maquette.tokenizers.base import Tokenizer


def generate_text(
    model: GPT,
    tokenizer: Tokenizer,
    prompt: str,
    *,
    max_new_tokens: int,
    options: SamplingOptions | None = None,
    seed: int = 0,
    stop: Sequence[str] = (),
    use_cache: bool = True,
) -> Iterator[str]:
    """Continue a prompt in pieces of text; an empty one starts a document.

    Ends at the model's end of text, after `max_new_tokens`, or before the first stop string that
    the new text holds. All the pieces together are what the tokenizer decodes from the new tokens;
    U+FFFD stands for bytes that aren't UTF-8. Raises ValueError for an empty stop string, and what
    `decode.generate` raises.
    """
    text = TextStream(tokenizer, stop)
    ids = tokenizer.encode(prompt).tolist() or [tokenizer.end_of_text]
    tokens = generate(
        model,
        ids,
        max_new_tokens=max_new_tokens,
        options=options,
        seed=seed,
        stop_tokens=(tokenizer.end_of_text,),
        use_cache=use_cache,
    )
    return _pieces(tokens, text)


def _pieces(tokens: Iterator[int], text: "TextStream") -> Iterator[str]:
    for token in tokens:
        if piece := text.feed(token):
            yield piece
        if text.stopped:
            return
    if rest := text.end():
        yield rest


class TextStream:
    """Tokens in, text out: whole characters, and nothing of a stop string or after it.

    `trim`: without blanks at its edges, as an answer in a chat. Raises ValueError for an empty
    stop string.
    """

    def __init__(
        self, tokenizer: Tokenizer, stop: Sequence[str] = (), *, trim: bool = False
    ) -> None:
        self._tokenizer = tokenizer
        self._stops = _Stops(stop)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._trim, self._begun, self._blanks = trim, False, ""
        self.read = 0
        """Characters decoded so far."""
        self.passed = 0
        """Characters of these that can't be part of a stop string; blanks that were trimmed too."""

    @property
    def stopped(self) -> bool:
        """Whether a stop string was found: no text comes after it."""
        return self._stops.found

    def feed(self, token: int) -> str:
        """What can be shown once this token is there."""
        return self._take(self._decoder.decode(self._tokenizer.decode_bytes((token,))))

    def end(self) -> str:
        """What was held back, when no more tokens come."""
        return self._take(self._decoder.decode(b"", final=True)) + self._pass(self._stops.flush())

    def _take(self, text: str) -> str:
        self.read += len(text)
        return self._pass(self._stops.feed(text))

    def _pass(self, text: str) -> str:
        self.passed += len(text)
        if not self._trim:
            return text
        text = self._blanks + text if self._begun else text.lstrip()
        kept = text.rstrip()
        self._begun, self._blanks = self._begun or bool(kept), text[len(kept) :]
        return kept


class _Stops:
    """Lets text through as soon as it can't be part of a stop string any more."""

    def __init__(self, stop: Sequence[str]) -> None:
        if "" in stop:
            raise ValueError("a stop string can't be empty")
        self._stop = tuple(stop)
        self._held = ""
        self.found = False

    def feed(self, text: str) -> str:
        """Take more text; returns what is safe to show."""
        held = self._held + text
        # The one that is complete first counts, so that the cut between tokens changes nothing.
        ends = [(at + len(stop), at) for stop in self._stop if (at := held.find(stop)) >= 0]
        if ends:
            self.found, self._held = True, ""
            return held[: min(ends)[1]]
        keep = max((_overlap(held, stop) for stop in self._stop), default=0)
        self._held = held[len(held) - keep :]
        return held[: len(held) - keep]

    def flush(self) -> str:
        """What was held back, when no more text comes."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """The length of the longest end of a text that is a beginning, but not all, of a string."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
