"""When to save a checkpoint: as often as it pays for itself."""

import math
import time
from collections.abc import Callable

_COST_SHARE = 0.02  # of the time goes into saving, at most, as long as no failure has been seen;
_LIFE_SECONDS = 3600.0  # and so long at most is then taken to lie between failures
_FIRST_COST_SECONDS = 0.2  # taken for it until one was saved


class SaveRhythm:
    """Says when a checkpoint is due: every so many steps, or by the clock.

    By the clock the interval is sqrt(2 x cost of a save x mean time between failures), which loses
    least to saving and to repeating together (Young 1974, doi:10.1145/361147.361115). The cost is
    that of the last save. The mean time is what the run has lived for each time that its worker was
    killed; until the first time, what it has lived so far.
    """

    def __init__(
        self,
        every: int | None,
        *,
        lived_seconds: float = 0.0,
        kills: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._every = every
        self._kills = kills
        self._clock = clock
        self._cost_seconds = _FIRST_COST_SECONDS
        self._saved_at = clock()
        self._born_at = self._saved_at - lived_seconds
        self._saving = False

    def due(self, step: int) -> bool:
        """Whether to save after this step: by the clock never while a save is on its way."""
        if self._every is not None:
            return step % self._every == 0
        return not self._saving and self._clock() - self._saved_at >= self.interval_seconds

    def began(self) -> None:
        """Take in that a checkpoint of this moment is being saved."""
        self._saving = True
        self._saved_at = self._clock()

    def saved(self, cost_seconds: float) -> None:
        """Take in that the checkpoint is there, and how much of the training's time it took."""
        self._saving = False
        self._cost_seconds = cost_seconds

    @property
    def interval_seconds(self) -> float:
        """Seconds between checkpoints."""
        life = (self._clock() - self._born_at) / max(1, self._kills)
        if self._kills:
            return math.sqrt(2 * self._cost_seconds * life)
        youngs = math.sqrt(2 * self._cost_seconds * min(life, _LIFE_SECONDS))
        return max(youngs, self._cost_seconds / _COST_SHARE)
