"""Which images are held out for validation: the same share of every class."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from maquette.data.image.source import Split, listed
from maquette.errors import DataError


def held_out_rows(
    splits: Mapping[str, Split], classes: Sequence[str], *, fraction: float, seed: int
) -> dict[str, NDArray[np.bool_] | None]:
    """Which rows of train are held out for want of a validation split; None of other splits.

    Raises DataError unless every split knows every class.
    """
    if not 2 <= len(classes) <= 1 << 16:
        count = f"{len(classes):,} class" + "es" * (len(classes) != 1)
        raise DataError(f"has {count}, and 2 to 65,536 can be told apart")
    for name, split in splits.items():
        counts = np.bincount(split.labels, minlength=len(classes))
        missing = [label for label, count in zip(classes, counts, strict=True) if not count]
        if missing:
            raise DataError(
                f"its {name} split has no image of {listed(missing)}",
                hint="every class has to be in every split",
            )
    held_out: dict[str, NDArray[np.bool_] | None] = dict.fromkeys(splits)
    if "validation" not in splits:
        train = splits["train"]
        names = (train.name(row) for row in range(len(train.labels)))
        held_out["train"] = hold_out(train.labels, names, classes, fraction=fraction, seed=seed)
    return held_out


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
