"""The schemas of all tasks as one: which of them a spec follows."""

from typing import Any

from pydantic import TypeAdapter

from maquette.errors import UsageError
from maquette.spec.image import ImageSpec
from maquette.spec.schema import Spec

AnySpec = Spec | ImageSpec

TASKS: dict[str, type[AnySpec]] = {"language": Spec, "image-classification": ImageSpec}
FAMILIES = {"language": "gpt", "image-classification": "convnext"}
"""Task -> the family of its models."""


def spec_class(value: Any) -> type[AnySpec]:
    """The schema that a spec follows, by its task, or else by its model's family."""
    if not isinstance(value, dict):
        return Spec
    task, model = value.get("task"), value.get("model")
    if task is None and isinstance(model, dict):
        tasks = [task for task, family in FAMILIES.items() if family == model.get("family")]
        return TASKS[tasks[0]] if tasks else Spec
    return TASKS.get(task, Spec) if isinstance(task, str) else Spec


def language(spec: AnySpec) -> Spec:
    """The spec of a language model. Raises UsageError for that of another task."""
    if isinstance(spec, Spec):
        return spec
    raise UsageError(
        f"{spec.name} is a spec for {spec.task}, and this works with language models alone"
    )


def validate(value: Any) -> AnySpec:
    """The spec in plain data. Raises pydantic's ValidationError."""
    return spec_class(value).model_validate(value)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of any spec."""
    return TypeAdapter[AnySpec](AnySpec).json_schema()
