"""From a spec's source to the text it stands for."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from maquette.data.source import TextSource, naming
from maquette.data.text.dialogues import Dialogues
from maquette.data.text.files import Files
from maquette.data.text.hub import Hub
from maquette.data.text.notes import Notes
from maquette.data.text.stories import Stories
from maquette.data.text.wikitext import WikiText
from maquette.spec.schema import Source


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
