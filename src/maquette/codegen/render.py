"""Templates filled with values that can't become code.

A template's text is ours. What a spec says enters it as a literal, or as a word of harmless
characters; anything else is refused. What came out is compared with the same template filled with
nothing: each value may stand only where a literal does.
"""

import ast
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

Scalar = str | int | float | bool | None
Literal = Scalar | list[str] | tuple[int | float, ...]

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9 .,+_/-]*")


class _Checked(str):
    """Text that may stand in a template's output."""

    __slots__ = ()


def literal(value: Literal, indent: int = 0) -> str:
    """A value as a formatter would leave it: `repr` of scalars, strings in double quotes.

    Strings of a list stand on lines of their own, `indent` deep. Raises TypeError for anything that
    isn't a scalar, a list of strings or a tuple of numbers, and ValueError for what isn't finite.
    """
    if isinstance(value, list):
        assert value
        inner = " " * (indent + 4)
        lines = "".join(f"{inner}{literal(_string(item))},\n" for item in value)
        text = f"[\n{lines}{' ' * indent}]"
    elif isinstance(value, tuple):
        items = ", ".join(literal(_number(item)) for item in value)
        text = f"({items},)" if len(value) == 1 else f"({items})"
    elif isinstance(value, str):
        text = _quoted(value)
    elif value is None or type(value) in (bool, int, float):
        text = repr(value)
    else:
        raise TypeError(f"{type(value).__name__} is no literal")
    try:
        same = ast.literal_eval(text) == value
    except ValueError:
        same = False
    if not same:
        raise ValueError(f"{value!r} can't be written as a literal")
    return text


def _string(value: object) -> str:
    if type(value) is not str:
        raise TypeError(f"{value!r} is not a string")
    return value


def _number(value: object) -> int | float:
    if type(value) is int or type(value) is float:
        return value
    raise TypeError(f"{value!r} is not a number")


def _quoted(text: str) -> str:
    quote = "'" if text.count('"') > text.count("'") else '"'
    body = "".join(_escaped(c, quote) for c in text)
    return f"{quote}{body}{quote}"


def _escaped(character: str, quote: str) -> str:
    if character in (quote, "\\"):
        return f"\\{character}"
    if character in "'\"":
        return character
    return repr(character)[1:-1]


def word(text: str) -> str:
    """A name or figure for prose and comments. Raises ValueError for what might be more."""
    if not _WORD.fullmatch(text):
        raise ValueError(f"{text!r} is not a plain word")
    return text


def python(template: str, values: Mapping[str, Any]) -> str:
    """A template of Python code, filled and checked. Raises ValueError, TypeError.

    Where the folder of a kind of project doesn't have it, it is the one that all share.
    """
    names = [f"{template}.j2", f"{template.rpartition('/')[2]}.j2"]
    filled = _environment().select_template(names).render(values)
    empty = _environment(empty=True).select_template(names).render(values)
    check_same(ast.parse(filled), ast.parse(empty))
    return filled


def prose(template: str, values: Mapping[str, Any]) -> str:
    """A template of any other file, which has words alone for values. Raises ValueError."""
    return _environment().get_template(f"{template}.j2").render(values)


@cache
def _environment(*, empty: bool = False) -> Environment:
    environment = Environment(
        loader=PackageLoader("maquette.codegen"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # nothing unchecked gets in: see `_only_checked`
        finalize=_only_checked,
    )
    environment.filters["literal"] = lambda value, indent=0: _Checked(
        "None" if empty else literal(value, indent)
    )
    environment.filters["word"] = lambda text: _Checked(word(text))
    return environment


def _only_checked(value: object) -> object:
    if not isinstance(value, _Checked):
        raise TypeError(f"{value!r} is neither a literal nor a word")
    return value


def check_same(filled: ast.AST, empty: ast.AST) -> None:
    """Raise ValueError unless two trees are the same but for literals where one has None."""
    if isinstance(empty, ast.Constant) and empty.value is None:
        if _is_literal(filled):
            return
    elif type(filled) is type(empty):
        for name in empty._fields:
            _check_parts(getattr(filled, name, None), getattr(empty, name, None))
        return
    raise ValueError(f"a value became code: {ast.unparse(filled)[:200]}")


def _check_parts(filled: object, empty: object) -> None:
    if isinstance(empty, ast.AST) and isinstance(filled, ast.AST):
        check_same(filled, empty)
    elif isinstance(empty, list) and isinstance(filled, list) and len(empty) == len(filled):
        for there, here in zip(filled, empty, strict=True):
            _check_parts(there, here)
    elif filled != empty:
        raise ValueError(f"a value became code: {filled!r} stands where {empty!r} does")


def _is_literal(node: ast.AST) -> bool:
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant)
    if isinstance(node, ast.List | ast.Tuple):
        return all(map(_is_literal, node.elts))
    return isinstance(node, ast.Constant)
