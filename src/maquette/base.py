"""The run that another one begins from: `train.from` in a spec. Without torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from maquette.blueprint.resolve import resolve_shape
from maquette.errors import CheckpointError, MaquetteError, SpecError
from maquette.reading import run_spec
from maquette.runs.store import Checkpoint, Run, Store
from maquette.spec import load
from maquette.spec.checks import Problem
from maquette.spec.schema import GPTModel, Spec
from maquette.spec.task import AnySpec, language

_FREE = ("context", "dropout")  # of the model's keys: what a run may have otherwise than its base


class _Base(NamedTuple):
    """A run to begin from, its spec, and the step of one of its checkpoints."""

    run: Run
    spec: Spec
    step: int


def load_spec(path: Path | str, overrides: Sequence[str], store: Store) -> Spec:
    """As `spec.load.load_spec`, with all that it takes over from a run. Raises SpecError."""
    found: list[_Base] = []

    def problems(parsed: AnySpec) -> list[Problem]:
        spec = language(parsed)
        base = _find(spec, store)
        if not isinstance(base, _Base):
            return base
        found.append(base)
        return _problems(spec, base)

    spec = language(load.load_spec(path, overrides, further=problems))
    return _inherited(spec, found[0]) if found else spec


def inherit(spec: Spec, store: Store) -> Spec:
    """The spec with the model and tokenizer of the run that it begins from, if there is one.

    That run becomes an absolute path, and its checkpoint a step. Raises SpecError.
    """
    base = _find(spec, store)
    problems = _problems(spec, base) if isinstance(base, _Base) else base
    if problems:
        raise SpecError("\n".join(problem.text for problem in problems))
    return _inherited(spec, base) if isinstance(base, _Base) else spec


def base_checkpoint(spec: Spec) -> Checkpoint | None:
    """The checkpoint that an inherited spec begins from, every byte of it checked.

    None if it begins from none. Raises CheckpointError.
    """
    if spec.train.from_run is None:
        return None
    run = Run(Path(spec.train.from_run))
    try:
        return run.checkpoint(spec.train.from_checkpoint)
    except CheckpointError as error:
        raise CheckpointError(
            f"the run to begin from, {run.path}, is gone or changed: {error.message}",
            hint="start the training anew from a run that is there",
        ) from None


def _find(spec: Spec, store: Store) -> _Base | list[Problem]:
    """The run that a spec begins from, every byte of its checkpoint checked, or why there is none.

    Nothing is wrong where it begins from none.
    """
    train = spec.train
    if train.from_run is None:
        return []
    try:
        run = store.find(train.from_run)
        return _Base(run, run_spec(run), run.checkpoint(train.from_checkpoint).step)
    except MaquetteError as error:
        hint = f"; {error.hint}" if error.hint else ""
        text = f"train.from={train.from_run}: {error.message}{hint}"
        checkpoint = ("train.from_checkpoint",) if isinstance(error, CheckpointError) else ()
        return [Problem((*checkpoint, "train.from"), text)]


def _inherited(spec: Spec, base: _Base) -> Spec:
    free = {key: getattr(spec.model, key) for key in _FREE if key in spec.model.model_fields_set}
    begin = {"from_run": str(base.run.path), "from_checkpoint": base.step}
    return spec.model_copy(
        update={
            "model": base.spec.model.model_copy(update=free),
            "tokenizer": base.spec.tokenizer,
            "train": spec.train.model_copy(update=begin),
        }
    )


def _problems(spec: Spec, base: _Base) -> list[Problem]:
    """What a spec says of model and tokenizer that isn't so."""
    return [
        *_model_problems(spec.model, base.spec.model, base.run),
        *_tokenizer_problems(spec, base.spec, base.run),
    ]


def _model_problems(model: GPTModel, base: GPTModel, run: Run) -> list[Problem]:
    written = {key: getattr(model, key) for key in model.model_fields_set}
    here = resolve_shape(base.model_copy(update=written), 256)
    there = resolve_shape(base, 256)
    found = [
        _differs(f"model.{key}", getattr(here, key), getattr(there, key), run)
        for key in sorted(written)
        if key not in (*_FREE, "family") and getattr(here, key) != getattr(there, key)
    ]
    if here.context > there.context:
        found.append(
            Problem(
                ("model.context",),
                f"model.context={here.context} is longer than the {there.context} of {run.id}, "
                f"which it begins from; try {there.context} or leave it out",
            )
        )
    return found


def _tokenizer_problems(spec: Spec, base: Spec, run: Run) -> list[Problem]:
    if "tokenizer" not in spec.model_fields_set:
        return []
    there = base.tokenizer
    if spec.tokenizer.kind != there.kind:
        return [_differs("tokenizer.kind", spec.tokenizer.kind, there.kind, run)]
    return [
        _differs(f"tokenizer.{key}", getattr(spec.tokenizer, key), getattr(there, key), run)
        for key in sorted(spec.tokenizer.model_fields_set)
        if getattr(spec.tokenizer, key) != getattr(there, key)
    ]


def _differs(key: str, here: object, there: object, run: Run) -> Problem:
    return Problem(
        (key, key.partition(".")[0]),
        f"{key}={_word(here)} differs from the {_word(there)} of {run.id}, which it begins from; "
        "leave it out",
    )


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
