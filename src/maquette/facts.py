"""What prepared data says, as plain numbers: data counts them, the blueprint is computed from them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SplitFacts:
    """What one split of one source holds after preparation."""

    documents: int
    tokens: int
    bytes: int
    words: int | None = None  # counted as the papers do, where a source defines it


@dataclass(frozen=True, slots=True)
class DataFacts:
    """Source name -> split ("train", "validation", "test") -> facts, and the size of the vocabulary."""

    vocabulary: int
    sources: dict[str, dict[str, SplitFacts]]
