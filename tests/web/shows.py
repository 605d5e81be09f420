"""Digests of shows. It is run by Python here, and its text by Python in WebAssembly."""

import hashlib
import itertools

from maquette.simulation.story import MODULES
from maquette.simulation.terminal import play, read_options, stories


def digest(module: str, seed: int, width: int, coloured: bool) -> str:
    """SHA-256 of all that is written, and of the pauses, to the last bit."""
    options = read_options(modules=[module], seed=seed, exit_after_modules=1, speed_factor=7)
    told = stories(options)
    pieces = play(told, options, width=lambda: width, coloured=coloured, live=coloured)
    hashed = hashlib.sha256()
    for text, seconds in pieces:
        hashed.update(f"{text}{seconds!r}".encode())
    return hashed.hexdigest()


def digests(seeds: range) -> list[str]:
    """Every module, at three widths, with and without colours; one of each for every seed."""
    looks = itertools.cycle(itertools.product((60, 80, 120), (False, True)))
    return [
        f"{module} {seed} {width} {coloured} {digest(module, seed, width, coloured)}"
        for seed, (width, coloured) in zip(seeds, looks, strict=False)
        for module in MODULES
    ]
