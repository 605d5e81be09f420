"""A spec as YAML that reads back as the same spec."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from maquette.spec.document import resolve_scalar
from maquette.spec.task import AnySpec

_PLAIN = re.compile(r"[A-Za-z_/~.][A-Za-z0-9_./~ -]*[A-Za-z0-9_./~-]|[A-Za-z]")
_WIDTH = 96


def to_yaml(spec: AnySpec, *, whole: bool = False, about: Sequence[str] = ()) -> str:
    """The spec with its task and what somebody wrote or chose; `whole`: every default too.

    `about`: lines of a comment before it.
    """
    data = spec.model_dump(mode="json", exclude_unset=not whole)
    first = {"name": spec.name, "task": spec.task}
    lines = [f"# {_printable(line)}" for line in about]
    return "\n".join([*lines, *_mapping({**first, **data}, 0)]) + "\n"


def _mapping(value: dict[str, Any], indent: int) -> Iterator[str]:
    margin = " " * indent
    for key, inner in value.items():
        line = f"{margin}{_scalar(key)}: {_flow(inner)}"
        if isinstance(inner, dict) and inner and (indent == 0 or len(line) > _WIDTH):
            yield f"{margin}{_scalar(key)}:"
            yield from _mapping(inner, indent + 2)
        else:
            yield line


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{_scalar(key)}: {_flow(each)}" for key, each in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    """As YAML 1.2 reads it back: text in quotes wherever anything else could be meant."""
    if isinstance(value, str):
        if _PLAIN.fullmatch(value) and resolve_scalar(value) == value:
            return value
        return _printable(json.dumps(value, ensure_ascii=False))
    return json.dumps(value, allow_nan=False)


def _printable(text: str) -> str:
    """Escapes for what has no place in a YAML file, or in a line of it."""
    return "".join(
        c if c.isprintable() else f"\\u{ord(c):04x}" if ord(c) < 0x10000 else f"\\U{ord(c):08x}"
        for c in text
    )
