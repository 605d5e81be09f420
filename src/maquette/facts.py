"""What prepared data says, as plain numbers: data counts, the blueprint computes from it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SplitFacts:
    """What one split of one source holds after preparation."""

    documents: int
    tokens: int
    bytes: int
    words: int | None = None  # counted as the papers do, where a source defines it
    sha256: str = ""  # of the token ids: a text of the same size is not the same text


@dataclass(frozen=True, slots=True)
class DataFacts:
    """The vocabulary's size; source name -> split ("train", "validation", "test") -> facts."""

    vocabulary: int
    sources: dict[str, dict[str, SplitFacts]]
