"""What a run's folder says of its spec and blueprint. Without torch."""

from pathlib import Path

from maquette.blueprint import serial
from maquette.blueprint.blueprint import AnyBlueprint, Blueprint, ImageBlueprint
from maquette.errors import RunError, SpecError
from maquette.runs.store import Run
from maquette.spec.budget import budget
from maquette.spec.load import load_spec
from maquette.spec.task import AnySpec, validate

RESOLVED = "resolved.yaml"
"""In a run's folder: its spec with all that its budget left to be chosen."""


def run_spec(run: Run) -> AnySpec:
    """The spec of a run with its overrides and absolute paths, and what was chosen by its budget.

    A budget is still there where nothing has been chosen yet. Raises RunError.
    """
    spec = _recorded_spec(run)
    resolved = run.path / RESOLVED
    if not budget(spec) or not resolved.exists():
        return spec
    try:
        return load_spec(resolved)
    except SpecError as error:
        raise RunError(
            f"{resolved} is damaged: {error.message}",
            hint=f"the dimensions that were chosen are in {run.blueprint_path} too",
        ) from None


def _recorded_spec(run: Run) -> AnySpec:
    if not run.meta.spec:
        raise RunError(
            f"{run.path / 'meta.json'} holds no spec: it is damaged",
            hint=f"the spec as written is in {run.spec_path}; a new run can be made from it",
        )
    try:
        return validate(run.meta.spec)
    except ValueError as error:
        raise RunError(f"{run.path / 'meta.json'} holds no spec: {error}") from None


def inherited_tokenizer(run: Run) -> Path | None:
    """The run's copy of the tokenizer that it took over; None if it has one of its own, or none."""
    inherited = run_spec(run).train.from_run is not None
    return run.tokenizer_path if inherited and run.tokenizer_path.exists() else None


def language_blueprint(run: Run) -> Blueprint:
    """What blueprint.json says of a language model. Raises RunError, also for another task's."""
    blueprint = read_blueprint(run)
    if isinstance(blueprint, Blueprint):
        return blueprint
    raise RunError(
        f"{run.id} tells images apart: it writes no text",
        hint=f"`maquette classify {run.name} IMAGE` uses it",
    )


def image_blueprint(run: Run) -> ImageBlueprint:
    """What blueprint.json says of an image classifier. Raises RunError, also for another task's."""
    blueprint = read_blueprint(run)
    if isinstance(blueprint, ImageBlueprint):
        return blueprint
    raise RunError(
        f"{run.id} is a language model: it looks at no images",
        hint=f"`maquette generate {run.name}` uses it",
    )


def read_blueprint(run: Run) -> AnyBlueprint:
    """What blueprint.json says. Raises RunError, which names it."""
    path = run.blueprint_path
    try:
        return serial.from_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        cause = (error.strerror or str(error)).lower()
        raise RunError(f"can't read {path}: {cause}") from None
    except UnicodeDecodeError as error:
        raise RunError(f"{path} is damaged: {error}") from None
    except RunError as error:
        raise RunError(f"{path}: {error.message}", hint=error.hint) from None
