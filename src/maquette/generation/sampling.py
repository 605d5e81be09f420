"""From logits to the next token. Pure functions; all chance comes from an explicit generator.

V vocabulary.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class SamplingOptions:
    """How a token is drawn. Applied in the order of the fields, after `repetition_penalty`.

    Raises ValueError for a number out of bounds.
    """

    temperature: float = 1.0
    """Divides the logits; 0 takes the likeliest token (of equals the lowest id)."""
    top_k: int | None = None
    """Draw from the k likeliest tokens."""
    top_p: float = 1.0
    """Draw from the fewest likeliest tokens that have this probability together."""
    min_p: float = 0.0
    """Draw from tokens that are at least this share as likely as the likeliest."""
    repetition_penalty: float = 1.0
    """Above 1, tokens seen before become less likely."""

    def __post_init__(self) -> None:
        for name, sound, bounds in (
            ("temperature", 0 <= self.temperature < math.inf, "0 or more"),
            ("top_k", self.top_k is None or self.top_k >= 1, "1 or more"),
            ("top_p", 0 < self.top_p <= 1, "above 0, 1 at most"),
            ("min_p", 0 <= self.min_p <= 1, "0 to 1"),
            ("repetition_penalty", 0 < self.repetition_penalty < math.inf, "above 0"),
        ):
            if not sound:
                raise ValueError(f"{name}={getattr(self, name)} must be {bounds}")


def next_token(
    logits: Tensor,
    options: SamplingOptions,
    generator: torch.Generator,
    *,
    seen: Tensor | None = None,
) -> int:
    """Choose a token by its logits (V,); `seen` (V,) bool marks those that were there before.

    Takes one number from the generator, or none at temperature 0. Generator and logits are on one
    device. Raises FloatingPointError where the logits aren't finite: the weights are broken.
    """
    if seen is not None and options.repetition_penalty != 1:
        logits = penalise_repetition(logits, seen, options.repetition_penalty)
    if options.temperature == 0:
        token = int(logits.argmax())  # the first of equals
        if not math.isfinite(float(logits[token])):
            raise FloatingPointError("the model's logits are not finite")
        return token
    # The likeliest token at 0: then no temperature, however low, overflows.
    logits = (logits - logits.max()) / options.temperature
    if options.top_k is not None:
        logits = keep_top_k(logits, options.top_k)
    if options.top_p < 1:
        logits = keep_top_p(logits, options.top_p)
    if options.min_p > 0:
        logits = keep_min_p(logits, options.min_p)
    return draw(logits, generator)


def penalise_repetition(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Divide positive logits of seen tokens by the penalty, multiply negative ones by it.

    Keskar et al. 2019, arXiv:1909.05858, in the form that also lowers negative logits.
    """
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """All but the k largest logits at minus infinity (Fan et al. 2018, arXiv:1805.04833).

    Those equal to the k-th stay.
    """
    if k >= logits.numel():
        return logits
    return logits.masked_fill(logits < logits.topk(k).values[-1], -math.inf)


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """The nucleus: the fewest likeliest tokens with probability p or more together.

    Holtzman et al. 2020, arXiv:1904.09751. Never empty; of equals the lower ids come first.
    """
    ordered, ids = logits.sort(descending=True, stable=True)
    probabilities = ordered.softmax(-1)
    outside = probabilities.cumsum(-1) - probabilities >= p  # those before it suffice
    return logits.masked_fill(outside.new_empty(outside.shape).scatter_(0, ids, outside), -math.inf)


def keep_min_p(logits: Tensor, p: float) -> Tensor:
    """Tokens at least p times as likely as the likeliest (Nguyen et al. 2024, arXiv:2407.01082)."""
    return logits.masked_fill(logits < logits.max() + math.log(p), -math.inf)


def draw(logits: Tensor, generator: torch.Generator) -> int:
    """Draw a token with the probabilities softmax(logits), by one uniform number.

    The number falls into one of the pieces that the probabilities cut [0, 1) into.
    """
    ends = logits.double().softmax(-1).cumsum(-1)
    uniform = torch.rand((), dtype=torch.float64, device=logits.device, generator=generator)
    total = ends[-1]  # 1, but for rounding
    token = int(torch.searchsorted(ends, uniform * total, right=True))
    if token >= len(ends):
        raise FloatingPointError("the model's logits are not finite")
    return token
