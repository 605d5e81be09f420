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

    Power is cut more rarely than workers are killed. So in a run that was killed, what the clock
    asks for need outlast a power cut only as often as it would be saved if there were no kills; the
    rest needn't wait for the disk, nor load it.
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
        self._saved_at = self._lasting_at = clock()
        self._born_at = self._saved_at - lived_seconds
        self._saving = False
        self._by_clock = False

    def due(self, step: int) -> bool:
        """Whether to save after this step: by the clock never while a save is on its way."""
        if self._every is not None:
            return step % self._every == 0
        passed = self._clock() - self._saved_at
        self._by_clock = not self._saving and passed >= self.interval_seconds
        return self._by_clock

    def began(self) -> bool:
        """Take in that one of this moment is being saved; whether it should outlast a power cut."""
        now = self._clock()
        lasting = not self._by_clock or now - self._lasting_at >= self.lasting_seconds
        self._saving, self._by_clock = True, False
        self._saved_at = now
        if lasting:
            self._lasting_at = now
        return lasting

    def saved(self, cost_seconds: float) -> None:
        """Take in that the checkpoint is there, and how much of the training's time it took."""
        self._saving = False
        self._cost_seconds = cost_seconds

    @property
    def interval_seconds(self) -> float:
        """Seconds between checkpoints."""
        if not self._kills:
            return self.lasting_seconds
        life = (self._clock() - self._born_at) / self._kills
        return math.sqrt(2 * self._cost_seconds * life)

    @property
    def lasting_seconds(self) -> float:
        """Seconds between those that outlast a power cut."""
        life = min(self._clock() - self._born_at, _LIFE_SECONDS)
        return max(math.sqrt(2 * self._cost_seconds * life), self._cost_seconds / _COST_SHARE)
