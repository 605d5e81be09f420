"""A spec being written: its text, the form that the schema makes of it, and changes to it.

A change keeps the rest of the text, comments too, and drops keys as `--set` does: those of another
`kind`, and what a budget chooses.
"""

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from maquette.base import parse_spec
from maquette.errors import SpecError
from maquette.runs.store import Store
from maquette.spec import fields
from maquette.spec.document import Node, plain, printable, read_document, resolve_scalar
from maquette.spec.load import override
from maquette.spec.parts import Part
from maquette.spec.task import AnySpec, spec_class

_PLACE = re.compile(r"^(?P<origin>.*?):(?P<line>\d+): (?P<text>.*)$")
_FIELD = re.compile(r"(?:the name )?([A-Za-z_][A-Za-z0-9_.-]*)")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the form: a key with its value, or the heading of a part."""

    path: str  # dotted
    depth: int
    about: str
    expected: str = ""  # what may be written, in words
    written: str | None = None  # the value in the text; None where it has its default
    default: str = ""
    choices: tuple[str, ...] = ()
    is_text: bool = False  # whatever is typed is meant as text
    heading: bool = False
    source: bool = False  # one of a mapping of names, which can be taken out again

    @property
    def key(self) -> str:
        """The last part of its path."""
        return self.path.rpartition(".")[2]

    @property
    def editable(self) -> bool:
        """Whether there is a value to be changed."""
        return bool(self.choices) or not self.heading

    @property
    def target(self) -> str:
        """The key that is set: of a part the one that says its kind."""
        return f"{self.path}.kind" if self.heading else self.path


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong with the text, where, and which key it is about."""

    text: str
    line: int | None
    path: str


@dataclass(frozen=True, slots=True)
class Draft:
    """The text of a spec, what it is called in messages, and where its relative paths begin."""

    text: str
    origin: str
    folder: Path

    def lines(self) -> list[Line]:
        """The form. Raises SpecError for a text that is no YAML."""
        root = read_document(self.text, self.origin)
        return list(_part_lines(spec_class(plain(root)), root, "", 0))

    def check(self, store: Store) -> AnySpec:
        """The spec, as `maquette check` reads it. Raises SpecError."""
        return parse_spec(self.text, origin=self.origin, folder=self.folder, store=store)

    def set(self, path: str, value: str, *, is_text: bool = False) -> "Draft":
        """With a key set to a YAML value, or to a text. Raises SpecError."""
        written = json.dumps(value, ensure_ascii=False) if is_text else value
        root = read_document(self.text, self.origin)
        if root.value is None:
            root = replace(root, value={})
        root = override(root, f"{path}={written}")
        document, yaml = self._document()
        _prune(document, root)
        place = document
        *above, key = path.split(".")
        for name in above:
            if not isinstance(place.get(name), CommentedMap):
                _put(place, name, CommentedMap())
            place = place[name]
        _put(place, key, value if is_text else _load(yaml, value))
        return self._dumped(document, yaml)

    def unset(self, path: str) -> "Draft":
        """With a key back at its default. Raises SpecError."""
        document, yaml = self._document()
        chain = [document]
        *above, key = path.split(".")
        for name in above:
            if not isinstance(chain[-1].get(name), CommentedMap):
                return self
            chain.append(chain[-1][name])
        chain[-1].pop(key, None)
        for place, name in zip(chain[-2::-1], above[::-1], strict=True):
            if not place[name]:
                del place[name]
        return self._dumped(document, yaml)

    def _document(self) -> tuple[CommentedMap, YAML]:
        yaml = YAML()
        yaml.preserve_quotes = True
        yaml.width = 10**6
        try:
            document = yaml.load(self.text)
        except (YAMLError, ValueError) as error:
            raise SpecError(f"{self.origin}: can't be changed here: {_first(error)}") from None
        if document is None:
            document = CommentedMap()
        if not isinstance(document, CommentedMap):
            raise SpecError(f"{self.origin}: a spec is a mapping of keys")
        return document, yaml

    def _dumped(self, document: CommentedMap, yaml: YAML) -> "Draft":
        stream = io.StringIO()
        yaml.dump(document, stream)
        text = stream.getvalue()
        return replace(self, text="" if text.strip() == "{}" else text)


def problems_of(error: SpecError) -> list[Problem]:
    """What a refusal says, one by one."""
    found = []
    for line in error.message.splitlines():
        match = _PLACE.match(line)
        text = match["text"] if match else line
        field = _FIELD.match(text)
        found.append(
            Problem(text, int(match["line"]) if match else None, field[1] if field else "")
        )
    if error.hint:
        found.append(Problem(error.hint, None, ""))
    return found


