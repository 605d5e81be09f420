"""What the model reads: its sources of text, and batches of their tokens.

Made by `maquette eject` (maquette 0.1.0) from the spec fast; blueprint 22a45636cf069141.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stories import Stories
from text import Files, TextSource, Tokenizer, encode_split, naming, no_text

# Text as token ids, by split and source.


@dataclass(frozen=True, slots=True)
class Corpus:
    """What a model reads: split -> source -> ids, (N,), and where not all of them are learned a
    byte for each, 1 for what the assistant says."""

    tokenizer: Tokenizer
    tokens: Mapping[str, Mapping[str, NDArray[Any]]]
    masks: Mapping[str, Mapping[str, NDArray[np.uint8]]]


def read_corpus(sources: Mapping[str, TextSource], tokenizer: Tokenizer) -> Corpus:
    """All of some sources' text in memory, two or four bytes a token. Raises DataError."""
    dtype = np.dtype("<u2" if tokenizer.vocabulary <= 1 << 16 else "<u4")
    tokens: dict[str, dict[str, NDArray[Any]]] = {}
    masks: dict[str, dict[str, NDArray[np.uint8]]] = {}
    for name, source in sources.items():
        for split in source.splits():
            ids, learned = [], []
            with naming(name):
                for _, batch, mask in encode_split(source, split, tokenizer):
                    ids.append(batch.astype(dtype))
                    learned.append(mask)
                if not ids:
                    raise no_text(split)
            tokens.setdefault(split, {})[name] = np.concatenate(ids)
            masks.setdefault(split, {})
            if any(learned):
                masks[split][name] = np.frombuffer(b"".join(learned), dtype=np.uint8)
    return Corpus(tokenizer, tokens, masks)


# Text that is given by a word: a file, a folder, or the built-in stories.

SPLITS_IN_FOLDERS = {"train": ("train",), "validation": ("valid", "validation"), "test": ("test",)}
STORIES = 20_000


def given_text(word: str, *, seed: int) -> TextSource:
    """`stories`, the text of a file, or that of all .txt files in a folder.

    A folder with train.txt and valid.txt, and perhaps test.txt, is split as they say.
    Raises DataError.
    """
    if word == "stories":
        return Stories(stories=STORIES, seed=seed)
    folder = Path(word).expanduser()
    if not folder.is_dir():
        return Files(word, seed=seed)
    named = {split: _named(folder, names) for split, names in SPLITS_IN_FOLDERS.items()}
    if named["train"] and named["validation"]:
        return Files(
            named["train"],
            validation_path=named["validation"],
            test_path=named["test"] or None,
            seed=seed,
        )
    return Files(str(folder / "**" / "*.txt"), seed=seed)


def _named(folder: Path, names: tuple[str, ...]) -> list[str]:
    return [str(file) for name in names if (file := folder / f"{name}.txt").is_file()]


# Batches of windows: batch k is a pure function of (tokens, seed, k).
#
# N tokens of a source, T tokens a window, B windows a batch.

Tokens = NDArray[Any]
MIXED = 1000
"""Windows in which the shares of a mixture come out exactly."""
_MASK = 0xFFFFFFFFFFFFFFFF
_COUNTED = 1 << 20
_Bits = TypeVar("_Bits", int, NDArray[Any])


def _mix(value: _Bits) -> _Bits:
    """A bijective scramble of 64 bits (splitmix64's finaliser, Steele et al. 2014)."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)  # type: ignore[no-any-return]


def counter_random(seed: int, *counters: int) -> int:
    """64 random bits that depend on nothing but the seed and the counters."""
    state = seed & _MASK
    for counter in counters:
        state = _mix((state * 0x9E3779B97F4A7C15 + counter) & _MASK)
    return _mix(state)


def permute(index: NDArray[np.uint64], size: int, key: int) -> NDArray[np.uint64]:
    """Where each index of range(size) stands in a random order chosen by the key.

    A permutation without a table: a four-round Feistel network over the next power of four, in
    which results outside the range are permuted again (Black & Rogaway 2002, cycle walking).
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    low = (1 << half) - 1
    rounds = [counter_random(key, r) for r in range(4)]
    result = index.astype(np.uint64)
    walking = np.ones(result.shape, dtype=bool)
    while walking.any():
        left, right = result[walking] >> half, result[walking] & low
        for round_key in rounds:
            left, right = right, left ^ (_mix((right + round_key) & _MASK) & low)
        result[walking] = (left << half) | right
        walking = result >= size
    return result


