"""How long a model of some size is to be trained, and in what batches. Pure.

- 20 tokens a parameter (Hoffmann et al. 2022, arXiv:2203.15556), or as many as the minutes allow;
  at most four passes over the text: a fifth teaches little (Muennighoff et al. 2023,
  arXiv:2305.16264).
- A batch of 0.58 x tokens^0.571 tokens (Li et al. 2025, arXiv:2503.04715), as a power of two of
  windows, and small enough for 50 steps.
- At most 8,192 tokens are computed at once.
"""

import math
from dataclasses import dataclass

from maquette.spec.budget import given
from maquette.spec.parts import TrainPart

PER_PARAMETER = 20
MOST_PASSES = 4
FEWEST_STEPS = 10
_COMFORTABLE_STEPS = 50
_AT_ONCE = 8192
_FACTOR, _POWER = 0.58, 0.571


@dataclass(frozen=True, slots=True)
class Length:
    """Tokens to train on, as far as batches divide them, and why so many."""

    tokens: float
    why: str
    batch: int  # windows


def given_length(train: TrainPart, *, context: int, unique: int) -> Length | None:
    """What a spec says itself; None if it leaves the length open. `unique`: tokens of a pass."""
    if train.epochs is not None:
        tokens = train.epochs * unique
        why = f"train.epochs={train.epochs:g}"
        return Length(tokens, why, batch_windows(train, tokens, context=context))
    if train.steps is None:
        return None
    # The batch that goes with the tokens of so many batches: B = f (S B)^p, solved for S B.
    tokens = max(train.steps * context, (_FACTOR * train.steps) ** (1 / (1 - _POWER)))
    batch = batch_windows(train, tokens, context=context)
    return Length(train.steps * batch * context, f"train.steps={train.steps}", batch)


def batch_windows(train: TrainPart, tokens: float, *, context: int) -> int:
    """Windows of a batch, for a training on so many tokens."""
    if (batch := given(train, "batch_size")) is not None:
        return int(batch)
    fewest = _COMFORTABLE_STEPS if train.steps is None else train.steps
    wanted = min(_FACTOR * tokens**_POWER, tokens / fewest) / context
    windows: int = 2 ** max(0, round(math.log2(max(1.0, wanted))))
    parts: int = given(train, "accumulation") or 1
    return -(-windows // parts) * parts


def parts_of(train: TrainPart, batch: int, *, context: int, most: int) -> int:
    """Parts to compute a batch in, each of at most so many windows, and of 8,192 tokens."""
    if (parts := given(train, "accumulation")) is not None:
        return int(parts)
    most = max(1, min(most, _AT_ONCE // context))
    return next(
        parts for parts in range(1, batch + 1) if batch % parts == 0 and batch // parts <= most
    )
