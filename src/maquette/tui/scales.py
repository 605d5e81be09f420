"""Axes: which part of the values is seen, and where the round numbers are. Pure functions."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from maquette.quantities import format_count, format_duration

_MOST = 1e100
_ROUND = (1.0, 2.0, 5.0, 10.0)
_ROUND_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600)


class Scale(NamedTuple):
    """Values from `low` to `high`, evenly or by their logarithm."""

    low: float
    high: float
    log: bool = False

    def share(self, value: float) -> float | None:
        """Where a value lies between `low` (0) and `high` (1); None for one without a place."""
        if not drawable(value, log=self.log):
            return None
        if self.log:
            return math.log(value / self.low) / (math.log(self.high / self.low) or 1.0)
        return (value - self.low) / ((self.high - self.low) or 1.0)

    def value(self, share: float) -> float:
        """The value that lies there."""
        if self.log:
            return float(self.low * (self.high / self.low) ** share)
        return self.low + share * (self.high - self.low)


def drawable(value: float, *, log: bool) -> bool:
    """Whether a value has a place on an axis: finite, and far from where arithmetic overflows."""
    return abs(value) < _MOST and (not log or value > 1 / _MOST)


def span(values: Sequence[float], *, log: bool, margin: float = 0.0) -> Scale | None:
    """The scale that has room for these values; None if there are none for it."""
    known = [v for v in values if drawable(v, log=log)]
    if not known:
        return None
    low, high = min(known), max(known)
    if low == high:
        pad = abs(low) * 0.1 or 1.0
        return Scale(low / 1.1, high * 1.1, True) if log else Scale(low - pad, high + pad)
    if log:
        factor = (high / low) ** margin
        return Scale(low / factor, high * factor, True)
    return Scale(low - margin * (high - low), high + margin * (high - low))


def ticks(scale: Scale, count: int, *, seconds: bool = False) -> list[float]:
    """At most about `count` round numbers in the scale."""
    count = max(2, count)
    if scale.log and scale.low > 0:
        found = _log_ticks(scale, count)
        if len(found) > 1:
            return found
    size = (scale.high - scale.low) / count
    if not (0 < size < math.inf):
        return [scale.low]
    if seconds and size > 1:
        days = 86400 * max(1, math.ceil(size / 86400))
        size = next((float(s) for s in _ROUND_SECONDS if s >= size), float(days))
    else:
        power = 10.0 ** math.floor(math.log10(size))
        size = next(r for r in (*_ROUND, 10.0) if r * power >= size * 0.999) * power
    first = math.ceil(scale.low / size - 1e-9)
    last = math.floor(scale.high / size + 1e-9)
    return [i * size for i in range(first, min(last, first + 50) + 1)]


def _log_ticks(scale: Scale, count: int) -> list[float]:
    powers = range(math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high)) + 1)
    for steps in ((1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        found = [s * 10.0**p for p in powers for s in steps]
        found = [v for v in found if scale.low <= v <= scale.high]
        if len(found) <= count:
            return found
    whole = [10.0**p for p in powers if scale.low <= 10.0**p <= scale.high]
    return whole[:: math.ceil(len(whole) / count) or 1]


def labels(values: Sequence[float]) -> list[str]:
    """Numbers as short as they can be while they differ."""
    if not values:
        return []
    largest = max(abs(v) for v in values)
    if 1e4 <= largest < 1e6:
        return [f"{v / 1000:g}k" for v in values]
    if largest >= 1e6 or (0 < largest < 1e-2):
        return [_power(v) for v in values]
    for digits in range(7):
        texts = [f"{v:.{digits}f}" for v in values]
        exact = all(abs(float(t) - v) <= abs(v) * 1e-6 for t, v in zip(texts, values, strict=True))
        if exact and len(set(texts)) == len(values):
            return texts
    return texts


def _power(value: float) -> str:
    if value == 0:
        return "0"
    if abs(value) >= 1e6:
        return format_count(value)
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


def step_labels(values: Sequence[float]) -> list[str]:
    """Numbers of steps."""
    return [f"{v:,.0f}" if v < 1e6 else format_count(v) for v in values]


def time_labels(values: Sequence[float]) -> list[str]:
    """Durations."""
    return [format_duration(v) if v else "0" for v in values]
