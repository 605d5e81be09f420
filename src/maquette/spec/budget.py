"""Specs that say how much instead of what: their keys, and what is chosen by them."""

from typing import Any

from maquette.spec.image import ImageSpec
from maquette.spec.parts import Part
from maquette.spec.schema import Spec
from maquette.spec.task import AnySpec

BUDGET = ("size", "parameters", "memory", "latency", "minutes")
"""The keys of `model` that leave dimensions to be chosen."""
SIZES = {"tiny": 10**6, "small": 10**7, "medium": 124 * 10**6, "large": 350 * 10**6}
"""Size -> parameters."""
DIMENSIONS = ("depth", "width", "heads", "hidden")

# What a budget chooses where a spec doesn't say it, by part.
_CHOSEN: dict[type[AnySpec], dict[str, tuple[str, ...]]] = {
    Spec: {
        "model": (*DIMENSIONS, "kv_heads"),
        "tokenizer": ("vocabulary",),
        "train": ("steps", "epochs", "batch_size", "accumulation", "learning_rate"),
    },
    ImageSpec: {"model": ("variant",), "train": ("steps", "epochs")},
}


def budget(spec: AnySpec) -> dict[str, Any]:
    """The keys of the budget that a spec gives, and their values; empty without one."""
    values = {key: getattr(spec.model, key, None) for key in BUDGET}
    return {key: value for key, value in values.items() if value is not None}


def given(part: Part, key: str) -> Any:
    """What somebody wrote under a key; None where nobody did, whatever its default."""
    return getattr(part, key, None) if key in part.model_fields_set else None


def chosen_keys(spec_class: type[AnySpec]) -> dict[str, tuple[str, ...]]:
    """What a budget chooses, by part of the spec; an explicit key stays as it is."""
    return _CHOSEN[spec_class]


def to_data(spec: AnySpec) -> dict[str, Any]:
    """The spec as plain data with every default, but for what its budget is to choose."""
    data = spec.model_dump(mode="json")
    if budget(spec):
        for name, keys in _CHOSEN[type(spec)].items():
            part = getattr(spec, name)
            for key in keys:
                if key not in part.model_fields_set:
                    data[name].pop(key, None)
    return data
