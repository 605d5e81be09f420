import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maquette.errors import DataError
from maquette.tokenizers import bpe
from maquette.tokenizers.bpe import BPETokenizer, train_bpe
from maquette.tokenizers.special import END_OF_TEXT

TEXTS = [
    "the cat sat on the mat. " * 20,
    "a dog's dinner isn't the cat's dinner. " * 20,
    "Größe, 12,345 Zürich\n\n\tnaïve café " * 20,
]
TOKENIZER = train_bpe(TEXTS, 300)


@given(st.text(max_size=100))
def test_any_text_comes_back_exactly(text: str) -> None:
    ids = TOKENIZER.encode(text).tolist()
    assert TOKENIZER.decode_bytes(ids) == text.encode()
    assert TOKENIZER.decode(ids) == text


@given(st.text(alphabet="the cat's\n 1é!", max_size=100))
def test_byte_counts_add_up_and_match_the_library(text: str) -> None:
    ids = TOKENIZER.encode(text).tolist()
    assert TOKENIZER.token_bytes()[ids].sum() == len(text.encode())
    assert TOKENIZER._library.decode(ids) == text


def test_training_is_deterministic_and_reaches_the_size_asked_for() -> None:
    again = train_bpe(iter(TEXTS), 300)
    assert again._library.to_str() == TOKENIZER._library.to_str()
    assert TOKENIZER.vocabulary == TOKENIZER._library.get_vocab_size() == 300
    assert len(TOKENIZER.encode(TEXTS[0])) < len(TEXTS[0]) / 2


def test_typed_special_token_is_plain_text() -> None:
    ids = TOKENIZER.encode(f"a{END_OF_TEXT}b {END_OF_TEXT}").tolist()
    assert TOKENIZER.end_of_text not in ids
    assert TOKENIZER.decode(ids) == f"a{END_OF_TEXT}b {END_OF_TEXT}"


def test_special_token_gives_no_text() -> None:
    ids = [*TOKENIZER.encode("a"), TOKENIZER.end_of_text, *TOKENIZER.encode("b")]
    assert TOKENIZER.decode(ids) == "ab"
    assert TOKENIZER.token_bytes()[TOKENIZER.end_of_text] == 0


def test_merges_keep_to_words() -> None:
    pieces = [TOKENIZER.decode_bytes([i]) for i in range(TOKENIZER.vocabulary)]
    assert b" the" in pieces
    assert not [p for p in pieces if b" " in p[1:] and p.strip()]


def test_too_large_a_vocabulary_says_what_was_reached() -> None:
    with pytest.raises(DataError, match=r"vocabulary=100000 is too large .* for (\d+) tokens") as e:
        train_bpe(["one two three two three three"], 100_000)
    reached = int(e.value.message.split("for ")[-1].split()[0])
    assert e.value.hint is not None
    assert str(reached) in e.value.hint
    assert train_bpe(["one two three two three three"], reached).vocabulary == reached


def test_reads_a_bounded_amount() -> None:
    taken: list[str] = []

    def texts() -> Iterator[str]:
        for text in ("abcdef", "ghijkl", "m"):
            taken.append(text)
            yield text

    assert list(bpe._at_most(10, texts())) == ["abcdef", "ghij"]
    assert taken == ["abcdef", "ghijkl"]


def test_lone_surrogates_do_not_crash() -> None:
    assert TOKENIZER.decode(TOKENIZER.encode("a\ud800b").tolist()) == "a\N{REPLACEMENT CHARACTER}b"


def test_library_without_end_of_text_is_refused() -> None:
    from tokenizers import Tokenizer, models

    with pytest.raises(ValueError, match="endoftext"):
        BPETokenizer(Tokenizer(models.BPE()))


def test_fork_after_use_is_silent_and_safe() -> None:
    program = (
        "import os\n"
        "from maquette.tokenizers.bpe import train_bpe\n"
        "t = train_bpe(['ab ab ab ' * 50] * 8, 262)\n"
        "t.encode_batch(['ab ab'] * 64)\n"
        "if not (child := os.fork()):\n"
        "    os._exit(len(t.encode_batch(['ab ab'] * 64)) != 64)\n"
        "raise SystemExit(os.waitpid(child, 0)[1])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
