from hypothesis import given
from hypothesis import strategies as st

from maquette.data.text.piece import Piece, cut_safely
from maquette.tokenizers.bpe import train_bpe

TOKENIZER = train_bpe(["the cat  sat\n\non the mat's\tmat. 12 1234 <|endoftext|>\n" * 20], 280)
TEXT = st.text(alphabet="ab '1.\n\t\x1c\u3000\u2028\x85é", min_size=0, max_size=120)


def pieces_of(documents: list[list[str]]) -> list[Piece]:
    return [
        Piece(text, last=i == len(parts) - 1) for parts in documents for i, text in enumerate(parts)
    ]


def joined(pieces: list[Piece]) -> list[str]:
    documents, text = [], ""
    for piece in pieces:
        text += piece.text
        if piece.last:
            documents.append(text)
            text = ""
    assert text == ""
    return documents


@given(st.lists(st.lists(TEXT, min_size=1, max_size=4), max_size=3), st.integers(1, 20))
def test_documents_stay_whole(documents: list[list[str]], size: int) -> None:
    cut = list(cut_safely(pieces_of(documents), size, 40))
    assert joined(cut) == ["".join(parts) for parts in documents]
    assert all(len(piece.text) <= 40 + 2 for piece in cut)


@given(TEXT, TEXT, st.integers(1, 20))
def test_tokens_and_words_of_the_pieces_are_those_of_the_whole(a: str, b: str, size: int) -> None:
    cut = list(cut_safely([Piece(a, False), Piece(b, True)], size, 10**6))
    tokens = [i for piece in cut for i in TOKENIZER.encode(piece.text).tolist()]
    assert tokens == TOKENIZER.encode(a + b).tolist()
    assert [w for piece in cut for w in piece.text.split()] == (a + b).split()


def test_cuts_at_line_ends_and_before_spaces() -> None:
    cut = cut_safely([Piece("one two\nthree four\nfive  six", True)], 9)
    assert [piece.text for piece in cut] == ["one two\n", "three", " four\n", "five  six"]


def test_text_without_a_safe_place_is_cut_all_the_same() -> None:
    cut = [piece.text for piece in cut_safely([Piece("x" * 25, True)], 4, 10)]
    assert cut == ["x" * 10, "x" * 10, "x" * 5]


def test_a_small_document_passes_as_it_is() -> None:
    pieces = [Piece("a b", True), Piece("", True), Piece("c", True)]
    assert list(cut_safely(pieces)) == pieces
