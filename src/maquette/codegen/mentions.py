"""What code mentions: the names that it uses, and the attributes."""

import ast
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache

from maquette.codegen.source import LIBRARY, PROJECT, LiftError


@dataclass(frozen=True, slots=True)
class Mentions:
    """The names that code uses, in their order, and the attributes."""

    names: tuple[str, ...]
    attributes: frozenset[str]


def mentions(module: str, node: ast.AST, without: Collection[int]) -> Mentions:
    """What a part of a module uses, but for the nodes with these ids. Raises LiftError."""
    names: dict[str, None] = {}
    attributes: set[str] = set()
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if id(part) in without:
            continue
        if isinstance(part, ast.Name):
            names[part.id] = None
        elif isinstance(part, ast.Attribute):
            attributes.add(part.attr)
        elif isinstance(part, ast.keyword):
            attributes.add(part.arg or "")
        elif isinstance(part, ast.MatchClass):
            attributes |= set(part.kwd_attrs)
        elif isinstance(part, ast.Import | ast.ImportFrom):
            _check_local_import(module, part)
        waiting += reversed([*_quoted(part), *ast.iter_child_nodes(part)])
    return Mentions(tuple(names), frozenset(attributes))


@lru_cache(maxsize=1 << 14)  # the library's own code is the same for every project
def all_mentions(module: str, node: ast.AST) -> Mentions:
    """What a part of a module uses. Raises LiftError."""
    return mentions(module, node, ())


def _check_local_import(module: str, node: ast.Import | ast.ImportFrom) -> None:
    names = [alias.name for alias in node.names]
    sources = [node.module or ""] if isinstance(node, ast.ImportFrom) else names
    if any(source.partition(".")[0] in (LIBRARY, PROJECT) for source in sources):
        raise LiftError(f"{module}, line {node.lineno}: a function imports from the library")


def _quoted(node: ast.AST) -> Iterator[ast.AST]:
    """Annotations that are written as text."""
    places = [getattr(node, "annotation", None), getattr(node, "returns", None)]
    for place in filter(None, places):
        for part in ast.walk(place):
            literal = isinstance(part, ast.Subscript) and ast.unparse(part.value) == "Literal"
            if literal:
                break
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                yield ast.parse(part.value, mode="eval")
