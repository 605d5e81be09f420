from collections.abc import Iterable, Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maquette.generation import text as module
from maquette.generation.sampling import SamplingOptions
from maquette.generation.text import generate_text
from maquette.tokenizers.bpe import train_bpe
from maquette.tokenizers.bytes import BytesTokenizer
from tests.models.small import small_model

BYTES = BytesTokenizer()


class Pieces:
    """A tokenizer whose tokens are given pieces of bytes; 0 ends a text."""

    kind = "pieces"
    end_of_text = 0

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.pieces = [b"", *pieces]

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        return b"".join(self.pieces[i] for i in ids)


def stream(pieces: Sequence[bytes], stop: Sequence[str] = ()) -> list[str]:
    """What comes out when a model writes these pieces."""
    tokens = iter(range(1, len(pieces) + 1))
    text = module.TextStream(Pieces(pieces), stop)  # type: ignore[arg-type]
    return list(module._pieces(tokens, text))


def test_a_character_is_never_cut() -> None:
    euro, wave = "€".encode(), "👋".encode()
    pieces = [b"a" + euro[:1], euro[1:2], euro[2:] + wave[:3], wave[3:]]
    assert stream(pieces) == ["a", "€", "👋"]


def test_bad_bytes_become_replacement_characters_and_cut_ones_only_at_the_end() -> None:
    assert stream([b"a\xff", b"b"]) == ["a\ufffd", "b"]
    assert stream([b"a", "€".encode()[:2]]) == ["a", "\ufffd"]


def test_a_stop_string_ends_the_text_and_is_never_partly_shown() -> None:
    assert stream([b"one EN", b"D two"], ["END"]) == ["one "]
    assert stream([b"one E", b"N", b"D"], ["END"]) == ["one "]
    assert stream([b"one E", b"N", b"E", b"ND"], ["END"]) == ["one ", "ENE"[:2]]
    assert stream([b"one EN"], ["END"]) == ["one ", "EN"]  # it was the end after all
    assert stream([b"END"], ["END"]) == []


def test_the_stop_string_that_is_complete_first_counts() -> None:
    for pieces in ([b"xabc"], [b"x", b"a", b"b", b"c"], [b"xab", b"c"]):
        assert "".join(stream(pieces, ["abc", "b"])) == "xa"
        assert "".join(stream(pieces, ["abc", "bc"])) == "x"


@given(
    st.text("ab€", max_size=12),
    st.lists(st.text("ab€", min_size=1, max_size=4), max_size=3),
    st.data(),
)
def test_the_cut_between_tokens_changes_nothing(
    text: str, stop: list[str], data: st.DataObject
) -> None:
    raw = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=6)))
    pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    expected = text
    for end in range(len(text) + 1):
        found = [s for s in stop if text[:end].endswith(s)]
        if found:
            expected = text[: end - max(map(len, found))]
            break
    shown = stream(pieces, stop)
    assert "".join(shown) == expected
    assert "" not in shown


@given(st.lists(st.binary(max_size=4), max_size=8))
def test_any_bytes_come_out_as_they_decode_at_once(pieces: list[bytes]) -> None:
    assert "".join(stream(pieces)) == b"".join(pieces).decode(errors="replace")


def test_a_model_continues_a_prompt() -> None:
    model = small_model(vocabulary=256)
    options = SamplingOptions(temperature=0)
    first = "".join(generate_text(model, BYTES, "ab", max_new_tokens=30, options=options))
    assert first
    again = generate_text(model, BYTES, "ab", max_new_tokens=30, options=options, use_cache=False)
    assert "".join(again) == first


def test_an_empty_prompt_begins_a_document_and_end_of_text_ends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[list[int], object]] = []

    def fake(_model: object, ids: list[int], **how: object) -> Iterator[int]:
        seen.append((ids, how["stop_tokens"]))
        return iter([104, 105])

    monkeypatch.setattr(module, "generate", fake)
    model = small_model(vocabulary=256)
    assert list(generate_text(model, BYTES, "", max_new_tokens=5)) == ["h", "i"]
    assert seen == [([0], (0,))]
    bpe = train_bpe(["some text, some more text, some text"], 262)
    list(generate_text(model, bpe, "", max_new_tokens=0))
    assert seen[1] == ([bpe.end_of_text], (bpe.end_of_text,))


def test_an_empty_stop_string_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="stop"):
        generate_text(small_model(vocabulary=256), BYTES, "a", max_new_tokens=1, stop=[""])
