"""Lift definitions out of the library into a few files that stand alone.

From the names that its files need, everything that these mention is followed; what nothing mentions
is left out. The text stays as it is, comments and all.
"""

import ast
import re
import sys
import textwrap
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from maquette.codegen.mentions import all_mentions, mentions
from maquette.codegen.source import (
    LIBRARY,
    PROJECT,
    Imported,
    Library,
    LiftError,
    Member,
    Module,
    Statement,
)

WIDTH = 100

Choices = Mapping[str, Collection[object]]
"""Table of the library, `module.NAME` -> the keys of it that are used; its other lines go."""


@dataclass(frozen=True, slots=True)
class Place:
    """A file of the project: what it says itself, and the modules whose definitions it takes.

    `text` is Python that imports from the library as any module of it would. A module belongs to
    the file that names it, or the package it is in, most closely.
    """

    file: str
    text: str
    takes: tuple[str, ...] = ()


def lift(
    places: Iterable[Place],
    choices: Choices | None = None,
    names: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """File -> its text, with what its own text mentions. Raises LiftError.

    `names` are what the library calls otherwise, of equal length, so that lines stay as they are.
    """
    by_file = {place.file: place for place in places}
    library = Library({_virtual(file): place.text for file, place in by_file.items()})
    found = _Reach(library, choices or {})
    for file in by_file:
        found.take_all(_virtual(file))
    found.follow()
    files = {name: _file_of(name, by_file) for name in found.modules}
    _check_order(found, files)
    texts = {file: _Writer(found, files, file).text() for file in by_file}
    for name, new in (names or {}).items():
        assert len(name) == len(new), "lines would have to be broken anew"
        texts = {file: re.sub(rf"\b{name}\b", new, text) for file, text in texts.items()}
    return texts


def _virtual(file: str) -> str:
    """What a file of the project is called as a module."""
    return f"{PROJECT}.{file.removesuffix('.py').replace('/', '.')}"


def _file_of(module: str, places: Mapping[str, Place]) -> str:
    own = next((file for file in places if _virtual(file) == module), None)
    if own is not None:
        return own
    fits = [
        (len(taken), place.file)
        for place in places.values()
        for taken in place.takes
        if module == f"{LIBRARY}.{taken}" or module.startswith(f"{LIBRARY}.{taken}.")
    ]
    if not fits:
        raise LiftError(f"{module} is needed, and no file of the project takes it")
    return max(fits)[1]


@dataclass(slots=True)
class _Uses:
    """What the lifted part of a module needs: names of its own imports, in their order."""

    statements: set[int] = field(default_factory=set)
    imports: set[str] = field(default_factory=set)


class _Reach:
    """Everything that is mentioned, from some modules that are taken whole."""

    def __init__(self, library: Library, choices: Choices) -> None:
        self.library = library
        self.choices = choices
        self.modules: dict[str, _Uses] = {}
        self.dropped: dict[int, list[Member]] = {}  # statement -> members that nobody mentions yet
        self._attributes: set[str] = set()
        self._classes: list[Statement] = []

    def take_all(self, name: str) -> None:
        """All of a module, whether or not it is mentioned."""
        for statement in self.library.module(name).statements:
            self._take(statement)

    def follow(self) -> None:
        """Take members of classes until no more of them are mentioned."""
        again = True
        while again:
            again = False
            for statement in list(self._classes):
                for member in list(self.dropped[id(statement)]):
                    if member.name in self._attributes:
                        self.dropped[id(statement)].remove(member)
                        self._read(statement.module, member.node)
                        again = True

    def _take(self, statement: Statement) -> None:
        uses = self.modules.setdefault(statement.module, _Uses())
        if id(statement) in uses.statements:
            return
        first = not uses.statements
        uses.statements.add(id(statement))
        if isinstance(statement.node, ast.ClassDef):
            self.dropped[id(statement)] = [m for m in statement.members if m.name is not None]
            self._classes.append(statement)
            for part in (*statement.node.bases, *statement.node.decorator_list):
                self._read(statement.module, part)
            for member in statement.members:
                if member.name is None:
                    self._read(statement.module, member.node)
        else:
            unchosen = {id(n) for entry in self.unchosen(statement) for n in entry}
            self._read(statement.module, statement.node, without=unchosen)
        if first:  # what a module does when it is imported
            for other in self.library.module(statement.module).statements:
                if not other.names:
                    self._take(other)

    def unchosen(self, statement: Statement) -> list[tuple[ast.expr, ast.expr]]:
        """The entries of a table that aren't used."""
        value = getattr(statement.node, "value", None)
        if len(statement.names) != 1 or not isinstance(value, ast.Dict):
            return []
        chosen = self.choices.get(f"{statement.module}.{statement.names[0]}")
        if chosen is None:
            return []
        return [
            (key, entry)
            for key, entry in zip(value.keys, value.values, strict=True)
            if isinstance(key, ast.Constant) and key.value not in chosen
        ]

    def _read(self, module: str, node: ast.AST, *, without: Collection[int] = ()) -> None:
        read = mentions(module, node, without) if without else all_mentions(module, node)
        self._attributes |= read.attributes
        for name in read.names:
            self._find(module, name)

    def _find(self, module: str, name: str) -> None:
        here = self.library.module(module)
        if name in here.definitions:
            self._take(here.definitions[name])
            return
        imported = here.imports.get(name)
        if imported is None:
            return  # a local name, or Python's own
        self.modules.setdefault(module, _Uses()).imports.add(name)
        if imported.own:
            self._take(self.target(module, name))

    def target(self, module: str, name: str) -> Statement:
        """The definition that a module imports under a name. Raises LiftError."""
        imported = self.library.module(module).imports[name]
        if imported.alias is not None:
            raise LiftError(f"{module} imports {imported.name} as {imported.alias}: use its name")
        assert imported.name is not None, f"{module} imports {imported.module}"
        there = self.library.module(imported.module)
        if imported.name not in there.definitions:
            raise LiftError(
                f"{module} imports {imported.name} from {imported.module}, which doesn't define it"
            )
        return there.definitions[imported.name]


def _check_order(found: _Reach, files: Mapping[str, str]) -> None:
    """Files import one another in one direction only."""
    needs: dict[str, set[str]] = {file: set() for file in files.values()}
    for module, uses in found.modules.items():
        for name in uses.imports:
            if found.library.module(module).imports[name].own:
                needs[files[module]].add(files[found.target(module, name).module])
    placed: set[str] = set()
    while len(placed) < len(needs):
        free = {file for file, others in needs.items() if others <= placed | {file}} - placed
        if not free:
            rest = sorted(needs.keys() - placed)
            raise LiftError(f"these files would import one another: {', '.join(rest)}")
        placed |= free


class _Writer:
    """Writes one file."""

    def __init__(self, found: _Reach, files: Mapping[str, str], file: str) -> None:
        self._found = found
        self._files = files
        self._file = file
        self._own = found.library.module(_virtual(file))

    def text(self) -> str:
        """The whole text. Raises LiftError."""
        modules = self._ordered()
        self._check_names(modules)
        blocks = [block for module in modules for block in self._blocks(module)]
        head = [f'"""{_as_written(self._own)}"""'] if self._own.docstring else []
        imports = import_lines(*self._imports(modules))
        return _joined(head, imports, blocks)

    def _ordered(self) -> list[Module]:
        """The modules of this file, each behind those that it imports, the file's own last."""
        ordered: dict[str, Module] = {}

        def visit(name: str) -> None:
            if name in ordered or self._files.get(name) != self._file:
                return
            module = self._found.library.module(name)
            for local, imported in module.imports.items():
                if local in self._found.modules[name].imports and imported.own:
                    visit(imported.module)
            ordered[name] = module

        visit(self._own.name)
        for name in sorted(self._found.modules):
            visit(name)
        ordered.pop(self._own.name, None)
        return [*ordered.values(), self._own]

    def _kept(self, module: Module) -> list[Statement]:
        uses = self._found.modules.get(module.name, _Uses())
        return [s for s in module.statements if id(s) in uses.statements]

    def _check_names(self, modules: Iterable[Module]) -> None:
        seen: dict[str, str] = {}
        for module in modules:
            for statement in self._kept(module):
                for name in statement.names:
                    if name in seen:
                        raise LiftError(f"{seen[name]} and {module.name} both define {name}")
                    seen[name] = module.name

    def _blocks(self, module: Module) -> Iterator["_Block"]:
        kept = self._kept(module)
        whole = len(kept) == len(module.statements)
        if whole and module is not self._own and module.docstring:
            yield _Block(comment_lines(module.docstring), apart=True, blank=1)
        before: Statement | None = None
        for statement in kept:
            next_to = before is not None and statement.first - before.last == statement.blank + 1
            yield _Block(
                self._lines(module, statement),
                apart=statement.defines,
                blank=min(statement.blank, 1) if next_to else 1,
            )
            before = statement

    def _lines(self, module: Module, statement: Statement) -> list[str]:
        gone: set[int] = set()
        dropped = self._found.dropped.get(id(statement), [])
        for member in dropped:
            gone |= set(range(member.first, member.last + 1))
        # What comes first in a class stays a line away from the text that describes it.
        kept = [member for member in statement.members if member not in dropped]
        if kept and kept[0] is not statement.members[0] and module.lines[kept[0].first].strip():
            gone.discard(statement.members[0].first)
        for key, value in self._found.unchosen(statement):
            gone |= set(range(key.lineno, (value.end_lineno or 0) + 1))
        numbers = range(statement.first, statement.last + 1)
        return [module.lines[n] for n in numbers if n not in gone]

    def _imports(
        self, modules: Iterable[Module]
    ) -> tuple[dict[str, Imported], dict[str, Imported]]:
        """Local name -> what others give, and what the project's other files do."""
        others: dict[str, Imported] = {}
        ours: dict[str, Imported] = {}
        for module in modules:
            for local in self._found.modules.get(module.name, _Uses()).imports:
                imported = module.imports[local]
                if imported.own:
                    target = self._found.target(module.name, local)
                    file = self._files[target.module]
                    if file == self._file:
                        continue
                    found, known = Imported(file.removesuffix(".py"), local, None), ours
                else:
                    found, known = imported, others
                if known.setdefault(local, found) != found:
                    raise LiftError(f"{self._file}: {local} comes from two places")
        defined = {name for m in modules for s in self._kept(m) for name in s.names}
        for local in defined & others.keys():
            raise LiftError(f"{self._file}: {local} is imported and defined")
        return others, ours


@dataclass(frozen=True, slots=True)
class _Block:
    lines: list[str]
    apart: bool  # two blank lines on either side, but for a comment one before what isn't apart
    blank: int  # lines before it otherwise


def _as_written(module: Module) -> str:
    """A docstring without its quotes, but with its escapes."""
    end = next(n for n in range(1, len(module.lines)) if module.lines[n].rstrip().endswith('"""'))
    return "\n".join(module.text(1, end)).strip()[3:-3]


def _joined(head: list[str], imports: list[str], blocks: list[_Block]) -> str:
    lines = [*head]
    if imports:
        lines += [""] * bool(lines) + imports
    apart = False
    for number, block in enumerate(blocks):
        comment = all(line.startswith("#") for line in block.lines)
        if number == 0:
            commented = block.lines[0].startswith("#")  # isort wants one line before these
            blank = (2 if block.apart and not (imports and commented) else 1) if lines else 0
        else:
            blank = 2 if block.apart or apart else block.blank
        lines += [""] * blank + block.lines
        apart = block.apart and not comment
    return "\n".join(lines) + "\n"


def comment_lines(docstring: str) -> list[str]:
    """A module's docstring as comments, its paragraphs filled anew where they would be too long."""
    lines: list[str] = []
    for paragraph in docstring.split("\n\n"):
        written = paragraph.split("\n")
        plain = not any(line.startswith((" ", "-")) for line in written)
        if plain and max(map(len, written)) > WIDTH - 2:
            written = textwrap.wrap(paragraph, WIDTH - 2)
        lines += [*written, ""]
    return [f"# {line}".rstrip() for line in lines[:-1]]


def import_lines(others: Mapping[str, Imported], ours: Mapping[str, Imported]) -> list[str]:
    """Imports in the order that isort gives them: Python's own, those of others, the project's."""
    standard = {n: i for n, i in others.items() if i.module.partition(".")[0] in _STANDARD}
    third = {n: i for n, i in others.items() if n not in standard}
    lines: list[str] = []
    for section in (standard, third, ours):
        if section and lines:
            lines.append("")
        lines += _section(section.values())
    return lines


_STANDARD = frozenset(sys.stdlib_module_names)


def _section(imports: Iterable[Imported]) -> Iterator[str]:
    plain = {(i.module, i.alias) for i in imports if i.name is None}
    for module, alias in sorted(plain, key=lambda i: (i[0].lower(), i[1] or "")):
        yield f"import {module} as {alias}" if alias else f"import {module}"
    for module in sorted({i.module for i in imports if i.name is not None}, key=str.lower):
        inside = [i for i in imports if i.module == module and i.name is not None]
        for i in sorted((i for i in inside if i.alias), key=lambda i: _rank(i.name)):
            yield f"from {module} import {i.name} as {i.alias}"
        names = sorted({i.name for i in inside if not i.alias and i.name}, key=_rank)
        line = f"from {module} import {', '.join(names)}"
        if len(line) <= WIDTH:
            if names:
                yield line
        else:
            yield f"from {module} import ("
            yield from (f"    {name}," for name in names)
            yield ")"


def _rank(name: str | None) -> tuple[int, str, str]:
    """Constants, then classes, then the rest."""
    assert name is not None
    kind = 0 if len(name) > 1 and name.isupper() else 1 if name[:1].isupper() else 2
    return kind, name.lower(), name
