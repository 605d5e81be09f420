"""Documents in pieces: what every text source hands out, and where a document may be cut."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Piece(NamedTuple):
    """Part of a document, small enough to hold in memory; `last` ends the document.

    With a `role` it is a whole turn of a dialogue, and `text` is what was said.
    """

    text: str
    last: bool
    role: str | None = None


PIECE_CHARACTERS = 8192
"""Long documents are tokenized in pieces of about this size: flat memory, and all cores busy."""
LONGEST_PIECE = 262_144
"""Text without any safe place to cut is cut after so many characters, wherever that is."""


def cut_safely(
    pieces: Iterable[Piece], size: int = PIECE_CHARACTERS, longest: int = LONGEST_PIECE
) -> Iterator[Piece]:
    """Cut documents anew, where no token and no word of GPT-2's pre-tokenizer crosses the cut.

    The incoming pieces may be cut anywhere and be of any length. The outgoing ones have about
    `size` characters, `longest` at most; their tokens, one after another, are those of the whole
    document, except around a cut that had to be made in `longest` characters with no safe place.
    A turn of a dialogue stays whole.
    """
    held = ""
    for piece in pieces:
        if piece.role is not None:
            assert not held, "a document is either turns or text"
            yield piece
            continue
        text = held + piece.text if held else piece.text
        start = 0
        while len(text) - start > size:
            end = _last_safe_cut(text, start, start + size)
            if end is None:
                end = _first_safe_cut(text, start + size, start + longest)
            if end is None:
                if len(text) - start <= longest:
                    break
                end = start + longest
            yield Piece(text[start:end], last=False)
            start = end
        held = text[start:]
        if piece.last:
            yield Piece(held, last=True)
            held = ""


def _safe(text: str, at: int) -> bool:
    """Whether `text[at-1:at+1]` may be parted: at a lone newline's end or a lone space's start.

    Lone, because a run of whitespace is one token except for its last character.
    """
    if text[at - 1] == "\n":
        return at >= 2 and not text[at - 2].isspace() and not text[at].isspace()
    return text[at] == " " and not text[at - 1].isspace() and not text[at + 1].isspace()


def _last_safe_cut(text: str, low: int, high: int) -> int | None:
    """The last safe cut in (low, high]; needs two characters after it."""
    high = min(high, len(text) - 2)
    while high > low:
        newline, space = text.rfind("\n", low, high), text.rfind(" ", low + 1, high + 1)
        at = max(newline + 1, space)
        if at <= low:
            return None
        if _safe(text, at):
            return at
        high = at - 1
    return None


def _first_safe_cut(text: str, low: int, high: int) -> int | None:
    """The first safe cut in [low, high]; needs two characters after it."""
    high = min(high, len(text) - 2)
    while low <= high:
        found = [
            at
            for at in (text.find("\n", low - 1, high) + 1, text.find(" ", low, high + 1))
            if at >= low
        ]
        if not found:
            return None
        if _safe(text, min(found)):
            return min(found)
        low = min(found) + 1
    return None
