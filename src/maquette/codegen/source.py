"""A module of the library as text: its imports, and its statements with their comments."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

LIBRARY = "maquette"
PROJECT = "project"
"""What the templates call the project's own files: `from project.data import read_texts`."""
_ROOT = Path(__file__).parents[1]
_NOQA = re.compile(r"\s*# noqa\b.*$")


class LiftError(Exception):
    """The library's text can't be lifted as it is. Ours to mend: nobody who ejects sees it."""


@dataclass(frozen=True, slots=True)
class Imported:
    """Where a name comes from: `from module import name as alias`, or `import module as alias`."""

    module: str
    name: str | None
    alias: str | None

    @property
    def own(self) -> bool:
        """Whether it is the library's, or the project's."""
        return self.module.partition(".")[0] in (LIBRARY, PROJECT)


@dataclass(frozen=True, slots=True)
class Member:
    """A part of a class's body, from the line after the part before it to its last line."""

    name: str | None  # None: it stays whoever mentions it
    node: ast.stmt
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Statement:
    """A top-level statement, with the comments before it and the string that documents it."""

    module: str
    names: tuple[str, ...]  # that it binds; none of what only has an effect
    node: ast.stmt
    first: int
    last: int
    blank: int  # lines before it
    members: tuple[Member, ...] = ()

    @property
    def defines(self) -> bool:
        """Whether it is a function or class, which stand apart."""
        return isinstance(self.node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)


@dataclass(slots=True)
class Module:
    """A module: `lines` are numbered from 1, as in the syntax tree."""

    name: str
    lines: list[str]
    docstring: str | None
    imports: dict[str, Imported] = field(default_factory=dict)
    statements: list[Statement] = field(default_factory=list)
    definitions: dict[str, Statement] = field(default_factory=dict)
    ours: set[str] = field(default_factory=set)
    """Classes whose methods nobody but us calls: torch calls those of its own by their names."""

    def text(self, first: int, last: int) -> list[str]:
        """Lines of the module, both ends included."""
        return self.lines[first : last + 1]


class Library:
    """The modules of the library, read when they are needed, and some that are given as text."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._modules = {name: read_module(name, text) for name, text in given.items()}

    def module(self, name: str) -> Module:
        """A module by its name."""
        if name not in self._modules:
            self._modules[name] = _read_file(name, _ROOT)
        return self._modules[name]


@cache
def _read_file(name: str, root: Path) -> Module:
    path = root.joinpath(*name.split(".")[1:])
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return read_module(name, file.read_text(encoding="utf-8"))


def read_module(name: str, text: str) -> Module:
    """Take a module's text apart. Raises LiftError."""
    tree = ast.parse(text)
    module = Module(name, ["", *_without_noqa(text)], ast.get_docstring(tree))
    last = 0
    body = tree.body[1:] if module.docstring is not None else tree.body
    if module.docstring is not None:
        last = tree.body[0].end_lineno or 0
    for node, described in _described(body):
        begin, end = _begin(node), described.end_lineno or 0
        if isinstance(node, ast.Import | ast.ImportFrom):
            module.imports |= dict(_imports(node, name))
        elif _is_type_checking(node):
            assert isinstance(node, ast.If)
            for inner in node.body:
                assert isinstance(inner, ast.Import | ast.ImportFrom)
                module.imports |= dict(_imports(inner, name))
        else:
            first = _first_comment(module, last, begin)
            blank = sum(not line.strip() for line in module.text(last + 1, first - 1))
            ours = isinstance(node, ast.ClassDef) and _is_ours(node, module)
            members = tuple(_members(node, ours=ours))
            statement = Statement(name, _binds(node), node, first, end, blank, members)
            module.ours |= {node.name} if isinstance(node, ast.ClassDef) and ours else set()
            module.statements.append(statement)
            for bound in statement.names:
                if bound in module.definitions:
                    raise LiftError(f"{name} defines {bound} twice")
                module.definitions[bound] = statement
        last = end
    return module


def _without_noqa(text: str) -> list[str]:
    """Lines without the marks that only our own linter's rules need."""
    lines = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and "# noqa" in token.string:
            row, column = token.start
            line = lines[row - 1]
            lines[row - 1] = line[:column].rstrip() + _NOQA.sub("", f"  {line[column:]}").rstrip()
    return lines


def _described(body: list[ast.stmt]) -> Iterator[tuple[ast.stmt, ast.stmt]]:
    """Each statement, and the string after it that documents it, or itself."""
    for place, node in enumerate(body):
        if _is_string(node):
            continue
        after = body[place + 1] if place + 1 < len(body) else None
        documented = isinstance(node, ast.Assign | ast.AnnAssign) and after and _is_string(after)
        yield node, after if documented and after else node


def _is_string(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _is_type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _imports(node: ast.Import | ast.ImportFrom, where: str) -> Iterator[tuple[str, Imported]]:
    for alias in node.names:
        if isinstance(node, ast.Import):
            local = alias.asname or alias.name.partition(".")[0]
            yield local, Imported(alias.name, None, alias.asname)
        else:
            if node.level or node.module is None or alias.name == "*":
                raise LiftError(f"{where}, line {node.lineno}: write out what is imported")
            yield alias.asname or alias.name, Imported(node.module, alias.name, alias.asname)


def _begin(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(d.lineno for d in decorators)])


def _first_comment(module: Module, last: int, begin: int) -> int:
    """The first line of the comments that stand before a statement."""
    between = range(last + 1, begin)
    return next((n for n in between if module.lines[n].lstrip().startswith("#")), begin)


def _binds(node: ast.stmt) -> tuple[str, ...]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return (node.name,)
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign):
        targets = [node.target]
    names = [n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)]
    return tuple(names)


def _members(node: ast.stmt, *, ours: bool) -> Iterator[Member]:
    """The parts of a class; those that may be left out have a name."""
    if not isinstance(node, ast.ClassDef):
        return
    holds_data = _holds_data(node)
    begins_with_text = _is_string(node.body[0])
    last = (node.body[0].end_lineno if begins_with_text else _begin(node.body[0]) - 1) or 0
    for inner, described in _described(node.body[begins_with_text:]):
        end = described.end_lineno or 0
        name = None
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
            name = None if inner.name.startswith("__") else inner.name
        elif isinstance(inner, ast.Assign | ast.AnnAssign):
            [name] = _binds(inner) if not holds_data or _is_optional(inner) else [None]
        yield Member(name if ours else None, inner, last + 1, end)
        last = end


def _is_optional(node: ast.Assign | ast.AnnAssign) -> bool:
    """Whether objects can be made without it: it is a field with a default, or the class's own."""
    return isinstance(node, ast.AnnAssign) and node.value is not None


def _holds_data(node: ast.ClassDef) -> bool:
    """Whether what it assigns are its fields."""
    marks = [ast.unparse(d) for d in node.decorator_list] + [ast.unparse(b) for b in node.bases]
    return any("dataclass" in mark or mark in ("NamedTuple", "Enum") for mark in marks)


_PLAIN = ("Protocol", "NamedTuple", "Exception")


def _is_ours(node: ast.ClassDef, module: Module) -> bool:
    names = {base.id if isinstance(base, ast.Name) else "" for base in node.bases}
    return names <= {*_PLAIN, *module.ours}
