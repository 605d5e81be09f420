"""The schema as data: which keys a part has, what a key takes, in words for people."""

import math
from collections.abc import Iterable
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from maquette.spec.parts import Part


def members(annotation: Any) -> list[Any]:
    """The members of a union, `Annotated` and `None` taken off; a single one otherwise."""
    if get_origin(annotation) is Annotated:
        return members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        found = [m for arm in get_args(annotation) for m in members(arm)]
        return [m for m in found if m is not type(None)]
    return [annotation]


def parts(annotation: Any) -> dict[str, type[Part]]:
    """The parts that a value may be, by kind; a part without `kind` stands under its name."""
    return {
        kind_of(member): member
        for member in members(annotation)
        if isinstance(member, type) and issubclass(member, Part)
    }


def keys(part: type[Part]) -> dict[str, FieldInfo]:
    """The keys of a part as they are written: `from` can't be a name in Python."""
    return {field.alias or name: field for name, field in part.model_fields.items()}


def discriminator(part: type[Part]) -> str:
    """The key that tells a part from others in its place: `kind`, or of a whole spec `task`."""
    return "task" if "task" in part.model_fields else "kind"


def kind_of(part: type[Part]) -> str:
    """The `kind` (or task) that a part stands for; its class name where it has none."""
    field = part.model_fields.get(discriminator(part))
    return str(get_args(field.annotation)[0]) if field is not None else part.__name__


def values_of(annotation: Any) -> Any:
    """What a mapping of names holds; None for anything else."""
    return get_args(annotation)[1] if get_origin(annotation) is dict else None


def is_nullable(annotation: Any) -> bool:
    """Whether null is a value."""
    return type(None) in get_args(annotation)


def choices(annotation: Any) -> list[str]:
    """The words of a Literal, `true` and `false` of a bool; empty for anything open."""
    found: list[str] = []
    for member in members(annotation):
        if get_origin(member) is Literal:
            found += map(str, get_args(member))
        elif member is bool:
            found += ["true", "false"]
        else:
            return []
    return found


def expected(annotation: Any) -> str:
    """What a value must be, in words: 'a whole number', 'one of learned, rope'."""
    words = choices(annotation)
    if words:
        return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
    kinds = parts(annotation)
    if kinds:
        return "a mapping of keys" if len(kinds) == 1 else f"{{kind: {' | '.join(kinds)}, ...}}"
    names = {int: "a whole number", float: "a number", str: "text"}
    described = []
    for member in members(annotation):
        if get_origin(member) is dict:
            described.append("a mapping of names")
        elif get_origin(member) is list:
            described.append("a list of them" if choices(get_args(member)[0]) else "a list of text")
        elif get_origin(member) is Literal:
            described += map(str, get_args(member))
        else:
            described.append(names[member])
    if is_nullable(annotation):
        described.append("null")
    return " or ".join(described)


def bounds(metadata: Iterable[Any]) -> str:
    """Numeric or length bounds, in words: 'from 1 to 256', 'above 0, at most 10'; '' without."""
    found: dict[str, float] = {}
    for constraint in metadata:
        for name in ("ge", "gt", "le", "lt", "min_length", "max_length"):
            value = getattr(constraint, name, None)
            if value is not None:
                found[name] = value
    if "ge" in found and "le" in found:
        return f"from {number(found['ge'])} to {number(found['le'])}"
    texts = {
        "ge": "at least {}",
        "gt": "above {}",
        "le": "at most {}",
        "lt": "below {}",
        "min_length": "not empty",
        "max_length": "at most {} long",
    }
    order = ("ge", "gt", "le", "lt", "min_length", "max_length")
    return ", ".join(texts[name].format(number(found[name])) for name in order if name in found)


def number(value: float) -> str:
    """A number as a person would write it in a spec."""
    if isinstance(value, int):
        power = round(math.log2(value)) if value > 2**20 else 0
        if power > 40 and value == 2**power:
            return f"2^{power}"
        return str(value)
    text = f"{value:g}"
    return text.replace("e-0", "e-") if float(text) == value else repr(value)


def field_bounds(field: FieldInfo) -> str:
    """The bounds of a field, in words; those of its single values, not of a list's length."""
    return bounds(field.metadata)


def pattern(field: FieldInfo) -> str:
    """The pattern that a field's text matches; '' without."""
    found = [getattr(extra, "pattern", None) for extra in field.metadata]
    return next((text for text in found if text), "")
