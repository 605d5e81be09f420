"""What another training begins from: `train.from` in a spec. Without torch."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar, cast

from maquette.blueprint.blueprint import ImageBlueprint
from maquette.blueprint.resolve import resolve_shape
from maquette.errors import CheckpointError, MaquetteError, SpecError
from maquette.reading import read_blueprint, run_spec
from maquette.runs.store import Run, Store
from maquette.spec import load
from maquette.spec.budget import BUDGET
from maquette.spec.checks import Problem
from maquette.spec.image import ConvNeXtModel, ImageSpec
from maquette.spec.parts import WEIGHTS
from maquette.spec.schema import GPTModel, Spec
from maquette.spec.task import AnySpec

# What a run may have otherwise than its base, of the model's keys.
_FREE = ("context", "dropout")
_FREE_OF_IMAGES = ("image_size", "drop_path", "layer_scale")

S = TypeVar("S", bound=AnySpec)


class _Base(NamedTuple):
    """A run to begin from, its spec, and the step of one of its checkpoints."""

    run: Run
    spec: AnySpec
    step: int


def load_spec(path: Path | str, overrides: Sequence[str], store: Store) -> AnySpec:
    """As `spec.load.load_spec`, with all that it takes over from a run. Raises SpecError."""
    return _read(lambda further: load.load_spec(path, overrides, further=further), store)


def parse_spec(text: str, *, origin: str, folder: Path, store: Store) -> AnySpec:
    """As `spec.load.parse_spec`, with all that it takes over from a run. Raises SpecError."""
    return _read(
        lambda further: load.parse_spec(text, origin=origin, folder=folder, further=further), store
    )


def _read(read: Callable[[load.Checks], AnySpec], store: Store) -> AnySpec:
    found: list[_Base] = []

    def problems(spec: AnySpec) -> list[Problem]:
        base = _find(spec, store)
        if not isinstance(base, _Base):
            return base
        found.append(base)
        return _problems(spec, base)

    spec = read(problems)
    return _inherited(spec, found[0]) if found else spec


def inherit(spec: S, store: Store) -> S:
    """The spec with the model and tokenizer of the run that it begins from, if there is one.

    That run becomes an absolute path, and its checkpoint a step. Raises SpecError.
    """
    base = _find(spec, store)
    problems = _problems(spec, base) if isinstance(base, _Base) else base
    if problems:
        raise SpecError("\n".join(problem.text for problem in problems))
    return cast(S, _inherited(spec, base)) if isinstance(base, _Base) else spec


def base_weights(spec: AnySpec) -> Path | None:
    """What an inherited spec begins from: a checkpoint, every byte of it checked, or a file.

    None if it begins from nothing. Raises CheckpointError.
    """
    begins_from = spec.train.from_run
    if begins_from is None:
        return None
    path = Path(begins_from)
    if begins_from.endswith(WEIGHTS):
        return path
    try:
        return Run(path).checkpoint(spec.train.from_checkpoint).path
    except CheckpointError as error:
        raise CheckpointError(
            f"the run to begin from, {path}, is gone or changed: {error.message}",
            hint="start the training anew from a run that is there",
        ) from None


def _find(spec: AnySpec, store: Store) -> _Base | list[Problem]:
    """The run that a spec begins from, every byte of its checkpoint checked, or why there is none.

    Nothing is wrong where it begins from none, or from a file that is there.
    """
    train = spec.train
    if train.from_run is None:
        return []
    if train.from_run.endswith(WEIGHTS):
        return _file_problems(spec, Path(train.from_run))
    try:
        run = store.find(train.from_run)
        base = _Base(run, run_spec(run), run.checkpoint(train.from_checkpoint).step)
    except MaquetteError as error:
        hint = f"; {error.hint}" if error.hint else ""
        text = f"train.from={train.from_run}: {error.message}{hint}"
        checkpoint = ("train.from_checkpoint",) if isinstance(error, CheckpointError) else ()
        return [Problem((*checkpoint, "train.from"), text)]
    if base.spec.task != spec.task:
        text = f"train.from={train.from_run} is a run of another task, {base.spec.task}"
        return [Problem(("train.from",), f"{text}; this one's is {spec.task}")]
    return base


def _file_problems(spec: AnySpec, file: Path) -> list[Problem]:
    if not isinstance(spec, ImageSpec):
        text = f"train.from={file} is a file, and a language model begins from a run; name one"
    elif not file.is_file():
        text = f"train.from={file}: there is no such file; name a run, or a file of weights"
    elif "from_checkpoint" in spec.train.model_fields_set:
        text = "train.from_checkpoint chooses among those of a run, and train.from is a file"
    else:
        return []
    return [Problem(("train.from",), text)]


def _inherited(spec: AnySpec, base: _Base) -> AnySpec:
    begin = {"from_run": str(base.run.path), "from_checkpoint": base.step}
    changed: dict[str, object] = {"train": spec.train.model_copy(update=begin)}
    if isinstance(base.spec, Spec):
        changed["model"] = base.spec.model.model_copy(update=_written(spec.model, _FREE))
        changed["tokenizer"] = base.spec.tokenizer
    else:
        stem = {"stem_stride": _stem_stride(base.run)}
        changed["model"] = base.spec.model.model_copy(
            update=stem | _written(spec.model, _FREE_OF_IMAGES)
        )
    return spec.model_copy(update=changed)


def _written(model: GPTModel | ConvNeXtModel, keys: Sequence[str]) -> dict[str, object]:
    return {key: getattr(model, key) for key in keys if key in model.model_fields_set}


def _stem_stride(run: Run) -> int:
    """As it was resolved: by the base's images, not by those that come now."""
    blueprint = read_blueprint(run)
    assert isinstance(blueprint, ImageBlueprint)
    return blueprint.shape.stem_stride


def _problems(spec: AnySpec, base: _Base) -> list[Problem]:
    """What a spec says of model and tokenizer that isn't so."""
    if isinstance(spec, Spec) and isinstance(base.spec, Spec):
        return [
            *_model_problems(spec.model, base.spec.model, base.run),
            *_tokenizer_problems(spec, base.spec, base.run),
        ]
    assert isinstance(spec, ImageSpec)
    assert isinstance(base.spec, ImageSpec)
    there = {"variant": base.spec.model.variant, "stem_stride": _stem_stride(base.run)}
    return [
        _differs(f"model.{key}", getattr(spec.model, key), value, base.run)
        for key, value in there.items()
        if key in spec.model.model_fields_set and getattr(spec.model, key) != value
    ]


def _model_problems(model: GPTModel, base: GPTModel, run: Run) -> list[Problem]:
    written = {key: getattr(model, key) for key in model.model_fields_set}
    here = resolve_shape(base.model_copy(update=written), 256)
    there = resolve_shape(base, 256)
    found = [
        _differs(f"model.{key}", getattr(here, key), getattr(there, key), run)
        for key in sorted(written)
        if key not in (*_FREE, "family", *BUDGET) and getattr(here, key) != getattr(there, key)
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
