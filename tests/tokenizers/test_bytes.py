import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from maquette.tokenizers.bytes import BytesTokenizer, to_utf8

TOKENIZER = BytesTokenizer()


@given(st.binary(max_size=200))
def test_any_bytes_come_back_exactly(data: bytes) -> None:
    ids = TOKENIZER.encode_bytes(data)
    assert ids.tolist() == list(data)
    assert TOKENIZER.decode_bytes(ids) == data


@given(st.text(max_size=100))
def test_any_text_comes_back_exactly(text: str) -> None:
    ids = TOKENIZER.encode(text)
    assert ids.dtype == np.uint32
    assert TOKENIZER.decode(ids.tolist()) == text
    assert [i.tolist() for i in TOKENIZER.encode_batch([text, "x"])] == [ids.tolist(), [120]]


def test_broken_utf8_is_shown_not_refused() -> None:
    assert TOKENIZER.decode([0x61, 0xFF, 0x62]) == "a\N{REPLACEMENT CHARACTER}b"


def test_half_a_surrogate_pair_is_replaced() -> None:
    assert to_utf8("a\ud83db").decode() == "a\N{REPLACEMENT CHARACTER}b"
    assert to_utf8("\ud83d\ude00").decode() == "\N{GRINNING FACE}"


def test_only_end_of_text_stands_for_no_bytes() -> None:
    counts = TOKENIZER.token_bytes()
    assert counts.shape == (TOKENIZER.vocabulary,)
    assert np.flatnonzero(counts == 0).tolist() == [TOKENIZER.end_of_text]
    assert counts.max() == 1
