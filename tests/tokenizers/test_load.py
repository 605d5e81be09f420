from pathlib import Path

import pytest

from maquette.errors import DataError
from maquette.tokenizers.bpe import train_bpe
from maquette.tokenizers.bytes import BytesTokenizer
from maquette.tokenizers.chat import encode_turn
from maquette.tokenizers.load import load_tokenizer
from maquette.tokenizers.special import END_OF_TEXT
from tokenizers import Tokenizer as Library
from tokenizers import models, pre_tokenizers, trainers


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
    assert loaded.chat_tokens == {"system": 1, "user": 2, "assistant": 3, "end": 4}
    assert encode_turn(loaded, "user", "<|user|>the") == encode_turn(
        tokenizer, "user", "<|user|>the"
    )


def test_a_tokenizer_from_before_there_were_chat_tokens_still_loads(tmp_path: Path) -> None:
    library = Library(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=260, special_tokens=[END_OF_TEXT], initial_alphabet=alphabet, show_progress=False
    )
    library.train_from_iterator(["the cat sat on the mat " * 9], trainer=trainer)
    library.save(str(tmp_path / "tokenizer.json"))
    loaded = load_tokenizer(tmp_path / "tokenizer.json")
    assert (loaded.vocabulary, loaded.end_of_text, loaded.chat_tokens) == (260, 0, None)
    assert loaded.decode(loaded.encode("the <|user|>").tolist()) == "the <|user|>"


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
