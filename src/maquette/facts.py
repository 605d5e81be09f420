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


def bytes_per_word(facts: DataFacts, split: str) -> float | None:
    """Mean bytes of a word, of sources that all count words; None if one doesn't."""
    found = [splits[split] for splits in facts.sources.values() if split in splits]
    words = [f.words for f in found if f.words is not None]
    if not words or len(words) < len(found):
        return None
    return sum(f.bytes for f in found) / sum(words)


@dataclass(frozen=True, slots=True)
class ImageSplitFacts:
    """What one split of a set of images holds after preparation."""

    images: int
    per_class: tuple[int, ...]  # images of each class, in the order of the classes
    broken: int  # left out because they can't be read
    sha256: str = ""  # of pixels and labels, or of the files' names, sizes and labels


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """Classes by name, the size in pixels that images come in, and split -> facts.

    `mean` and `std` of each colour channel over the train split, in 0..1.
    """

    classes: tuple[str, ...]
    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    splits: dict[str, ImageSplitFacts]


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """What a device does, as measured; None for what nobody needed to know."""

    device: str
    flops_per_second: float | None = None  # that a training is expected to reach
    read_bytes_per_second: float | None = None  # weights, when one token is generated
    block_seconds: float | None = None  # what each block takes besides, for one token


def unnamed_classes(count: int) -> tuple[str, ...]:
    """What classes are called of which nobody says the names."""
    return tuple(f"class-{label}" for label in range(count))
