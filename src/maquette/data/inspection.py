"""Look at prepared data: the documents, a sample of the tokens, copies across the splits."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.data.prepare import Prepared

BLOCK_TOKENS = 1 << 20
EXAMPLE_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Validation documents of one source that are also in the training text, word for word."""

    documents: int
    of: int
    example: str | None  # how one of them begins


def documents(tokens: NDArray[Any], end_of_text: int) -> Iterator[tuple[int, int]]:
    """Where each document begins and ends, without its end_of_text; reads a block at a time."""
    start = 0
    for block in range(0, len(tokens), BLOCK_TOKENS):
        ends = np.flatnonzero(tokens[block : block + BLOCK_TOKENS] == end_of_text) + block
        for end in ends.tolist():
            yield start, end
            start = end + 1
    if start < len(tokens):
        yield start, len(tokens)


@dataclass(frozen=True, slots=True)
class Sampled:
    """A token: its id, its bytes, and whether chat fine-tuning learns it (None: no dialogue).

    The bytes of a special token are its name; end_of_text has none.
    """

    id: int
    data: bytes
    trained: bool | None = None


def sample(prepared: Prepared, source: str, split: str, count: int) -> list[Sampled]:
    """The first `count` tokens of a split."""
    tokenizer = prepared.tokenizer
    specials = {i: f"<|{name}|>".encode() for name, i in (tokenizer.chat_tokens or {}).items()}
    specials[tokenizer.end_of_text] = b""
    ids = prepared.tokens(split)[source][:count].tolist()
    mask = prepared.masks(split).get(source)
    trained = [None] * len(ids) if mask is None else [bool(bit) for bit in mask[:count]]
    return [
        Sampled(i, specials[i] if i in specials else tokenizer.decode_bytes([i]), bit)
        for i, bit in zip(ids, trained, strict=True)
    ]


def duplicates(prepared: Prepared) -> dict[str, Duplicates]:
    """Source -> its validation documents that some source trains on too.

    Compares 64-bit hashes of the tokens, so memory is that of the validation split's hashes.
    """
    end = prepared.tokenizer.end_of_text
    held_out = prepared.tokens("validation")
    hashes = {
        name: np.fromiter(_hashes(tokens, end), dtype=np.uint64)
        for name, tokens in held_out.items()
    }
    wanted = {int(h) for each in hashes.values() for h in each}
    seen = {
        h
        for tokens in prepared.tokens("train").values()
        for h in _hashes(tokens, end)
        if h in wanted
    }
    found = {}
    for name, each in hashes.items():
        copies = np.flatnonzero(np.isin(each, np.fromiter(seen, dtype=np.uint64)))
        example = None
        if len(copies):
            span = next(islice(documents(held_out[name], end), int(copies[0]), None))
            example = _beginning(prepared, held_out[name], span)
        found[name] = Duplicates(len(copies), len(each), example)
    return found


def _hashes(tokens: NDArray[Any], end_of_text: int) -> Iterator[int]:
    for start, stop in documents(tokens, end_of_text):
        digest = hashlib.blake2b(digest_size=8)
        for block in range(start, stop, BLOCK_TOKENS):
            digest.update(tokens[block : min(stop, block + BLOCK_TOKENS)].tobytes())
        yield int.from_bytes(digest.digest(), "little")


def _beginning(prepared: Prepared, tokens: NDArray[Any], span: tuple[int, int]) -> str:
    start, stop = span
    ids = tokens[start : min(stop, start + EXAMPLE_CHARACTERS)].tolist()
    text = " ".join(prepared.tokenizer.decode(ids).split())
    return text[:EXAMPLE_CHARACTERS]
