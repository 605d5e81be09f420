import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maquette.errors import SpecError
from maquette.spec.document import (
    MAX_DEPTH,
    plain,
    printable,
    read_document,
    resolve_scalar,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1.e-4", 1e-4),
        ("1.0e-4", 1e-4),
        ("1E+3", 1000.0),
        (".5", 0.5),
        ("-2", -2),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("-.inf", -math.inf),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2001-12-14", "2001-12-14"),
        ("e5", "e5"),
        (".", "."),
        ("+", "+"),
        ("=", "="),
    ],
)
def test_scalars_follow_the_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    result = resolve_scalar(text)
    assert result == value
    assert type(result) is type(value)
    assert plain(read_document(f"key: {text}" if text else "key:", "f")) == {"key": value}


def test_nan_and_very_long_numbers() -> None:
    result = resolve_scalar(".nan")
    assert isinstance(result, float)
    assert math.isnan(result)
    assert resolve_scalar("9" * 10_000) == "9" * 10_000


def test_quotes_make_text_and_tags_are_the_plain_ones() -> None:
    tree = read_document("a: '5'\nb: !!str 5\nc: !!int '5'\nd: !!float .5\ne: ! no\n", "f")
    assert plain(tree) == {"a": "5", "b": "5", "c": 5, "d": 0.5, "e": "no"}


def test_every_node_knows_the_line_of_its_key() -> None:
    tree = read_document("a: 1\n\nb:\n  # why\n  c:\n    - x\n    - y\n", "f.yaml")
    b = tree.child("b")
    assert b is not None
    assert str(b.mark) == "f.yaml:3"
    c = b.child("c")
    assert c is not None
    assert str(c.mark) == "f.yaml:5"
    y = c.child(1)
    assert y is not None
    assert str(y.mark) == "f.yaml:7"


def test_an_alias_is_a_copy_of_its_anchor() -> None:
    tree = read_document("a: &x {b: 1}\nc: *x\nd: [*x]\n", "f")
    assert plain(tree) == {"a": {"b": 1}, "c": {"b": 1}, "d": [{"b": 1}]}


def _bomb() -> str:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for before, after in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]")
    return "\n".join(lines)


def _deep_by_alias() -> str:
    lines = ["a0: &a0 [x]"]
    lines += [f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, MAX_DEPTH + 5)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "key a is given twice (first in line 1)"),
        ("x: {a: 1,\n  a: 2}", 2, "key a is given twice (first in line 1)"),
        ("a: 1\nb: *x\n", 2, "alias *x has no anchor before it"),
        ("a: &x [*x]", 1, "alias *x has no anchor"),
        (_bomb(), 5, "more than 20000 values"),
        (_deep_by_alias(), 31, "nested more than 32 deep"),
        ("[" * 100_000, 1, "nested more than 32 deep"),
        ("a: 1\nb: !!python/object:os.system ls\n", 2, "tag !!python/object:os.system"),
        ("a: !mine 1", 1, "tag !mine"),
        ("a: !!int yes", 1, "tag !!int"),
        ("a: 1\n---\nb: 2\n", 3, "second document"),
        ("a: b: c", 1, "not valid YAML"),
        ("a: 1\n\tb: 2", 2, "not valid YAML"),
        ("a: 'x", 1, "not valid YAML"),
        ("a: 1\nb: \x07", 2, "control character U+0007"),
        ('a: "\\ud800"', 1, "half a character"),
        ('a: "\\UFFFFFFFF"', 1, "not valid YAML"),
        ("? [1]\n: 2", 1, "a key must be a plain word"),
        ("%YAML 3.0\n---\na: 1", 1, "not valid YAML"),
    ],
)
def test_refusals_name_the_line(text: str, line: int, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        read_document(text, "f.yaml")
    assert caught.value.message.startswith(f"f.yaml:{line}: ")
    assert words in caught.value.message
    assert len(caught.value.message) < 400


def test_the_size_limit_counts_bytes() -> None:
    read_document("a: " + "x" * 1000 + "\n", "f")
    with pytest.raises(SpecError, match="larger than 1 MiB"):
        read_document("a: " + "é" * 600_000, "f")


def test_printable_cuts_and_escapes() -> None:
    assert printable("a\x1b[31mb\n") == r"a\x1b[31mb\n"
    assert printable("x" * 500) == "x" * 59 + "…"
    assert printable("\u202eabc") == r"\u202eabc"
    assert printable("é日本") == "é日本"


_YAMLISH = st.text(
    alphabet=st.sampled_from([*"abz019 \n\t:-[]{},&*!|>'\"#%@`?~.\\<", "é", "\u2028", "\x00"]),
    max_size=80,
)


def _refusal(text: str) -> str:
    """The message, or '' where the text can be read."""
    try:
        plain(read_document(text, "junk"))
    except SpecError as error:
        return error.message
    return ""


@settings(max_examples=100, deadline=None)
@given(st.one_of(_YAMLISH, st.text(max_size=60)))
def test_junk_is_read_or_refused(text: str) -> None:
    message = _refusal(text)
    assert not message or message.startswith("junk")
    assert message.isprintable()
