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
    stops = _Stops(stop)
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
    return _pieces(tokens, tokenizer, stops)


def _pieces(tokens: Iterator[int], tokenizer: Tokenizer, stops: "_Stops") -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for token in tokens:
        piece = stops.feed(decoder.decode(tokenizer.decode_bytes((token,))))
        if piece:
            yield piece
        if stops.found:
            return
    rest = stops.feed(decoder.decode(b"", final=True)) + stops.flush()
    if rest:
        yield rest


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
