"""The unit in which every text source hands out its documents."""

from typing import NamedTuple


class Piece(NamedTuple):
    """Part of a document, small enough to hold in memory; `last` ends the document."""

    text: str
    last: bool
