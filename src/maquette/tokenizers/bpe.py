"""Byte-level byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909; GPT-2's byte level).

The alphabet holds all 256 bytes, so any text can be encoded; merges never cross the borders of
GPT-2's pre-tokenizer (words with their leading space, numbers, punctuation, runs of whitespace).
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maquette.errors import DataError
from maquette.tokenizers.bytes import to_utf8
from maquette.tokenizers.special import CHAT_TOKENS, END_OF_TEXT, SPECIAL_TOKENS
from tokenizers import Tokenizer as Library
from tokenizers import decoders, models, pre_tokenizers, trainers

# The library warns on every fork after it has used threads, unless this is set. A forked child
# has lost those threads and must not wait for them, so it encodes on one.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        after_in_child=lambda: os.environ.__setitem__("TOKENIZERS_PARALLELISM", "false")
    )

TRAINING_CHARACTERS = 32_000_000
"""The merges are learned from at most so much text; more changes them little and takes memory."""
MINIMUM_COUNT = 2  # a pair seen once teaches nothing


class BPETokenizer:
    """Byte-level BPE around a trained `tokenizers.Tokenizer`; the special tokens come first."""

    kind = "bpe"

    def __init__(self, library: Library) -> None:
        end_of_text = library.token_to_id(END_OF_TEXT)
        if end_of_text is None:
            raise ValueError(f"the tokenizer has no {END_OF_TEXT} token")
        library.encode_special_tokens = True  # typed specials are text; this is not in the file
        self._library = library
        self._bytes = _bytes_of_ids(library)
        self.vocabulary: int = library.get_vocab_size()
        self.end_of_text: int = end_of_text
        self.chat_tokens: Mapping[str, int] | None = _chat_tokens(library)

    def encode(self, text: str) -> NDArray[np.uint32]:
        """The ids of a text, shape (T,). Special tokens typed in the text are plain text."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[NDArray[np.uint32]]:
        """The ids of several texts, on all cores. Takes about 200 bytes a token while it works."""
        clean = [text if text.isascii() else to_utf8(text).decode() for text in texts]
        encodings = self._library.encode_batch(clean, add_special_tokens=False)
        return [np.array(encoding.ids, dtype=np.uint32) for encoding in encodings]

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The exact bytes of some ids; special tokens give none."""
        return b"".join(self._bytes[i] for i in ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of some ids; bytes that aren't UTF-8 become U+FFFD."""
        return self.decode_bytes(ids).decode(errors="replace")

    def token_bytes(self) -> NDArray[np.int32]:
        """How many bytes of text each id stands for, shape (vocabulary,); 0 for special tokens."""
        return np.array([len(piece) for piece in self._bytes], dtype=np.int32)

    def digest(self) -> str:
        """SHA-256 of all that it is."""
        return hashlib.sha256(self._library.to_str().encode()).hexdigest()

    def save(self, path: Path) -> None:
        """Write it as the `tokenizers` library's own tokenizer.json, which others read too."""
        path.write_text(self._library.to_str(pretty=True), encoding="utf-8")


def read_bpe(path: Path) -> BPETokenizer:
    """The tokenizer that was saved at `path`. Raises DataError when it can't be read."""
    try:
        return BPETokenizer(Library.from_str(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror or error}") from error
    except Exception as error:  # the library raises bare Exception for a file it doesn't know
        raise DataError(f"{path}: is not a tokenizer: {error}") from error


def train_bpe(texts: Iterable[str], vocabulary: int) -> BPETokenizer:
    """Learn `vocabulary` tokens, the special ones and the 256 bytes among them.

    Reads at most TRAINING_CHARACTERS, one text after another, and keeps word counts only; the same
    texts give the same tokenizer. Raises DataError when the texts hold too few different pairs.
    """
    library = Library(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    library.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=MINIMUM_COUNT,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    library.train_from_iterator(_at_most(TRAINING_CHARACTERS, texts), trainer=trainer)
    reached = library.get_vocab_size()
    if reached < vocabulary:
        raise DataError(
            f"tokenizer.vocabulary={vocabulary} is too large for this text: "
            f"it has enough repeated pairs for {reached} tokens",
            hint=f"set tokenizer.vocabulary to {reached} or less, or add training text",
        )
    return BPETokenizer(library)


def _chat_tokens(library: Library) -> dict[str, int] | None:
    specials = {str(token): i for i, token in library.get_added_tokens_decoder().items()}
    if not all(token in specials for token in CHAT_TOKENS.values()):
        return None
    return {name: specials[token] for name, token in CHAT_TOKENS.items()}


def _at_most(characters: int, texts: Iterable[str]) -> Iterator[str]:
    left = characters
    for text in texts:
        yield to_utf8(text[:left]).decode()
        left -= len(text)
        if left <= 0:
            return


def _bytes_of_ids(library: Library) -> list[bytes]:
    to_byte = _byte_of_character()
    specials = library.get_added_tokens_decoder()
    pieces = {i: token for token, i in library.get_vocab().items()}
    return [
        b"" if i in specials else bytes(to_byte[c] for c in pieces[i]) for i in range(len(pieces))
    ]


def _byte_of_character() -> dict[str, int]:
    """GPT-2's alphabet: printable Latin-1 stands for itself, other bytes for U+0100 upwards."""
    printable = {*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    return {
        **{chr(byte): byte for byte in printable},
        **{chr(256 + n): byte for n, byte in enumerate(others)},
    }