class Batches:
    """Training batches in a seeded order that differs each epoch.

    An epoch cuts each source, seen as a ring, into N // T windows that begin at an offset of the
    epoch's own; every one of them is read exactly once. Batch k holds windows k*B to k*B + B - 1
    of the endless sequence of epochs, so no state is needed to resume.

    With `weights` (one a source, adding up to 1) the sequence is a mixture: of each MIXED windows
    in a row, a source has its share, in a seeded order, and goes through epochs of its own.

    With `masks`, as long as the sources, targets whose mask is 0 are `ignore`: they don't count.
    """

    def __init__(
        self,
        sources: Sequence[Tokens],
        *,
        context: int,
        batch_size: int,
        seed: int,
        weights: Sequence[float] | None = None,
        masks: Sequence[Tokens] | None = None,
        ignore: int = -100,
    ) -> None:
        assert all(len(tokens) > context for tokens in sources), "a source is too short"
        self._sources = sources
        self._masks = masks
        self._ignore = ignore
        self._context = context
        self._batch_size = batch_size
        self._seed = seed
        self._counts = np.array([len(tokens) // context for tokens in sources])
        self._quotas = None if weights is None else quotas(weights)
        self.windows = int(self._counts.sum())
        """Windows of all sources."""

    def batch(self, k: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets of batch k, int64, (B, T) each; targets are one token ahead."""
        positions = np.arange(k * self._batch_size, (k + 1) * self._batch_size)
        tokens = self._rows(self._sources, positions)
        if self._masks is None:
            return tokens[:, :-1], tokens[:, 1:]
        counts = self._rows(self._masks, positions)[:, 1:]
        return tokens[:, :-1], torch.where(counts != 0, tokens[:, 1:], self._ignore)

    def seen(self, batches: int) -> list[int]:
        """How many windows of each source the first so many batches hold."""
        total = batches * self._batch_size
        sizes, cycle = self._cycle()
        counts = sizes * (total // cycle)
        for start in range(total - total % cycle, total, _COUNTED):
            positions = np.arange(start, min(start + _COUNTED, total))
            counts = counts + np.bincount(self._places(positions)[0], minlength=len(counts))
        return [int(count) for count in counts]

    def _cycle(self) -> tuple[NDArray[np.int64], int]:
        """Windows of each source in a cycle of the sequence, and of all: an epoch, or MIXED."""
        sizes = self._counts if self._quotas is None else self._quotas
        return sizes, int(sizes.sum())

    def _places(self, positions: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
        """The source, its epoch, and the window in it that stand at some positions."""
        sizes, cycle = self._cycle()
        cycles = positions // cycle
        order = self._permuted(positions % cycle, cycle, cycles)
        ends = np.cumsum(sizes)
        sources = np.searchsorted(ends, order, side="right")
        windows = order - (ends - sizes)[sources]
        if self._quotas is None:
            return sources, cycles, windows
        ordinals = cycles * sizes[sources] + windows
        counts = self._counts[sources]
        epochs, windows = ordinals // counts, ordinals % counts
        for source in np.unique(sources).tolist():
            mine = sources == source
            windows[mine] = self._permuted(
                windows[mine], int(self._counts[source]), epochs[mine], source
            )
        return sources, epochs, windows

    def _permuted(
        self, index: NDArray[np.int64], size: int, cycles: NDArray[np.int64], *counters: int
    ) -> NDArray[np.int64]:
        """Where each index stands in its cycle's own order."""
        result = np.empty_like(index)
        for cycle in np.unique(cycles).tolist():
            mine = cycles == cycle
            key = counter_random(self._seed, cycle, *(c + 1 for c in counters))
            result[mine] = permute(index[mine].astype(np.uint64), size, key)
        return result

    def _rows(self, sources: Sequence[Tokens], positions: NDArray[np.int64]) -> Tensor:
        """The windows at some positions, each with the token after it: (B, T + 1)."""
        rows = np.empty((len(positions), self._context + 1), dtype=np.int64)
        for row, place in zip(rows, zip(*self._places(positions), strict=True), strict=True):
            source, epoch, window = map(int, place)
            self._read(row, sources[source], source, epoch, window)
        return torch.from_numpy(rows)

    def _read(
        self, row: NDArray[np.int64], tokens: Tokens, source: int, epoch: int, window: int
    ) -> None:
        """Fill a row of T + 1 tokens with a window of a source's epoch."""
        offset = counter_random(self._seed, epoch, source) % len(tokens)
        start = (offset + window * self._context) % len(tokens)
        part = tokens[start : start + len(row)]
        row[: len(part)] = part
        row[len(part) :] = tokens[: len(row) - len(part)]


def quotas(weights: Sequence[float]) -> NDArray[np.int64]:
    """How many of MIXED windows each source has: its weight's share, rounded to add up to all."""
    shares = np.asarray(weights, dtype=np.float64) / math.fsum(weights) * MIXED
    counts = np.floor(shares).astype(np.int64)
    largest = np.argsort(counts - shares, kind="stable")  # the largest remainders first
    counts[largest[: MIXED - int(counts.sum())]] += 1
    return counts


def fixed_windows(
    sources: Sequence[Tokens],
    *,
    context: int,
    batch_size: int,
    start_token: int,
    ignore: int,
    windows: int | None = None,
    stride: int | None = None,
    masks: Sequence[Tokens] | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs and targets for evaluation, int64, at most (B, T): the same ones every time.

    Without `windows`, every token is a target exactly once (the first after `start_token`);
    with it, only so many windows, spread evenly. A `stride` below the context leaves each
    target at least T - stride tokens of context; targets that don't count are `ignore`. With
    `masks`, as long as the sources, only targets whose mask isn't 0 count, and windows with none
    of them are left out.
    """
    stride = stride or context
    places = [(s, i) for s, tokens in enumerate(sources) for i in range(0, len(tokens), stride)]
    if masks is not None:
        places = [(s, i) for s, i in places if np.any(masks[s][i : i + stride])]
    if windows is not None and windows < len(places):
        full = [(s, i) for s, i in places if i + stride <= len(sources[s])] or places
        spread = np.linspace(0, len(full) - 1, min(windows, len(full))).round().astype(int)
        places = [full[i] for i in spread]
    for first in range(0, len(places), batch_size):
        chosen = places[first : first + batch_size]
        inputs = torch.full((len(chosen), context), start_token, dtype=torch.int64)
        targets = torch.full((len(chosen), context), ignore, dtype=torch.int64)
        for row, (source, begin) in enumerate(chosen):
            tokens = sources[source]
            stop = min(begin + stride, len(tokens))
            left = max(0, stop - context)
            seen = torch.from_numpy(np.asarray(tokens[left:stop], dtype=np.int64))
            if left:
                inputs[row, 0] = int(tokens[left - 1])
            inputs[row, 1 : len(seen)] = seen[:-1]
            targets[row, begin - left : len(seen)] = seen[begin - left :]
            if masks is not None:
                learnt = torch.from_numpy(np.asarray(masks[source][begin:stop], dtype=np.int64))
                targets[row, begin - left : len(seen)][learnt == 0] = ignore
        yield inputs, targets


SEED = 0
"""Decides which documents are held out, first weights, the order of batches, and samples."""


def open_sources(given: str | None = None) -> dict[str, TextSource]:
    """The text that the model is made for, or what is given instead; see `given_text`."""
    if given is not None:
        return {"text": given_text(given, seed=SEED)}
    return {
        "stories": Stories(
            stories=20000,
            seed=0,
        ),
    }


def read_texts(tokenizer: Tokenizer, given: str | None = None) -> Corpus:
    """All of the text as tokens."""
    return read_corpus(open_sources(given), tokenizer)
