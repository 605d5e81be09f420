"""From a spec's source to the text it stands for."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

from maquette.data.text.dialogues import Dialogues
from maquette.data.text.files import Files
from maquette.data.text.hub import Hub
from maquette.data.text.notes import Notes
from maquette.data.text.piece import Piece
from maquette.data.text.stories import Stories
from maquette.data.text.wikitext import WikiText
from maquette.errors import DataError
from maquette.spec.schema import Source


class TextSource(Protocol):
    """Documents in splits, streamed so that memory stays flat."""

    @property
    def count_words(self) -> bool:
        """Whether words are counted as papers do: by whitespace, and one <eos> a line."""
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

    def size(self, split: str) -> int:
        """Bytes to expect in a split."""
        ...


@runtime_checkable
class RemarkingSource(Protocol):
    """A source that passes over some of what it finds, or mends it, and says so."""

    def remarks(self) -> list[str]:
        """What happened in the splits read so far, in lines for people."""
        ...


SOURCES: dict[str, Callable[..., TextSource]] = {
    "stories": Stories,
    "files": Files,
    "wikitext": WikiText,
    "hub": Hub,
    "notes": Notes,
    "dialogues": Dialogues,
}
SPLIT_HERE = (
    "files",
    "hub",
    "notes",
    "dialogues",
)  # these may have to choose the validation documents, by the seed


def open_source(name: str, source: Source, seed: int) -> TextSource:
    """The text of one source of the spec. Raises DataError, which begins with its name."""
    arguments = source.model_dump(exclude={"kind", "weight"})
    if source.kind in SPLIT_HERE:
        arguments["seed"] = seed
    with naming(name):
        return SOURCES[source.kind](**arguments)


@contextlib.contextmanager
def naming(name: str) -> Iterator[None]:
    """Begin the message of a DataError with the source that it is about."""
    try:
        yield
    except DataError as error:
        raise DataError(f"data.sources.{name}: {error.message}", hint=error.hint) from error
