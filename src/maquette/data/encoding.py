"""Pieces of text to token ids, a batch at a time; of dialogues, what the assistant says too."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from maquette.data.text.piece import Piece
from maquette.tokenizers import chat
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


class Encoder:
    """Pieces to ids, in their order; of turns of dialogues, the mask too."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._speaker: str | None = None  # of the turn before, in the same dialogue
        self.lengths = tokenizer.token_bytes().astype(np.int64)  # bytes that each id stands for

    def encode(self, batch: list[Piece]) -> tuple[NDArray[np.uint32], bytes]:
        """The ids of a batch, shape (N,), and a byte for each; no bytes where nobody speaks."""
        end = np.array([self._tokenizer.end_of_text], dtype=np.uint32)
        ids: list[NDArray[np.uint32]] = []
        mask: list[bytes] = []
        for piece, encoded in zip(batch, self._pieces(batch), strict=True):
            ids += [encoded, end] if piece.last else [encoded]
            if piece.role is not None:
                mask.append(self._mask(piece.role, len(encoded), last=piece.last))
        return np.concatenate(ids), b"".join(mask)

    def _pieces(self, batch: list[Piece]) -> list[NDArray[np.uint32]]:
        turns = [(piece.role, piece.text) for piece in batch if piece.role is not None]
        if not turns:
            return self._tokenizer.encode_batch([piece.text for piece in batch])
        assert len(turns) == len(batch), "a source holds either dialogues or text"
        encoded = chat.encode_turns(self._tokenizer, turns)
        return [np.array(ids, dtype=np.uint32) for ids in encoded]

    def _mask(self, role: str, length: int, *, last: bool) -> bytes:
        mask = chat.turn_mask(self._tokenizer, role, length, after=self._speaker)
        self._speaker = None if last else role
        return mask + bytes([role == "assistant"]) if last else mask