def _part_lines(part: type[Part], node: Node | None, before: str, depth: int) -> Iterator[Line]:
    for name, field in fields.keys(part).items():
        path = f"{before}{name}"
        child = node.child(name) if node is not None else None
        kinds = fields.parts(field.annotation)
        values = fields.values_of(field.annotation)
        if values is not None:
            yield Line(path, depth, field.description or "", heading=True)
            yield from _named_lines(values, child, field, path, depth + 1)
        elif kinds:
            yield from _kind_lines(kinds, child, _kind_now(child, field), path, depth, field)
        elif fields.choices(field.annotation)[1:] or not fields.choices(field.annotation):
            yield _value_line(path, depth, field, child)


def _named_lines(
    values: Any, node: Node | None, field: FieldInfo, path: str, depth: int
) -> Iterator[Line]:
    kinds = fields.parts(values)
    written = node.value if node is not None and isinstance(node.value, dict) else None
    names: dict[str, tuple[Node | None, str | None]]
    if written is None:
        default = field.get_default(call_default_factory=True)
        names = {name: (None, part.kind) for name, part in default.items()}
    else:
        names = {name: (child, _written_kind(child)) for name, child in written.items()}
    for name, (child, kind) in names.items():
        yield from _kind_lines(kinds, child, kind, f"{path}.{name}", depth, None)


def _kind_lines(
    kinds: dict[str, type[Part]],
    node: Node | None,
    kind: str | None,
    path: str,
    depth: int,
    field: FieldInfo | None,
) -> Iterator[Line]:
    """The heading of a part, with its kind where there are several, and its keys."""
    part = kinds.get(kind or "") or (next(iter(kinds.values())) if len(kinds) == 1 else None)
    about = (field.description or "") if field is not None else (part.__doc__ or "" if part else "")
    several = tuple(kinds) if len(kinds) > 1 else ()
    written = node.child("kind") if node is not None else None
    default = _default_kind(field) if field is not None else "" if node is not None else kind or ""
    yield Line(
        path,
        depth,
        about,
        expected=f"one of {', '.join(several)}" if several else "",
        written=kind if several and written is not None else None,
        default=default if several else "",
        choices=several,
        heading=True,
        source=field is None,
    )
    if part is not None:
        for line in _part_lines(part, node, f"{path}.", depth + 1):
            if not (several and line.path == f"{path}.kind"):
                yield line


def _written_kind(node: Node) -> str | None:
    child = node.child("kind")
    return str(child.value) if child is not None else None


def _kind_now(node: Node | None, field: FieldInfo) -> str | None:
    return (_written_kind(node) if node is not None else None) or _default_kind(field)


def _default_kind(field: FieldInfo) -> str:
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    return str(getattr(default, "kind", ""))


def _value_line(path: str, depth: int, field: FieldInfo, node: Node | None) -> Line:
    limits = fields.field_bounds(field)
    expected = fields.expected(field.annotation)
    members = fields.members(field.annotation)
    return Line(
        path,
        depth,
        field.description or "",
        expected=expected + (f", {limits}" if limits else ""),
        written=_as_written(node) if node is not None else None,
        default=_default(field),
        choices=tuple(fields.choices(field.annotation)),
        is_text=members == [str],
    )


def _as_written(node: Node) -> str:
    if isinstance(node.value, dict | list):
        return printable(json.dumps(plain(node), ensure_ascii=False), 1000)
    if isinstance(node.value, str):
        return node.value
    return node.text or "null"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return ""
    if isinstance(value, float):
        return fields.number(value)
    return value if isinstance(value, str) else json.dumps(value)


def _prune(document: CommentedMap, node: Node) -> None:
    """Drop what a tree doesn't have any more."""
    assert isinstance(node.value, dict)
    for key in list(document):
        child = node.value.get(str(key))
        if child is None:
            del document[key]
        elif isinstance(document[key], CommentedMap) and isinstance(child.value, dict):
            _prune(document[key], child)


def _put(place: CommentedMap, key: str, value: Any) -> None:
    """Change a key; a new one comes last, but before the blank lines that end a part."""
    if key in place or not _ends_apart(place):
        place[key] = value
    else:
        place.insert(len(place) - 1, key, value)


def _ends_apart(place: CommentedMap) -> bool:
    """Whether a blank line, or a comment in lines of its own, follows the last key."""
    if not place:
        return False
    last = next(reversed(place))
    tokens = [token for token in place.ca.items.get(last) or () if token is not None]
    inner = place[last]
    if any("\n" in getattr(token, "value", "").rstrip(" ")[:-1] for token in tokens):
        return True
    return isinstance(inner, CommentedMap) and _ends_apart(inner)


def _load(yaml: YAML, value: str) -> Any:
    # What YAML's reader takes for text that ours takes for a number is written as it was typed.
    loaded = yaml.load(value)
    if isinstance(loaded, str) and not isinstance(resolve_scalar(value.strip()), str):
        return resolve_scalar(value.strip())
    return loaded


def _first(error: Exception) -> str:
    return printable(str(error).strip().splitlines()[0] if str(error).strip() else "no YAML", 200)
