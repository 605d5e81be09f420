"""pydantic's errors and our own checks, told as `file:line: field=value what; repair`."""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from maquette.errors import SpecError
from maquette.quantities import parse_count
from maquette.spec import checks, fields
from maquette.spec.document import Mark, Node, printable, resolve_scalar
from maquette.spec.parts import Part
from maquette.spec.task import FAMILIES, TASKS, AnySpec

_MOST_SHOWN = 20


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an error of pydantic's is: in the tree that was read, and in the schema."""

    path: str
    mark: Mark
    node: Node | None
    part: type[Part] | None  # the one that should hold the key
    others: dict[str, type[Part]]  # what the same place could hold, by kind
    field: FieldInfo | None
    annotation: Any


def refuse(messages: Iterable[tuple[Mark, str]]) -> SpecError:
    """One error with a line for each message, in the order of the file."""
    unique = dict.fromkeys(messages)
    ordered = sorted(unique, key=lambda m: (m[0].line is None, m[0].line or 0))
    lines = [f"{mark}: {text}" for mark, text in ordered]
    if len(lines) > _MOST_SHOWN:
        lines = [*lines[:_MOST_SHOWN], f"... and {len(lines) - _MOST_SHOWN} more"]
    return SpecError("\n".join(lines))


def schema_errors(errors: Sequence[ErrorDetails], root: Node, whole: type[AnySpec]) -> SpecError:
    """What pydantic refused of a spec that follows a schema, for people."""
    return refuse(
        (place.mark, _message(error, place))
        for error in errors
        for place in [_place(error["loc"], root, whole)]
        if not (_is_of_one(error["loc"][-1]) and _is_list(place.node))  # the list's own one follows
    )


def _is_of_one(arm: str | int) -> bool:
    """Whether an error is that of the single value, where a list may stand too."""
    return arm == "str" or str(arm).startswith("literal[")


def _is_list(node: Node | None) -> bool:
    return node is not None and isinstance(node.value, list)


def check_errors(problems: Sequence[checks.Problem], root: Node) -> SpecError:
    """Impossible combinations, each at the first of its keys that was written."""
    return refuse((mark_of(problem.fields, root), problem.text) for problem in problems)


def mark_of(names: Sequence[str], root: Node) -> Mark:
    """Where the first of some dotted names that was written at all stands."""
    for name in names:
        node: Node | None = root
        for key in name.split("."):
            node = node.child(key) if node is not None else None
        if node is not None:
            return node.mark
    return root.mark


def _place(loc: Sequence[str | int], root: Node, whole: type[AnySpec]) -> _Place:
    """Follow pydantic's location, which names union tags besides keys, through schema and tree."""
    path: list[str] = []
    node: Node | None = root
    mark = root.mark
    annotation: Any = whole
    part: type[Part] | None = None
    others: dict[str, type[Part]] = dict(TASKS)
    field: FieldInfo | None = None
    for step in loc:
        kinds = fields.parts(annotation)
        if len(kinds) > 1:
            annotation = kinds.get(str(step), annotation)  # '[key]' stands here for a bad name
            others = kinds
            continue
        if kinds:
            others = others if annotation in others.values() else {}
            part = next(iter(kinds.values()))
            field = fields.keys(part).get(str(step))
            annotation = field.annotation if field is not None else None
        elif get_origin(annotation) is dict:
            part, field = None, None
            annotation = get_args(annotation)[1]
        elif isinstance(step, int):
            lists = (m for m in fields.members(annotation) if get_origin(m) is list)
            annotation = next((get_args(one)[0] for one in lists), str)
        else:
            continue  # the arm of a union of plain types
        path.append(printable(str(step)))
        node = node.child(step) if node is not None else None
        mark = node.mark if node is not None else mark
    return _Place(".".join(path), mark, node, part, others, field, annotation)


def _message(error: ErrorDetails, place: _Place) -> str:
    kind = error["type"]
    if place.path in ("task", "model.family") and kind == "literal_error":
        return _task_message(place)
    here = f"{place.path}={_shown(place.node)}" if place.path else "the spec"
    if kind == "extra_forbidden":
        return f"{here} is not a known key; {_known_keys(place)}"
    if kind == "missing":
        about = f": {place.field.description}" if place.field is not None else ""
        return f"{place.path} is missing; add it{about}"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _kind_message(place)
    if error["loc"][-1:] == ("[key]",):
        return _name_message(place.path, "the name ", place.path.rpartition(".")[2])
    if kind == "string_pattern_mismatch":
        text = str(error["input"])
        if place.path == "name":
            return _name_message(place.path, "", text)
        return f"{here} must look like owner/name, of letters, digits, '_', '-' and '.'"
    limits = fields.field_bounds(place.field) if place.field is not None else ""
    if kind == "too_short":
        return f"{here} is empty; give it at least one, or leave the key out"
    if kind in _LIMITS:
        return f"{here} must be {limits}"
    if kind == "finite_number":
        return f"{here} must be a finite number" + (f", {limits}" if limits else "")
    if kind == "value_error":  # of a number written with a unit
        return f"{place.path}: {printable(str(error['ctx']['error']), 200)}"
    if place.annotation is None:
        return f"{here}: {printable(error['msg'], 200)}"
    return f"{here} must be {fields.expected(place.annotation)}{_repair(place)}"


