"""Which images are held out for validation: the same share of every class."""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from maquette.data.image.source import listed
from maquette.errors import DataError


def hold_out(
    labels: NDArray[np.int64],
    names: Iterable[str],
    classes: Sequence[str],
    *,
    fraction: float,
    seed: int,
) -> NDArray[np.bool_]:
    """True for about `fraction` of each class's images, (N,): those with the least seeded hash.

    The hash is of an image's name, so that adding images moves few others. At least one of each
    class is held out, and one is left. Raises DataError for a class that has but one.
    """
    key = seed.to_bytes(8, "little")
    hashes = np.frombuffer(
        b"".join(
            hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=8, key=key).digest()
            for name in names
        ),
        dtype="<u8",
    )
    counts = np.bincount(labels, minlength=len(classes))
    single = [name for name, count in zip(classes, counts, strict=True) if count == 1]
    if single:
        raise DataError(
            f"has a single image of {listed(single)}, and one has to be held out for validation",
            hint="add images, or give it a validation split",
        )
    wanted = np.clip(np.rint(counts * fraction).astype(np.int64), 1, counts - 1)
    order = np.lexsort((hashes, labels))
    rank = np.empty(len(labels), dtype=np.int64)  # an image's place among those of its class
    rank[order] = np.arange(len(labels)) - (np.cumsum(counts) - counts)[labels[order]]
    held: NDArray[np.bool_] = rank < wanted[labels]
    return held
