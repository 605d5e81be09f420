"""What a search found, in words."""

from maquette.search.record import Search, Trial
from maquette.search.strategy import winner


def verdict_of(search: Search) -> Trial | None:
    """The winner: the best trial, if it beats the spec itself with the other seed too.

    Else the spec itself; None where even that has no score.
    """
    best = winner(search)
    if best is None:
        return None
    default = next(t for t in search.trials if t.is_default)
    again = {t.candidate: t for t in search.trials if t.confirms}
    pair = again.get(0), again.get(best.candidate)
    if best.is_default or not search.options.confirm:
        return best
    scores = [t.score for t in pair if t is not None and t.status == "done"]
    if len(scores) < 2 or scores[0] is None or scores[1] is None:
        return default
    return best if search.better(scores[1], scores[0]) else default


def verdict_words(search: Search) -> list[str]:
    """What to tell of the winner, a line for each thing."""
    best, chosen = winner(search), verdict_of(search)
    if best is None or chosen is None:
        return ["no trial came to its end"]
    default = max((t for t in search.trials if t.is_default and not t.confirms), key=_share)
    lines = [] if search.ended in (None, "all trials were done") else [search.ended]
    if best.is_default:
        return [*lines, f"nothing beats the spec itself: {show_score(best, search)}"]
    pair = f"{show_score(best, search)}, the spec itself {show_score(default, search)}"
    lines.append(f"the best is trial {best.number + 1}, {best.changes}: {pair}")
    again = {t.is_default: t for t in search.trials if t.confirms}
    if len(again) == 2:
        scores = [show_score(again[which], search) for which in (False, True)]
        lines.append(f"with another seed: {scores[0]}, the spec itself {scores[1]}")
    if chosen.is_default:
        lines.append("so nothing was found that beats the spec itself twice: that stays")
    elif not search.options.confirm:
        lines.append("one seed alone may be luck: --confirm trains both with another")
    else:
        lines.append("it beats the spec itself with both seeds, in the same time of training")
    return lines


def told(trial: Trial, search: Search) -> str:
    """How a trial did, in words."""
    if trial.status == "failed":
        return f"failed: {trial.cause}"
    how = " when it was stopped early: worse than most" if trial.status == "early" else ""
    return f"{show_score(trial, search)} after {trial.steps} steps{how}"


def show_score(trial: Trial, search: Search) -> str:
    """A trial's score with its unit."""
    if trial.score is None:
        return "no score"
    if search.higher_is_better:
        return f"{trial.score:.2%} right"
    return f"{trial.score:.4f} bits per byte"


def _share(trial: Trial) -> int:
    return trial.share
