"""Which documents are held out for validation: decided by what they say, not where they stand.

Adding documents moves no other one, and copies of a document land on the same side.
"""

import hashlib
from dataclasses import dataclass, field

from maquette.errors import DataError

FEW_DOCUMENTS = 1000
"""Up to here the held-out share is checked and mended; beyond, chance is fair by itself."""
TOLERANCE = 3.0  # a share off by more than this factor is mended


class ContentHash:
    """The seeded place of a document in [0, 1), from its whole text, fed in pieces."""

    def __init__(self, seed: int) -> None:
        self._hash = hashlib.blake2b(digest_size=8, key=seed.to_bytes(8, "little"))

    def update(self, text: str) -> None:
        """Feed the next piece."""
        self._hash.update(text.encode())

    def place(self) -> float:
        """Where the document stands; below the validation fraction it is held out."""
        return (int.from_bytes(self._hash.digest(), "little") >> 11) / 2**53


@dataclass(slots=True)
class Survey:
    """Collects every document's place and length, then says which are held out.

    Takes one byte a document, and a little more for the first thousand.
    """

    fraction: float
    held_out: bytearray = field(default_factory=bytearray)
    few: list[tuple[float, int]] = field(default_factory=list)
    characters: int = 0

    def add(self, place: float, characters: int) -> None:
        """Note one more document."""
        self.held_out.append(place < self.fraction)
        self.characters += characters
        if len(self.few) <= FEW_DOCUMENTS:
            self.few.append((place, characters))

    def flags(self, where: str) -> bytearray:
        """One byte a document, 1 when it is held out; both kinds occur. Raises DataError."""
        if len({place for place, _ in self.few}) < 2:
            raise DataError(
                f"{where}: all {len(self.held_out):,} documents are the same, "
                "so none can be held out for validation",
            )
        if len(self.held_out) > FEW_DOCUMENTS:
            if 0 < self.held_out.count(1) < len(self.held_out):
                return self.held_out
            raise DataError(
                f"{where}: validation_fraction={self.fraction:g} of {len(self.held_out):,} "
                "documents leaves none for validation",
                hint="raise validation_fraction",
            )
        share = sum(n for place, n in self.few if place < self.fraction) / self.characters
        if self.fraction / TOLERANCE <= share <= min(self.fraction * TOLERANCE, 0.95):
            return self.held_out
        return self._mended()

    def _mended(self) -> bytearray:
        """In the order of their places, hold out what fits into the share; at least one text."""
        sizes: dict[float, int] = {}
        for place, characters in self.few:
            sizes[place] = sizes.get(place, 0) + characters
        room = self.fraction * self.characters
        chosen = set()
        for place in sorted(sizes):
            if sizes[place] <= room:
                chosen.add(place)
                room -= sizes[place]
        if not chosen:
            chosen.add(min(sizes, key=lambda place: (sizes[place], place)))
        return bytearray(place in chosen for place, _ in self.few)
