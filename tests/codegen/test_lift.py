import ast
from pathlib import Path

import pytest

from maquette.codegen import source
from maquette.codegen.lift import Place, lift
from maquette.codegen.source import LiftError
from tests.test_layers import LIFTED, MODULES, matches


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose files are the library's modules."""
    monkeypatch.setattr(source, "_ROOT", tmp_path)
    return tmp_path


def lifted(text: str, *, takes: tuple[str, ...] = ("a", "b"), **choices: set[object]) -> str:
    tables = {f"maquette.{name.replace('__', '.')}": keys for name, keys in choices.items()}
    return lift([Place("main.py", text, takes)], tables)["main.py"]


def test_what_is_mentioned_comes_along_with_its_comments_and_the_rest_stays(library: Path) -> None:
    (library / "a.py").write_text(
        '''"""Numbers.

N many of them.
"""

import math
import os

from maquette.b import double

# Why five.
FIVE = 5  # fingers
"""Documented."""

UNUSED = os.sep


def used(x: float) -> float:
    """Twice the root, and five."""
    return double(math.sqrt(x)) + FIVE


def unused() -> None:
    """Nobody calls it."""
'''
    )
    (library / "b.py").write_text("def double(x: float) -> float:\n    return 2 * x\n")
    text = lifted('"""A file."""\n\nfrom maquette.a import used\n\nprint(used(4))\n')
    assert text == (
        '''"""A file."""

import math


def double(x: float) -> float:
    return 2 * x


# Why five.
FIVE = 5  # fingers
"""Documented."""


def used(x: float) -> float:
    """Twice the root, and five."""
    return double(math.sqrt(x)) + FIVE


print(used(4))
'''
    )


def test_a_module_that_is_taken_whole_says_what_it_is_about(library: Path) -> None:
    (library / "a.py").write_text('"""Numbers.\n\nN of them.\n"""\n\nONE = 1\nTWO = 2\n')
    assert "# Numbers.\n#\n# N of them.\n\nONE = 1\nTWO = 2\n" in lifted(
        "from maquette.a import ONE, TWO\n\nprint(ONE, TWO)\n"
    )
    assert "# Numbers." not in lifted("from maquette.a import ONE\n\nprint(ONE)\n")


def test_files_import_what_the_others_define(library: Path) -> None:
    (library / "a.py").write_text("ONE = 1\n")
    (library / "b.py").write_text("from maquette.a import ONE\n\nTWO = ONE + 1\n")
    files = lift(
        [
            Place("first.py", '"""First."""\n', ("a",)),
            Place("second.py", "from maquette.b import TWO\n\nprint(TWO)\n", ("b",)),
        ]
    )
    assert files["first.py"] == '"""First."""\n\nONE = 1\n'
    assert files["second.py"] == "from first import ONE\n\nTWO = ONE + 1\n\nprint(TWO)\n"


def test_methods_that_nobody_calls_stay_behind(library: Path) -> None:
    (library / "a.py").write_text(
        '''from torch import nn


class Plain:
    """Ours."""

    unread = 1
    read = 2

    def __init__(self) -> None:
        self.x = 1

    def called(self) -> int:
        return self._inner() + self.read

    def _inner(self) -> int:
        return self.x

    # Nobody.
    def left(self) -> int:
        return helper()

    @property
    def last(self) -> int:
        return 1


class Model(nn.Module):
    """Torch's: it calls forward itself."""

    def forward(self) -> int:
        return 1


def helper() -> int:
    return 1
'''
    )
    text = lifted("from maquette.a import Model, Plain\n\nprint(Plain().called(), Model())\n")
    for kept in ("def called", "def _inner", "def forward", "read = 2", "def __init__"):
        assert kept in text
    for gone in ("unread", "def left", "Nobody", "def last", "@property", "def helper"):
        assert gone not in text
    assert '"""Ours."""\n\n    read = 2\n\n    def __init__' in text


def test_a_table_keeps_the_entries_that_are_used(library: Path) -> None:
    (library / "a.py").write_text(
        "from maquette.b import one, two\n\n"
        'TABLE = {\n    "one": one,\n    "two": two,\n}\n"""Which is which."""\n'
    )
    (library / "b.py").write_text(
        "def one() -> int:\n    return 1\n\n\ndef two() -> int:\n    return 2\n"
    )
    text = lifted("from maquette.a import TABLE\n\nprint(TABLE)\n", a__TABLE={"two"})
    assert 'TABLE = {\n    "two": two,\n}\n"""Which is which."""\n' in text
    assert "def one" not in text


