"""YAML text as a tree of nodes that know their line.

The YAML 1.2 core schema (https://yaml.org/spec/1.2.2/#103-core-schema) and nothing more: `1e-4`
is a number, `no` is text, tags are the plain ones, an alias is a copy of its anchor. ruamel.yaml
parses; the tree is built here, because its constructors lose lines and follow any alias.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)
from ruamel.yaml.reader import ReaderError

from maquette.errors import SpecError

MAX_BYTES = 2**20
MAX_DEPTH = 32
MAX_NODES = 20_000  # after aliases are expanded

Scalar = str | int | float | bool | None

_CORE = "tag:yaml.org,2002:"
_NULL = re.compile(r"null|Null|NULL|~|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]{1,40}")
_OCTAL = re.compile(r"0o[0-7]{1,40}")
_HEX = re.compile(r"0x[0-9a-fA-F]{1,40}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITY = re.compile(r"[-+]?\.(inf|Inf|INF)")
_NAN = re.compile(r"\.(nan|NaN|NAN)")


@dataclass(frozen=True, slots=True)
class Mark:
    """Where something was written: a file and its line, or the option that set it."""

    origin: str
    line: int | None = None

    def __str__(self) -> str:
        return self.origin if self.line is None else f"{self.origin}:{self.line}"


@dataclass(frozen=True, slots=True)
class Node:
    """A value, where it was written (the line of its key), and a scalar's text as written."""

    mark: Mark
    value: "Scalar | dict[str, Node] | list[Node]"
    text: str = ""
    height: int = 1
    nodes: int = 1

    def child(self, key: str | int) -> "Node | None":
        """The node under a key or at an index, if there is one."""
        if isinstance(self.value, dict):
            return self.value.get(str(key))
        if isinstance(self.value, list) and isinstance(key, int) and key < len(self.value):
            return self.value[key]
        return None


def plain(node: Node) -> object:
    """The tree as plain dicts, lists and scalars."""
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value


def printable(text: str, limit: int = 60) -> str:
    """Text safe to show in one line of a message: cut, and escaped where it can't be printed."""
    shown = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: limit + 1]
    )
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def resolve_scalar(text: str) -> Scalar:
    """The value of a plain (unquoted) scalar; numbers of absurd length stay text."""
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text):
        return True
    if _FALSE.fullmatch(text):
        return False
    if _INT.fullmatch(text):
        return int(text)
    if _OCTAL.fullmatch(text) or _HEX.fullmatch(text):
        return int(text, 0)
    if len(text) <= 100 and (_FLOAT.fullmatch(text) or _NAN.fullmatch(text)):
        return float(text.lstrip(".") if text[1:2] in "nN" else text)
    if _INFINITY.fullmatch(text):
        return float(text.replace(".", ""))
    return text


def read_document(text: str, origin: str, *, numbered: bool = True) -> Node:
    """The single YAML document in `text`. Raises SpecError.

    `numbered=False` is for text that has no lines to speak of, such as an option's value.
    """
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise SpecError(f"{Mark(origin)}: larger than 1 MiB; a spec is a short text file")
    composer = _Composer(origin, numbered)
    yaml = YAML(typ="safe", pure=True)
    try:
        return composer.document(yaml.parse(text))
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise SpecError(
            f"{composer.mark(line)}: the control character U+{ord(text[error.position]):04X} "
            "has no place in YAML; remove it"
        ) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise SpecError(
            f"{composer.mark(mark.line + 1 if mark else 1)}: not valid YAML: "
            f"{printable(_problem(error), 200)}"
        ) from None
    except (YAMLError, ValueError, OverflowError, AttributeError, TypeError, LookupError) as error:
        # ruamel.yaml lets some of these escape on broken escapes and directives.
        raise SpecError(
            f"{composer.mark(composer.line)}: not valid YAML: {printable(str(error), 200)}"
        ) from None


def _problem(error: MarkedYAMLError) -> str:
    parts = [str(part).splitlines()[0] for part in (error.context, error.problem) if part]
    return ", ".join(parts) or "it can't be read"


