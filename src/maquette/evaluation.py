"""The loss of a model over a split of its data, in the words that people compare."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from maquette.data.batches import fixed_windows
from maquette.data.prepare import Prepared
from maquette.errors import DataError, UsageError
from maquette.models.gpt import GPT
from maquette.models.loss import IGNORE
from maquette.training.evaluate import Losses, add, evaluate

BATCH_TOKENS = 8192
"""Tokens computed together: enough to keep a machine busy, few enough for a small one."""


@dataclass(frozen=True, slots=True)
class Result:
    """Losses over a split; `bytes_per_word` is known for sources that count words."""

    losses: Losses
    bytes_per_word: float | None

    @property
    def word_perplexity(self) -> float | None:
        """Perplexity per word, as papers count words; None where they aren't counted."""
        if self.bytes_per_word is None or not self.losses.bytes:
            return None
        return self.losses.word_perplexity(self.bytes_per_word)


def evaluate_split(
    model: GPT,
    prepared: Prepared,
    split: str,
    *,
    autocast: AbstractContextManager[object],
    stride: int | None = None,
    windows: int | None = None,
    chat: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> dict[str, Result]:
    """Source name -> result over every token of the split, each predicted once.

    A `stride` below the context gives each token at least context - stride tokens before it, at
    context / stride times the cost. `windows` takes only so many of each source, spread evenly.
    With `chat`, only what the assistant says counts: the sources are dialogues.
    `progress` is called with windows done and in all. Raises DataError, UsageError.
    """
    context = model.shape.context
    if stride is not None and not 1 <= stride <= context:
        raise UsageError(f"--stride {stride} must be 1 to {context}, the model's context")
    sources = {name: tokens for name, tokens in prepared.tokens(split).items() if len(tokens)}
    if not sources:
        known = sorted({split for splits in prepared.facts.sources.values() for split in splits})
        raise DataError(f"the data has no {split} split", hint=f"it has {', '.join(known)}")
    counts = {name: -(-len(tokens) // (stride or context)) for name, tokens in sources.items()}
    total = sum(min(count, windows or count) for count in counts.values())
    done = 0
    masks = prepared.masks(split) if chat else {}

    def watched(batches: Iterable[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
        nonlocal done
        for inputs, targets in batches:
            yield inputs, targets
            done += len(inputs)
            progress(done, total)

    results = {}
    token_bytes = torch.from_numpy(prepared.tokenizer.token_bytes().astype(np.int64))
    for name, tokens in sources.items():
        batches = fixed_windows(
            [tokens],
            context=context,
            batch_size=max(1, BATCH_TOKENS // context),
            start_token=prepared.tokenizer.end_of_text,
            ignore=IGNORE,
            windows=windows,
            stride=stride,
            masks=[masks[name]] if chat else None,
        )
        losses = evaluate(
            model,
            watched(batches),
            token_bytes=token_bytes,
            device=model.token_embedding.weight.device,
            autocast=autocast,
        )
        facts = prepared.facts.sources[name][split]
        results[name] = Result(losses, facts.bytes / facts.words if facts.words else None)
    return results


def together(results: Iterable[Result]) -> Result:
    """All sources as one text. Words count only if every source counts them."""
    results = list(results)
    losses = add(result.losses for result in results)
    words = math.fsum(
        r.losses.bytes / r.bytes_per_word if r.bytes_per_word else math.nan for r in results
    )
    return Result(losses, None if math.isnan(words) or not words else losses.bytes / words)
