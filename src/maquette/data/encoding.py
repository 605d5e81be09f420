"""Pieces of text to token ids, a batch at a time."""

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from maquette.data.text.piece import Piece
from maquette.tokenizers.base import Tokenizer

BATCH_CHARACTERS = 1 << 20


def batched(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Lists of pieces, of about BATCH_CHARACTERS each."""
    batch: list[Piece] = []
    characters = 0
    for piece in pieces:
        batch.append(piece)
        characters += len(piece.text)
        if characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


class Encoder(Protocol):
    """Pieces of one split of a source to ids, in their order."""

    def encode(self, batch: list[Piece]) -> tuple[NDArray[np.uint32], bytes]:
        """The ids of a batch, shape (N,), and a byte for each that says whether it is learned.

        No bytes where all of them are.
        """
        ...


class TextEncoder:
    """Documents to ids, each with the end of text behind it."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def encode(self, batch: list[Piece]) -> tuple[NDArray[np.uint32], bytes]:
        """The ids of a batch, shape (N,); all of them are learned."""
        end = np.array([self._tokenizer.end_of_text], dtype=np.uint32)
        ids: list[NDArray[np.uint32]] = []
        encodings = self._tokenizer.encode_batch([piece.text for piece in batch])
        for piece, encoded in zip(batch, encodings, strict=True):
            ids += [encoded, end] if piece.last else [encoded]
        return np.concatenate(ids), b""
