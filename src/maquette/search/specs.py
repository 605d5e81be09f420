"""The specs of a search: short ones for its trials, and the winner's for a whole training."""

from typing import Any

from maquette.search.record import Search, Trial
from maquette.search.report import verdict_of
from maquette.spec.task import AnySpec, validate

EVALUATIONS = 10


def short_spec(trial: Trial, whole_steps: int) -> AnySpec:
    """What a trial trains: its spec with a length of its own, and ten evaluations."""
    assert trial.steps is not None
    data = {**trial.spec, "name": f"{trial.spec['name'][:56]}-t{trial.number + 1}"}
    train = dict(with_steps(trial.spec["train"], trial.steps, whole_steps))
    every = max(1, trial.steps // EVALUATIONS)
    train["evaluate"] = {**train["evaluate"], "every": every, "patience": None}
    train["checkpoint"] = {"every": None, "keep": 2}
    if "sample" in train:
        train["sample"] = {**train["sample"], "every": trial.steps}
    return validate({**data, "train": train})


def with_steps(train: dict[str, Any], steps: int, whole_steps: int) -> dict[str, Any]:
    """The `train` of a spec for another number of steps; a given warmup keeps its share."""
    schedule = dict(train["schedule"])
    if schedule["warmup_steps"] is not None:
        share = schedule["warmup_steps"] / whole_steps
        schedule["warmup_steps"] = min(steps, max(1, round(share * steps)))
    return {**train, "steps": steps, "epochs": None, "schedule": schedule}


def best_spec(search: Search) -> AnySpec:
    """The winner for a whole training, which takes as long as that of the spec would."""
    best = verdict_of(search)
    if best is None or best.is_default:
        return _brief(search.spec)
    first = search.trials[0]
    assert first.step_seconds is not None
    assert best.step_seconds is not None
    steps = max(1, round(search.whole_steps * first.step_seconds / best.step_seconds))
    data = {**best.spec, "train": with_steps(best.spec["train"], steps, search.whole_steps)}
    return _brief(data)


def _brief(data: dict[str, Any]) -> AnySpec:
    """The spec as though nobody had written what is the default anyway."""
    return validate(validate(data).model_dump(exclude_defaults=True))