def test_marks_for_our_own_linter_go(library: Path) -> None:
    (library / "a.py").write_text(
        "B = 1  # noqa: N806\nC = B  # type: ignore[x]  # noqa: E501 - why\nD = '# noqa'\n"
    )
    text = lifted("from maquette.a import B, C, D\n\nprint(B, C, D)\n")
    assert "B = 1\nC = B  # type: ignore[x]\nD = '# noqa'\n" in text


def test_annotations_written_as_text_count(library: Path) -> None:
    (library / "a.py").write_text(
        "from typing import TYPE_CHECKING\n\n"
        "if TYPE_CHECKING:\n    from maquette.b import Late\n\n\n"
        'def f(x: "Late") -> None:\n    pass\n'
    )
    (library / "b.py").write_text("class Late:\n    pass\n")
    text = lifted("from maquette.a import f\n\nprint(f)\n")
    assert "class Late" in text
    assert "TYPE_CHECKING" not in text


@pytest.mark.parametrize(
    ("a", "message"),
    [
        ("from maquette.b import two as zwei\n\none = zwei\n", "as zwei"),
        ("from maquette import b\n\none = b.two\n", "doesn't define it"),
        ("def one():\n    from maquette.b import two\n\n    return two\n", "imports from the"),
        ("from maquette.b import two\n\ntwin = 1\none = two + twin\n", "both define twin"),
        ("one = 1\none = 2\n", "defines one twice"),
        ("from maquette.b import *\n\none = 1\n", "write out"),
        ("from maquette.elsewhere import one\n", "doesn't define it"),
        ("from os import sep as two\nfrom maquette.b import two as t\n\none = t\n", "as t"),
    ],
)
def test_what_can_not_be_lifted_is_refused(library: Path, a: str, message: str) -> None:
    (library / "__init__.py").write_text("")
    (library / "a.py").write_text(a)
    (library / "b.py").write_text("def twin():\n    return 2\n\n\ntwo = twin()\n")
    (library / "elsewhere.py").write_text("")
    with pytest.raises(LiftError, match=message):
        lifted("from maquette.a import one\n\nprint(one)\n", takes=("a", "b", "elsewhere"))


def test_a_name_of_two_meanings_in_one_file_is_refused(library: Path) -> None:
    (library / "a.py").write_text("from os import sep\n\nONE = sep\n")
    (library / "b.py").write_text("from string import punctuation as sep\n\nTWO = sep\n")
    text = "from maquette.a import ONE\nfrom maquette.b import TWO\n\nprint(ONE, TWO)\n"
    with pytest.raises(LiftError, match="sep comes from two places"):
        lifted(text)


def test_files_that_would_import_one_another_are_refused(library: Path) -> None:
    (library / "a.py").write_text("from maquette.b import TWO\n\nONE = TWO\n")
    (library / "b.py").write_text("TWO = 2\n")
    places = [
        Place("x.py", "from maquette.a import ONE\n\nprint(ONE)\n", ("a",)),
        Place("y.py", "from project.x import z\n\nprint(z)\n", ("b",)),
    ]
    with pytest.raises(LiftError):
        lift(places)
    places[0] = Place("x.py", "from maquette.a import ONE\n\nz = ONE\n", ("a",))
    with pytest.raises(LiftError, match=r"import one another: x\.py, y\.py"):
        lift(places)


def test_a_module_without_a_place_is_refused(library: Path) -> None:
    (library / "a.py").write_text("ONE = 1\n")
    with pytest.raises(LiftError, match=r"maquette\.a is needed"):
        lifted("from maquette.a import ONE\n\nprint(ONE)\n", takes=("b",))


LIFTABLE = [name for name in MODULES if matches(name, LIFTED)]


@pytest.mark.parametrize("name", LIFTABLE)
def test_every_module_that_may_be_lifted_can_be(name: str) -> None:
    names = sorted(source.Library({}).module(f"maquette.{name}").definitions)
    main = f"from maquette.{name} import {', '.join(names)}\n\nprint({', '.join(names)})\n"
    packages = {module.partition(".")[0] for module in MODULES}
    others = tuple(p for p in packages if p)
    files = lift([Place("lib.py", '"""All."""\n', others), Place("main.py", main)])
    for text in files.values():
        ast.parse(text)
    for wanted in names:
        assert wanted in files["lib.py"]
