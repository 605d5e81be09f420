import ast
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maquette.codegen import render
from maquette.codegen.render import check_same, literal, prose, word

HOSTILE = (
    '"""\nimport os\n"""',
    "'); __import__('os').system('x') #",
    "\\",
    '\\"; x = 1 #',
    "{{ 7 * 7 }}{% for x in y %}{# no #}",
    "a\nb\r\tc\x00\x1b",
    "\u2028\u2029\x85\ufeff\u202e",
    "\ud800",
    "${HOME} `id` <b>",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_string_stays_one_string(text: str) -> None:
    written = literal(text)
    assert ast.literal_eval(written) == text
    assert len(written.splitlines()) == 1
    assert isinstance(ast.parse(written, mode="eval").body, ast.Constant)


@given(st.text() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans())
def test_scalars_come_back(value: str | int | float) -> None:
    back = ast.literal_eval(literal(value))
    assert back == value
    assert type(back) is type(value)


def test_lists_stand_line_by_line() -> None:
    assert literal(["a", "b"], 4) == '[\n        "a",\n        "b",\n    ]'
    assert literal((1, 2.5)) == "(1, 2.5)"
    assert literal((1,)) == "(1,)"


@pytest.mark.parametrize("value", [{}, {"a": 1}, object(), b"x", [1], ["a", None], ("a",), 1j, int])
def test_anything_else_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        literal(value)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_what_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="can't be written"):
        literal(value)


@pytest.mark.parametrize("text", ["", "a\nb", "a`b", '"', "(x)", "a#b", "é", "<b>", "-x", "{x}"])
def test_a_word_is_harmless(text: str) -> None:
    with pytest.raises(ValueError, match="plain word"):
        word(text)


def test_nothing_enters_a_template_unchecked() -> None:
    environment = render._environment()
    with pytest.raises(TypeError, match="neither a literal nor a word"):
        environment.from_string("{{ x }}").render(x="plain")
    assert environment.from_string("{{ x | literal }}").render(x="{{ y }}") == '"{{ y }}"'
    with pytest.raises(TypeError, match="Undefined"):
        environment.from_string("{{ missing | word }}").render()


@pytest.mark.parametrize(
    ("filled", "empty", "same"),
    [
        ("x = 5", "x = None", True),
        ("x = -5.0", "x = None", True),
        ("x = ['a', 'b']", "x = None", True),
        ("x = f(y=(1, 2))", "x = f(y=None)", True),
        ("x = f(5)", "x = None", False),
        ("x = y", "x = None", False),
        ("x = 1; import os", "x = None", False),
        ("x = {'a': 1}", "x = None", False),
        ("x = f'{y}'", "x = None", False),
        ("y = 1", "x = None", False),
        ("x = 2", "x = 1", False),
        ("x = 1 + 1", "x = None", False),
        ("x = -y", "x = None", False),
    ],
)
def test_a_value_adds_no_code(filled: str, empty: str, same: bool) -> None:
    if same:
        check_same(ast.parse(filled), ast.parse(empty))
    else:
        with pytest.raises(ValueError, match="became code"):
            check_same(ast.parse(filled), ast.parse(empty))


def test_prose_takes_words_alone() -> None:
    assert "tokenizers" in prose("requirements.txt", {"tokenizers": True, "pillow": False})