_LIMITS = {
    "greater_than",
    "greater_than_equal",
    "less_than",
    "less_than_equal",
    "string_too_short",
    "string_too_long",
    "too_long",
}


def _shown(node: Node | None) -> str:
    if node is None:
        return "null"
    if isinstance(node.value, dict):
        return "{...}" if node.value else "{}"
    if isinstance(node.value, list):
        return "[...]" if node.value else "[]"
    if node.value is None:
        return printable(node.text) or "null"
    if isinstance(node.value, str) and resolve_scalar(node.text) != node.value:
        return f'"{printable(node.text)}"'
    return printable(node.text) or '""'


def _known_keys(place: _Place) -> str:
    assert place.part is not None
    key = place.path.rpartition(".")[2]
    known = list(fields.keys(place.part))
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    knowing = [kind for kind, part in place.others.items() if key in fields.keys(part)]
    if knowing:
        word, own = fields.discriminator(place.part), fields.kind_of(place.part)
        return f"{word}: {' and '.join(knowing)} has it, {word}: {own} has not"
    return f"the keys here are {', '.join(known)}"


def _kind_message(place: _Place) -> str:
    kinds = list(fields.parts(place.annotation))
    given = place.node.child("kind") if place.node is not None else None
    if given is None:
        return f"{place.path}.kind is missing; add kind: {' or '.join(kinds)}"
    close = difflib.get_close_matches(str(given.value), kinds, n=1, cutoff=0.5)
    repair = f"did you mean {close[0]}?" if close else f"it can be {', '.join(kinds)}"
    return f"{place.path}.kind={_shown(given)} is unknown; {repair}"


def _task_message(place: _Place) -> str:
    """A task that there isn't, or a model that another task has."""
    here = f"{place.path}={_shown(place.node)}"
    value = place.node.value if place.node is not None else None
    if place.path == "task":
        close = difflib.get_close_matches(str(value), TASKS, n=1, cutoff=0.5)
        repair = f"did you mean {close[0]}?" if close else f"it can be {' or '.join(TASKS)}"
        return f"{here} is unknown; {repair}"
    families = {family: task for task, family in FAMILIES.items()}
    if value in families:
        return f"{here} is no model of this task; its task is {families[value]}"
    return f"{here} is unknown; it can be {' or '.join(families)}"


def _name_message(path: str, what: str, text: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-").lstrip("0123456789-")[:64]
    repair = f"; try {slug}" if slug else ""
    return (
        f"{what}{path if what else f'{path}={printable(text)}'} must be lower case letters, digits "
        f"and hyphens (at most 64) and begin with a letter{repair}"
    )


def _repair(place: _Place) -> str:
    """A concrete way out for a value of the wrong type; '' when nothing better is known."""
    value = place.node.value if place.node is not None else None
    arms = fields.members(place.annotation)
    if isinstance(value, (dict, list)):
        return ""
    if bool in arms and isinstance(value, str):
        word = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false"}
        answer = word.get(value.lower(), value.lower() if value.lower() in word.values() else "")
        if answer:
            return f"; write {answer}"
    words = fields.choices(place.annotation)
    if words:
        close = difflib.get_close_matches(str(value), words, n=1, cutoff=0.5)
        return f"; did you mean {close[0]}?" if close else ""
    if int in arms or float in arms:
        return _number_repair(value, whole=int in arms)
    if str in arms and value is not None and place.node is not None:
        return f'; put it in quotes: "{printable(place.node.text)}"'
    kinds = fields.parts(place.annotation)
    if isinstance(value, str) and value in kinds:
        return f"; write {{kind: {value}}}"
    return ""


def _number_repair(value: object, *, whole: bool) -> str:
    if isinstance(value, float) and whole and value.is_integer() and abs(value) < 1e15:
        return f"; write {int(value)}"
    if isinstance(value, str):
        as_number = resolve_scalar(value.strip())
        if isinstance(as_number, int) or (isinstance(as_number, float) and not whole):
            return f"; write {value.strip()} without quotes"
        try:
            return f"; write {parse_count(value)}"
        except (ValueError, OverflowError):
            return ""
    return ""
