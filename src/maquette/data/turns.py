"""Turns of dialogues to token ids, and which of them the assistant says."""

import numpy as np
from numpy.typing import NDArray

from maquette.data.text.piece import Piece
from maquette.tokenizers.base import Tokenizer
from maquette.tokenizers.chat import encode_turns, turn_mask


class TurnEncoder:
    """Dialogues to ids, each with the end of text behind it, and a mask of what is learned."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._speaker: str | None = None  # of the turn before, in the same dialogue

    def encode(self, batch: list[Piece]) -> tuple[NDArray[np.uint32], bytes]:
        """The ids of a batch, shape (N,), and a byte for each: 1 for what the assistant says."""
        turns = [(piece.role, piece.text) for piece in batch if piece.role is not None]
        assert len(turns) == len(batch), "a source holds either dialogues or text"
        end = self._tokenizer.end_of_text
        ids: list[int] = []
        mask: list[bytes] = []
        for piece, (role, _), encoded in zip(
            batch, turns, encode_turns(self._tokenizer, turns), strict=True
        ):
            ids += [*encoded, end] if piece.last else encoded
            mask.append(self._mask(role, len(encoded), last=piece.last))
        return np.array(ids, dtype=np.uint32), b"".join(mask)

    def _mask(self, role: str, length: int, *, last: bool) -> bytes:
        mask = turn_mask(self._tokenizer, role, length, after=self._speaker)
        self._speaker = None if last else role
        return mask + bytes([role == "assistant"]) if last else mask
