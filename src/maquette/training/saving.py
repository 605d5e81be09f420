"""When to save a checkpoint: as often as it pays for itself."""

import math
import time
from collections.abc import Callable

_COST_SHARE = 0.02  # of the time goes into saving, at most, as long as no failure has been seen;
_LIFE_SECONDS = 3600.0  # so long is taken to lie between failures then
_FIRST_COST_SECONDS = 0.2


class SaveRhythm:
    """Says when a checkpoint is due: every so many steps, or by the clock.

    By the clock the interval is sqrt(2 x cost of a save x mean time between failures), which loses
    least to saving and to repeating together (Young 1974, doi:10.1145/361147.361115). The cost is
    that of the last save. A run whose workers were killed before knows how long they lived.
    """

    def __init__(
        self,
        every: int | None,
        *,
        life_seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._every = every
        self._life_seconds = life_seconds
        self._clock = clock
        self._cost_seconds = _FIRST_COST_SECONDS
        self._saved_at = clock()

    def due(self, step: int) -> bool:
        """Whether to save after this step."""
        if self._every is not None:
            return step % self._every == 0
        return self._clock() - self._saved_at >= self.interval_seconds

    def saved(self, seconds: float) -> None:
        """Take in that a checkpoint was saved just now, and what time it took."""
        self._cost_seconds = seconds
        self._saved_at = self._clock()

    @property
    def interval_seconds(self) -> float:
        """Seconds between checkpoints."""
        if self._life_seconds is not None:
            return math.sqrt(2 * self._cost_seconds * self._life_seconds)
        youngs = math.sqrt(2 * self._cost_seconds * _LIFE_SECONDS)
        return max(youngs, self._cost_seconds / _COST_SHARE)
