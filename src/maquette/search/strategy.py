"""Which trial comes next. Pure: the same search and seed give the same proposals."""

import math
import operator
import random
from collections.abc import Callable
from typing import Any, NamedTuple

from maquette.search.record import ENDED, Options, Search, Trial

Draw = Callable[[dict[str, Any], random.Random, int], dict[str, Any] | None]
"""A spec with some keys changed, at most so many; None where nothing sound came of it."""
_ATTEMPTS = 200
_TOURNAMENT = 3


class Proposal(NamedTuple):
    """A spec to try, for how much time, and the trial that tried it first, if one did."""

    spec: dict[str, Any]
    share: int = 1
    candidate: int | None = None
    confirms: bool = False


def propose(search: Search, draw: Draw) -> Proposal | None:
    """The next trial of a search; None when all have been."""
    number = len([t for t in search.trials if not t.confirms])
    if number >= search.options.trials or search.ended:
        return _confirmation(search)
    if search.options.strategy == "halving":
        return _halving(search, draw, number) or _confirmation(search)
    if number == 0:
        return Proposal(search.spec)
    return _new(search, draw, number) or _confirmation(search)


def units(options: Options) -> float:
    """How many first trials all of a search takes the time of."""
    confirming = 2 if options.confirm else 0
    if options.strategy != "halving":
        return float(options.trials + confirming)
    sizes = stages(options.trials)
    shares = [2**stage for stage in range(len(sizes))]
    return float(sum(map(operator.mul, sizes, shares)) + confirming * shares[-1])


def stages(trials: int) -> list[int]:
    """How many of the trials are in each stage of a halving; each takes twice as long."""
    sizes = [max(2, math.ceil(trials / 2))]
    while sizes[-1] > 2:
        sizes.append(math.ceil(sizes[-1] / 2))
    while sum(sizes) > max(trials, 2):
        sizes[0] -= 1
    while sum(sizes) < trials:
        sizes[0] += 1
    return sizes


def _new(search: Search, draw: Draw, number: int) -> Proposal | None:
    """A spec that hasn't been tried: of the spec itself, or of one that did well."""
    tried = [trial.spec for trial in search.trials]
    for attempt in range(_ATTEMPTS):
        dice = random.Random(f"{search.options.seed}:{number}:{attempt}")
        parent, most = search.spec, 3
        if search.options.strategy == "evolution" and number > search.options.trials // 3:
            done = [trial for trial in search.ranked() if trial.status == "done"]
            if done:
                rivals = dice.sample(done, min(_TOURNAMENT, len(done)))
                parent, most = min(rivals, key=done.index).spec, 2
        spec = draw(parent, dice, most)
        if spec is not None and spec not in tried:
            return Proposal(spec)
    return None


def _halving(search: Search, draw: Draw, number: int) -> Proposal | None:
    """The best half of a stage goes on to the next, and so does the spec itself."""
    before = 0
    for stage, size in enumerate(stages(search.options.trials)):
        if number < before + size:
            if stage == 0:
                return Proposal(search.spec) if number == 0 else _new(search, draw, number)
            last = [t for t in search.trials if t.share == 2 ** (stage - 1) and not t.confirms]
            ranked = [t for t in search.ranked() if t in last]
            chosen = [t for t in last if t.is_default] + [t for t in ranked if not t.is_default]
            place = number - before
            if place >= len(chosen):
                return None
            return Proposal(chosen[place].spec, 2**stage, chosen[place].candidate)
        before += size
    return None


def winner(search: Search) -> Trial | None:
    """The best trial that came to its end, of those that had the most time."""
    done = [trial for trial in search.ranked() if trial.status == "done"]
    return done[0] if done else None


def _confirmation(search: Search) -> Proposal | None:
    """The best one and the spec itself once more, where the best is another."""
    best = winner(search)
    if best is None or best.is_default or not search.options.confirm:
        return None
    done = [trial for trial in search.trials if trial.confirms]
    if len(done) >= 2 or any(trial.status not in ENDED for trial in search.trials):
        return None
    spec, candidate = (search.spec, 0) if not done else (best.spec, best.candidate)
    return Proposal(spec, best.share, candidate, confirms=True)
