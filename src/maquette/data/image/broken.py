"""Images that can't be read: how many are too many, and what is said of them."""

from collections.abc import Sequence

from maquette.data.image.source import is_or_are, listed
from maquette.errors import DataError

MOST_BROKEN = 0.01
"""Share of a split's images."""
NAMED_BROKEN = 10
"""So many may be found before too many stop it, so that they can be mended together."""


def left_out(broken: Sequence[str], total: int, split: str) -> str:
    """A line about the few that are broken; each is a name and a reason."""
    return f"left out {len(broken):,} of {total:,} images of {split}: {listed(broken, 3)}"


def too_many(broken: Sequence[str], images: str, split: str) -> DataError:
    """The error for more than that, among so many images of a split."""
    return DataError(
        f"{len(broken):,} of {images} in {split} {is_or_are(broken)} broken: "
        f"{listed(broken, NAMED_BROKEN)}",
        hint="up to 1 % are left out; mend or remove them",
    )