class _Composer:
    """Builds nodes from parser events, within the limits of depth and number."""

    def __init__(self, origin: str, numbered: bool) -> None:
        self.origin = origin
        self.numbered = numbered
        self.line = 1
        self.anchors: dict[str, Node] = {}
        self.count = 0

    def mark(self, line: int) -> Mark:
        return Mark(self.origin, line if self.numbered else None)

    def fail(self, message: str) -> SpecError:
        return SpecError(f"{self.mark(self.line)}: {message}")

    def document(self, events: Iterator[Event]) -> Node:
        """The first document; a second one is refused."""
        root: Node | None = None
        for event in events:
            self.line = event.start_mark.line + 1
            if isinstance(event, NodeEvent):
                if root is not None:
                    raise self.fail("a second document begins here; keep one spec a file")
                root = self.node(event, events, depth=1)
            elif isinstance(event, StreamEndEvent):
                break
        return root or Node(self.mark(1), None)

    def node(self, event: NodeEvent, events: Iterator[Event], depth: int) -> Node:
        self.line = event.start_mark.line + 1
        if depth > MAX_DEPTH:
            raise self.fail(f"nested more than {MAX_DEPTH} deep; a spec needs 5")
        if isinstance(event, AliasEvent):
            return self.alias(event, depth)
        self.grow(1)
        mark = self.mark(self.line)
        if isinstance(event, ScalarEvent):
            node = Node(mark, self.scalar(event), event.value)
        elif isinstance(event, CollectionStartEvent):
            node = self.collection(event, events, depth, mark)
        else:
            raise AssertionError(event)
        if event.anchor is not None:  # known from here on, so that no node can hold itself
            self.anchors[event.anchor] = node
        return node

    def grow(self, nodes: int) -> None:
        self.count += nodes
        if self.count > MAX_NODES:
            raise self.fail(f"more than {MAX_NODES} values (aliases counted as copies); shorten it")

    def alias(self, event: AliasEvent, depth: int) -> Node:
        target = self.anchors.get(event.anchor)
        if target is None:
            raise self.fail(f"the alias *{printable(event.anchor)} has no anchor before it")
        if depth + target.height - 1 > MAX_DEPTH:
            raise self.fail(f"nested more than {MAX_DEPTH} deep; a spec needs 5")
        self.grow(target.nodes)
        return target

    def collection(
        self, event: CollectionStartEvent, events: Iterator[Event], depth: int, mark: Mark
    ) -> Node:
        is_mapping = isinstance(event, MappingStartEvent)
        self.check_tag(event.tag, "map" if is_mapping else "seq")
        value = self.mapping(events, depth) if is_mapping else self.sequence(events, depth)
        children = list(value.values()) if isinstance(value, dict) else value
        return Node(
            mark,
            value,
            height=1 + max((child.height for child in children), default=0),
            nodes=1 + sum(child.nodes for child in children),
        )

    def mapping(self, events: Iterator[Event], depth: int) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        for event in events:
            if isinstance(event, MappingEndEvent):
                break
            assert isinstance(event, NodeEvent)
            self.line = event.start_mark.line + 1
            line = self.line
            if not isinstance(event, ScalarEvent):
                raise self.fail("a key must be a plain word")
            self.scalar(event)
            key = event.value
            if key in entries:
                first = entries[key].mark.line
                place = f" (first in line {first})" if first is not None else ""
                raise self.fail(f"the key {printable(key)} is given twice{place}; keep one of them")
            value_event = next(events)
            assert isinstance(value_event, NodeEvent)
            value = self.node(value_event, events, depth + 1)
            entries[key] = replace(value, mark=self.mark(line))
        return entries

    def sequence(self, events: Iterator[Event], depth: int) -> list[Node]:
        items: list[Node] = []
        for event in events:
            if isinstance(event, SequenceEndEvent):
                break
            assert isinstance(event, NodeEvent)
            items.append(self.node(event, events, depth + 1))
        return items

    def scalar(self, event: ScalarEvent) -> Scalar:
        text: str = event.value
        if any("\ud800" <= c <= "\udfff" for c in text):
            raise self.fail("an escape for half a character (\\ud800 to \\udfff); write it whole")
        tag = event.tag
        if tag is None:
            return resolve_scalar(text) if event.implicit[0] else text
        if tag in ("!", f"{_CORE}str"):
            return text
        value = resolve_scalar(text)
        kinds = {type(None): "null", bool: "bool", int: "int", float: "float", str: "str"}
        self.check_tag(tag, kinds[type(value)])
        return value

    def check_tag(self, tag: str | None, kind: str) -> None:
        if tag is not None and tag not in ("!", f"{_CORE}{kind}"):
            shown = printable(tag.replace(_CORE, "!!"))
            raise self.fail(f"the tag {shown} is not allowed here; remove it")
