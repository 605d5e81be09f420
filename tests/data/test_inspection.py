from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maquette.data import inspection
from maquette.data.inspection import Duplicates, Sampled, documents, duplicates, sample
from maquette.data.prepare import Prepared, prepare
from maquette.spec.schema import Spec


def prepared_from(tmp_path: Path, tokenizer: dict[str, Any], **files: str) -> Prepared:
    for name, text in files.items():
        (tmp_path / f"{name}.txt").write_text(text)
    source = {
        "kind": "files",
        "separator": "|",
        "path": str(tmp_path / "train.txt"),
        "validation_path": str(tmp_path / "valid.txt"),
    }
    spec = {"tokenizer": tokenizer, "data": {"sources": {"mine": source}}}
    return prepare(Spec.model_validate(spec), cache=tmp_path / "cache")


@given(st.lists(st.integers(0, 2), max_size=30), st.integers(1, 7))
def test_documents_are_what_stands_between_ends(ids: list[int], block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inspection, "BLOCK_TOKENS", block)
        found = list(documents(np.array(ids, dtype=np.uint16), 0))
    expected = "".join(map(str, ids)).split("0")
    if expected[-1] == "":
        expected.pop()
    assert ["".join(map(str, ids[a:b])) for a, b in found] == expected


def test_sample_is_the_beginning(tmp_path: Path) -> None:
    prepared = prepared_from(tmp_path, {"kind": "bytes"}, train="ab|c d", valid="x")
    pieces = [Sampled(97, b"a"), Sampled(98, b"b"), Sampled(0, b""), Sampled(99, b"c")]
    assert sample(prepared, "mine", "train", 4) == pieces


@pytest.mark.parametrize("tokenizer", [{"kind": "bytes"}, {"kind": "bpe", "vocabulary": 262}])
def test_copies_across_the_splits_are_counted(tmp_path: Path, tokenizer: dict[str, Any]) -> None:
    train = "the cat|the dog|the cat|a bird sings, a bird sings"
    prepared = prepared_from(tmp_path, tokenizer, train=train, valid="the dog|a fish|the dog|the")
    assert duplicates(prepared) == {"mine": Duplicates(2, 4, "the dog")}


@pytest.mark.parametrize("tokenizer", [{"kind": "bytes"}, {"kind": "bpe", "vocabulary": 300}])
def test_a_sample_of_dialogues_says_what_is_learnt(
    tmp_path: Path, tokenizer: dict[str, Any]
) -> None:
    spec = {"tokenizer": tokenizer, "data": {"sources": {"mine": {"kind": "dialogues"}}}}
    prepared = prepare(Spec.model_validate(spec), cache=tmp_path / "cache")
    found = sample(prepared, "mine", "train", 120)
    assert b"".join(t.data for t in found if t.trained).startswith(b"Hello! It is nice to meet you")
    read = b"".join(token.data for token in found if token.trained is False)
    assert read.startswith(
        {
            "bytes": b"user: Hello!\nassistant: user: Hi",
            "bpe": b"<|user|>Hello!<|end|><|assistant|><|user|>Hi",
        }[tokenizer["kind"]]
    )


def test_no_copies_no_example(tmp_path: Path) -> None:
    prepared = prepared_from(tmp_path, {"kind": "bytes"}, train="a|b", valid="c")
    assert duplicates(prepared) == {"mine": Duplicates(0, 1, None)}
