from pathlib import Path

import pytest

from maquette.errors import DataError
from maquette.tokenizers.bpe import END_OF_TEXT, train_bpe
from maquette.tokenizers.bytes import BytesTokenizer
from maquette.tokenizers.load import load_tokenizer


def test_bytes_tokenizer_comes_back(tmp_path: Path) -> None:
    BytesTokenizer().save(tmp_path / "tokenizer.json")
    assert (tmp_path / "tokenizer.json").read_text() == '{"kind": "bytes"}\n'
    assert isinstance(load_tokenizer(tmp_path / "tokenizer.json"), BytesTokenizer)


def test_bpe_tokenizer_comes_back(tmp_path: Path) -> None:
    tokenizer = train_bpe(["the cat sat on the mat " * 9], 265)
    tokenizer.save(tmp_path / "tokenizer.json")
    loaded = load_tokenizer(tmp_path / "tokenizer.json")
    text = f"the hat {END_OF_TEXT}"
    assert (loaded.kind, loaded.vocabulary, loaded.end_of_text) == ("bpe", 265, 0)
    assert loaded.encode(text).tolist() == tokenizer.encode(text).tolist()


def test_other_readers_understand_the_file(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = train_bpe(["the cat sat on the mat " * 9], 265)
    tokenizer.save(tmp_path / "tokenizer.json")
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"))
    assert theirs.encode("the cat's mat") == tokenizer.encode("the cat's mat").tolist()


@pytest.mark.parametrize("content", ["", "[]", "null", '{"kind": "other"}', "{"])
def test_what_is_not_a_tokenizer_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"tokenizer\.json: is not a tokenizer"):
        load_tokenizer(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.json: can't be read: No such file"):
        load_tokenizer(tmp_path / "gone.json")
