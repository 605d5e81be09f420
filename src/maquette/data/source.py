"""What a source of text can do, and how its tokens are made."""

import contextlib
import heapq
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from maquette.data.encoding import Encoder, batched
from maquette.data.text.piece import Piece, cut_safely
from maquette.errors import DataError
from maquette.tokenizers.base import Tokenizer


class TextSource(Protocol):
    """Documents in splits, streamed so that memory stays flat."""

    @property
    def count_words(self) -> bool:
        """Whether words are counted as papers do: by whitespace, and one <eos> a line."""
        ...

    @property
    def encoder(self) -> Callable[[Tokenizer], Encoder]:
        """What makes ids of its pieces."""
        ...

    def fingerprint(self) -> Mapping[str, Any]:
        """What the text depends on, cheaply: another fingerprint, another text. JSON-ready."""
        ...

    def splits(self) -> tuple[str, ...]:
        """Train and validation, and test where there is one."""
        ...

    def pieces(self, split: str) -> Iterator[Piece]:
        """The documents of a split, in pieces."""
        ...


@runtime_checkable
class SizedSource(Protocol):
    """A source that knows beforehand about how many bytes a split has."""

    def expected_bytes(self, split: str) -> int:
        """Bytes to expect in a split."""
        ...


def expected_bytes(source: TextSource, split: str) -> int | None:
    """About how many bytes a split has, where that is known beforehand."""
    return source.expected_bytes(split) if isinstance(source, SizedSource) else None


@contextlib.contextmanager
def naming(name: str) -> Iterator[None]:
    """Begin the message of a DataError with the source that it is about."""
    try:
        yield
    except DataError as error:
        raise DataError(f"data.sources.{name}: {error.message}", hint=error.hint) from error


def encode_split(
    source: TextSource, split: str, tokenizer: Tokenizer
) -> Iterator[tuple[list[Piece], NDArray[np.uint32], bytes]]:
    """A split in batches: the pieces, their ids, and the mask of what is learned; see `Encoder`.

    Raises DataError.
    """
    encoder = source.encoder(tokenizer)
    for batch in batched(cut_safely(source.pieces(split))):
        if tokenizer.kind == "bytes" and any("\0" in piece.text for piece in batch):
            raise DataError(
                f"its {split} split holds byte 0, which ends a document for the byte tokenizer",
                hint="take it out of the text, or use tokenizer: {kind: bpe}",
            )
        yield batch, *encoder.encode(batch)


def no_text(split: str) -> DataError:
    """The error to raise for a split without any text."""
    return DataError(
        f"its {split} split holds no text",
        hint="give it more documents, or raise validation_fraction",
    )


def training_texts(sources: Mapping[str, TextSource], characters: int) -> Iterator[tuple[str, str]]:
    """Source and text of pieces of the train splits, about as much of each source at any time.

    Of a source larger than `characters`, pieces from all of it rather than its beginning.
    """
    queue = [
        (0, order, name, _strided(source, characters))
        for order, (name, source) in enumerate(sources.items())
    ]
    while queue:
        taken, order, name, pieces = heapq.heappop(queue)
        with naming(name):
            piece = next(pieces, None)
        if piece is not None:
            yield name, piece.text
            heapq.heappush(queue, (taken + len(piece.text), order, name, pieces))


def _strided(source: TextSource, characters: int) -> Iterator[Piece]:
    stride = max(1, -(-(expected_bytes(source, "train") or 0) // characters))
    for number, piece in enumerate(cut_safely(source.pieces("train"))):
        if number % stride == 0:
            yield piece
