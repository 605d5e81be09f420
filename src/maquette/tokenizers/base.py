"""What every tokenizer can do."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Tokenizer(Protocol):
    """Text <-> token ids.

    `end_of_text` is the id between documents: `<|endoftext|>`, or byte 0, which text never has.
    `chat_tokens` are the ids of the special tokens in `chat.CHAT_TOKENS`, by name; None for bytes,
    which need none, and for BPE tokenizers from before there were any.
    """

    kind: str
    vocabulary: int
    end_of_text: int
    chat_tokens: Mapping[str, int] | None

    def encode(self, text: str) -> NDArray[np.uint32]:
        """The ids of a text, shape (T,). Special tokens typed in the text are plain text."""
        ...

    def encode_batch(self, texts: Sequence[str]) -> list[NDArray[np.uint32]]:
        """The ids of several texts."""
        ...

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The exact bytes of some ids; special tokens give none."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of some ids; bytes that aren't UTF-8 become U+FFFD."""
        ...

    def token_bytes(self) -> NDArray[np.int32]:
        """How many bytes of text each id stands for, shape (vocabulary,); 0 for special tokens."""
        ...

    def save(self, path: Path) -> None:
        """Write it as tokenizer.json."""
        ...
