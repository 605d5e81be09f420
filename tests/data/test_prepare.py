import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from maquette.data import encoding
from maquette.data import prepare as module
from maquette.data.prepare import Prepared, Progress, data_key, open_prepared, prepare
from maquette.data.sources import SOURCES
from maquette.data.text.files import Files
from maquette.data.text.piece import Piece
from maquette.errors import DamagedError, DataError
from maquette.spec.schema import Spec
from maquette.tokenizers import bpe
from maquette.tokenizers.bpe import train_bpe

STORIES = [f"Story {i} has a cat, a hat and\nthe number {i * i}. Größe!" for i in range(60)]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("\n###\n".join(STORIES), encoding="utf-8")
    return path


def spec_of(text: Path, **changes: Any) -> Spec:
    source = {"kind": "files", "path": str(text), "separator": "###"}
    return Spec.model_validate({"data": {"sources": {"mine": source}}} | changes)


def documents(prepared: Prepared, split: str) -> list[str]:
    tokens = prepared.tokens(split)["mine"]
    ends = np.flatnonzero(tokens == prepared.tokenizer.end_of_text)
    assert ends[-1] == len(tokens) - 1
    starts = [0, *(ends[:-1] + 1)]
    return [
        prepared.tokenizer.decode(tokens[a:b].tolist()) for a, b in zip(starts, ends, strict=True)
    ]


@pytest.mark.parametrize("tokenizer", [{"kind": "bytes"}, {"kind": "bpe", "vocabulary": 300}])
def test_tokens_are_the_text_and_counts_are_right(
    tmp_path: Path, text: Path, tokenizer: dict[str, Any]
) -> None:
    prepared = prepare(spec_of(text, tokenizer=tokenizer), cache=tmp_path / "cache")
    train, validation = documents(prepared, "train"), documents(prepared, "validation")
    assert sorted(train + validation) == sorted(STORIES)
    assert prepared.facts.vocabulary == prepared.tokenizer.vocabulary
    for split, found in (("train", train), ("validation", validation)):
        facts = prepared.facts.sources["mine"][split]
        assert facts.documents == len(found)
        assert facts.bytes == sum(len(text.encode()) for text in found)
        assert facts.tokens == len(prepared.tokens(split)["mine"])
        assert facts.words is None
    assert prepared.tokens("test") == {}
    assert prepared.tokens("train")["mine"].dtype == np.uint16
    assert prepared.folder.parent == tmp_path / "cache/data"


def test_bpe_is_trained_on_the_train_split_alone(tmp_path: Path, text: Path) -> None:
    spec = spec_of(text, tokenizer={"kind": "bpe", "vocabulary": 300})
    prepared = prepare(spec, cache=tmp_path / "cache")
    train_bpe(documents(prepared, "train"), 300).save(tmp_path / "expected.json")
    made = json.loads((prepared.folder / "tokenizer.json").read_text())
    assert made == json.loads((tmp_path / "expected.json").read_text())


def test_large_vocabularies_take_32_bits() -> None:
    assert module._dtype(65_536) == np.uint16
    assert module._dtype(65_537) == np.uint32


def test_long_documents_have_the_tokens_of_the_whole(tmp_path: Path) -> None:
    text = "".join(
        f"A line with the number {i}, it's long.\n\n  and indented\n" for i in range(999)
    )
    (tmp_path / "long.txt").write_text(text)
    spec = spec_of(tmp_path / "long.txt", tokenizer={"kind": "bpe", "vocabulary": 320})
    prepared = prepare(spec, cache=tmp_path / "cache")
    (train,) = documents(prepared, "train")
    expected = [*prepared.tokenizer.encode(train).tolist(), prepared.tokenizer.end_of_text]
    assert prepared.tokens("train")["mine"].tolist() == expected


def test_nothing_changed_nothing_is_made(tmp_path: Path, text: Path) -> None:
    first = prepare(spec_of(text), cache=tmp_path / "cache")
    seen: list[Progress] = []
    again = prepare(spec_of(text, name="other"), cache=tmp_path / "cache", progress=seen.append)
    assert (first.reused, again.reused, seen) == (False, True, [])
    assert (again.folder, again.facts) == (first.folder, first.facts)
    assert data_key(spec_of(text)) == first.folder.name


def _touch(text: Path) -> dict[str, Any]:
    os.utime(text, ns=(1, 1))
    return {}


def _append(text: Path) -> dict[str, Any]:
    with text.open("a") as file:
        file.write("###one more story")
    return {}


CHANGES: list[Callable[[Path], dict[str, Any]]] = [
    _touch,
    _append,
    lambda _: {"seed": 1},
    lambda _: {"tokenizer": {"kind": "bpe", "vocabulary": 280}},
    lambda text: {"data": {"sources": {"mine": {"kind": "files", "path": str(text)}}}},
]


@pytest.mark.parametrize("change", CHANGES)
def test_anything_changed_everything_is_made(
    tmp_path: Path, text: Path, change: Callable[[Path], dict[str, Any]]
) -> None:
    first = prepare(spec_of(text), cache=tmp_path / "cache")
    second = prepare(spec_of(text, **change(text)), cache=tmp_path / "cache")
    assert not second.reused
    assert second.folder != first.folder


def test_format_is_part_of_the_key(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = data_key(spec_of(text))
    monkeypatch.setattr(module, "FORMAT", 99)
    assert data_key(spec_of(text)) != key


@pytest.mark.parametrize("damage", ["shorten", "remove", "manifest", "facts"])
def test_damaged_data_is_made_again(tmp_path: Path, text: Path, damage: str) -> None:
    first = prepare(spec_of(text), cache=tmp_path / "cache")
    expected = first.tokens("train")["mine"].tolist()
    tokens = first.folder / "mine.train.tokens"
    if damage == "shorten":
        tokens.write_bytes(tokens.read_bytes()[:-2])
    elif damage == "remove":
        tokens.unlink()
    elif damage == "facts":
        facts = first.folder / "facts.json"
        facts.write_bytes(b"x" * facts.stat().st_size)
    else:
        (first.folder / "manifest.json").write_text("{}")
    with pytest.raises(DamagedError):
        open_prepared(first.folder)
    again = prepare(spec_of(text), cache=tmp_path / "cache")
    assert not again.reused
    assert again.tokens("train")["mine"].tolist() == expected


def test_the_folder_says_what_it_was_made_from(tmp_path: Path, text: Path) -> None:
    prepared = prepare(spec_of(text), cache=tmp_path / "cache")
    manifest = json.loads((prepared.folder / "manifest.json").read_text())
    assert manifest["tokenizer"] == {"kind": "bytes"}
    ((name, source),) = manifest["sources"]
    assert (name, source["files"]["train"][0][0]) == ("mine", str(text))
    assert set(manifest["files"]) == {
        "facts.json",
        "mine.train.tokens",
        "mine.validation.tokens",
        "tokenizer.json",
    }


def test_progress_ends_at_the_counts(tmp_path: Path, text: Path) -> None:
    seen: list[Progress] = []
    spec = spec_of(text, tokenizer={"kind": "bpe", "vocabulary": 280})
    facts = prepare(spec, cache=tmp_path / "cache", progress=seen.append).facts.sources["mine"]
    stages = [p.stage for p in seen]
    assert set(stages) == {"tokenizer", "tokens"}
    assert stages == sorted(stages)
    last = [p for p in seen if p.split == "train" and p.stage == "tokens"][-1]
    assert (last.tokens, last.bytes) == (facts["train"].tokens, facts["train"].bytes)
    assert last.total_bytes == pytest.approx(last.bytes, rel=0.3)


def test_several_sources_share_the_tokenizers_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Source:
        count_words = False
        encoder = encoding.TextEncoder

        def __init__(self, letter: str, documents: int) -> None:
            self._letter, self._documents = letter, documents

        def fingerprint(self) -> dict[str, str]:
            return {"letter": self._letter}

        def splits(self) -> tuple[str, ...]:
            return ("train", "validation")

        def pieces(self, split: str) -> Iterator[Piece]:
            return (Piece(self._letter * 10, last=True) for _ in range(self._documents))

    texts = module._training_texts({"a": Source("a", 3), "b": Source("b", 6)}, lambda _: None)
    assert "".join(t[0] for t in texts) == "abababbbb"


def test_of_a_large_source_all_of_it_is_sampled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "".join(f"line {i:05}\n" for i in range(8000))
    (tmp_path / "a.txt").write_text(lines)
    monkeypatch.setattr(bpe, "TRAINING_CHARACTERS", 30_000)
    texts = list(module._training_texts({"a": Files(str(tmp_path / "a.txt"))}, lambda _: None))
    assert len(texts) >= 3
    assert texts[0].startswith("line 00000")
    assert any("line 06" in text for text in texts)


def test_words_are_counted_where_the_source_says_so(tmp_path: Path, text: Path) -> None:
    class Counted(Files):
        count_words = True

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SOURCES, "files", Counted)
        prepared = prepare(spec_of(text), cache=tmp_path / "cache")
    words = sum(f.words or 0 for f in prepared.facts.sources["mine"].values())
    assert words == sum(len(story.split()) + story.count("\n") for story in STORIES)


def test_bad_text_leaves_nothing(tmp_path: Path, text: Path) -> None:
    text.write_bytes(b"good\n" * 400_000 + b"\xff")
    with pytest.raises(DataError, match=r"^data\.sources\.mine: .*text\.txt: is not UTF-8.*line"):
        prepare(spec_of(text), cache=tmp_path / "cache")
    assert not [p for p in (tmp_path / "cache/data").iterdir() if p.is_dir()]


def test_a_split_without_text_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Files, "pieces", lambda self, split: iter(()))
    (tmp_path / "a.txt").write_text("x y z")
    with pytest.raises(DataError, match=r"data\.sources\.mine: its train split holds no text"):
        prepare(spec_of(tmp_path / "a.txt"), cache=tmp_path / "cache")


def test_a_vocabulary_too_large_is_refused(tmp_path: Path, text: Path) -> None:
    spec = spec_of(text, tokenizer={"kind": "bpe", "vocabulary": 50_000})
    with pytest.raises(DataError, match="vocabulary=50000 is too large for this text"):
        prepare(spec, cache=tmp_path / "cache")


def test_a_disk_that_fills_up_is_named(
    tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_write", fail)
    with pytest.raises(DataError, match=r"cache/data: can't be written: No space left") as caught:
        prepare(spec_of(text), cache=tmp_path / "cache")
    assert "its tokens take up to twice that" in caught.value.message
    assert "MAQUETTE_CACHE" in str(caught.value.hint)
    assert not [p for p in (tmp_path / "cache/data").iterdir() if p.is_dir()]


def test_a_disk_too_small_is_refused_beforehand(
    tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 100})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(DataError, match=r"preparing needs .* KiB, and 100 B are free"):
        prepare(spec_of(text), cache=tmp_path / "cache")


def test_an_unwritable_cache_is_named(tmp_path: Path, text: Path) -> None:
    (tmp_path / "cache").write_text("a file stands in the way")
    with pytest.raises(DataError, match=r"cache/data: can't be written: .*"):
        prepare(spec_of(text), cache=tmp_path / "cache")


WAIT = """
import sys
from pathlib import Path
from maquette.data import encoding
from maquette.data import prepare as module
from maquette.spec.schema import Spec

def stop(*_):
    print("writing", flush=True)
    sys.stdin.read()

module._write = stop
module.prepare(Spec.model_validate_json(sys.argv[1]), cache=Path(sys.argv[2]))
"""


@pytest.fixture
def interrupted(tmp_path: Path, text: Path) -> Iterator[subprocess.Popen[str]]:
    """A preparation in another process that has begun to write and goes no further."""
    arguments = [spec_of(text).model_dump_json(), str(tmp_path / "cache")]
    with subprocess.Popen(
        [sys.executable, "-c", WAIT, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        yield process
        process.kill()


def test_killed_preparation_is_cleared_away_by_the_next(
    tmp_path: Path, text: Path, interrupted: "subprocess.Popen[str]"
) -> None:
    data = tmp_path / "cache/data"
    (left,) = data.glob(".tmp-*")
    other = tmp_path / "other.txt"
    other.write_text("other text\n" * 30)
    prepare(spec_of(other), cache=tmp_path / "cache")
    assert left.exists()  # its owner is alive
    interrupted.send_signal(signal.SIGKILL)
    interrupted.wait()
    prepare(spec_of(other, seed=1), cache=tmp_path / "cache")
    assert not left.exists()
    assert not prepare(spec_of(text), cache=tmp_path / "cache").reused


def test_two_preparations_wait_for_each_other(
    tmp_path: Path, text: Path, interrupted: "subprocess.Popen[str]"
) -> None:
    seen: list[Progress] = []

    def end_the_other(progress: Progress) -> None:
        seen.append(progress)
        if progress.stage == "waiting":
            interrupted.kill()

    prepared = prepare(spec_of(text), cache=tmp_path / "cache", progress=end_the_other)
    assert [p.stage for p in seen][:2] == ["waiting", "tokens"]
    assert not prepared.reused


def test_what_another_made_meanwhile_is_used(tmp_path: Path, text: Path) -> None:
    made = prepare(spec_of(text), cache=tmp_path / "cache")
    hidden = made.folder.with_name("hidden")
    made.folder.rename(hidden)
    lock = FileLock(made.folder.parent / f"{made.folder.name}.lock")
    lock.acquire()

    def finish(progress: Progress) -> None:
        assert progress.stage == "waiting"
        hidden.rename(made.folder)
        lock.release()

    assert prepare(spec_of(text), cache=tmp_path / "cache", progress=finish).reused


def test_byte_0_in_a_text_would_be_the_end_of_one(tmp_path: Path, text: Path) -> None:
    text.write_text(text.read_text() + "before\0after\n" + text.read_text())
    with pytest.raises(DataError, match="byte 0"):
        prepare(spec_of(text), cache=tmp_path / "cache")
    bpe = spec_of(text, tokenizer={"kind": "bpe", "vocabulary": 262})
    assert prepare(bpe, cache=tmp_path / "cache").facts.vocabulary == 262


@pytest.fixture
def chats(tmp_path: Path) -> Path:
    path = tmp_path / "chats.txt"
    path.write_text(
        "".join(
            f"<dialogue>\nsystem: s{i}\nuser: u{i}\nx\nassistant: A{i}\nB\n"
            f"user: v{i} <|user|>\nassistant: C{i}\n</dialogue>\n"
            for i in range(30)
        )
        + "<dialogue>\nuser: a\nassistant: D\nuser: last\n</dialogue>\n"
    )
    return path


def chat_spec(path: Path, tokenizer: dict[str, Any]) -> Spec:
    source = {"kind": "dialogues", "path": str(path)}
    return Spec.model_validate({"tokenizer": tokenizer, "data": {"sources": {"mine": source}}})


@pytest.mark.parametrize("tokenizer", [{"kind": "bytes"}, {"kind": "bpe", "vocabulary": 262}])
@pytest.mark.parametrize("batch", [1, 100, 1 << 20])
def test_dialogues_become_turns_and_a_mask(
    tmp_path: Path,
    chats: Path,
    tokenizer: dict[str, Any],
    batch: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(encoding, "BATCH_CHARACTERS", batch)
    prepared = prepare(chat_spec(chats, tokenizer), cache=tmp_path / "cache")
    tokens = {split: prepared.tokens(split)["mine"] for split in ("train", "validation")}
    masks = {split: prepared.masks(split)["mine"] for split in ("train", "validation")}
    ids = np.concatenate([tokens["train"], tokens["validation"]])
    mask = np.concatenate([masks["train"], masks["validation"]])
    assert mask.dtype == np.uint8
    assert mask.shape == ids.shape
    for split, each in tokens.items():
        facts = prepared.facts.sources["mine"][split]
        assert facts.bytes == prepared.tokenizer.token_bytes()[each].sum()
        assert each[-1] == prepared.tokenizer.end_of_text
    found = []
    for each, bits in _parted(ids, mask, prepared.tokenizer.end_of_text):
        learnt = prepared.tokenizer.decode(each[bits == 1].tolist())
        found.append((prepared.tokenizer.decode(each.tolist()), learnt))
    if tokenizer["kind"] == "bytes":
        expected = [
            (
                f"system: s{i}\nuser: u{i}\nx\nassistant: A{i}\nB\nuser: v{i} <|user|>\n"
                f"assistant: C{i}\n\0",
                f"A{i}\nB\nuser:C{i}\n\0",
            )
            for i in range(30)
        ]
        expected.append(("user: a\nassistant: D\nuser: last\n\0", "D\nuser:"))
    else:
        expected = [(f"s{i}u{i}\nxA{i}\nBv{i} <|user|>C{i}", f"A{i}\nBC{i}") for i in range(30)]
        expected.append(("aDlast", "D"))
        specials = prepared.tokenizer.chat_tokens
        assert specials is not None
        assert (ids == specials["user"]).sum() == 2 * 31
    assert sorted(found) == sorted(expected)
    kept = open_prepared(prepared.folder).masks("train")["mine"]
    assert kept.tolist() == masks["train"].tolist()


def _parted(ids: Any, mask: Any, end: int) -> Iterator[tuple[Any, Any]]:
    ends = np.flatnonzero(ids == end) + 1
    yield from zip(np.split(ids, ends)[:-1], np.split(mask, ends)[:-1], strict=True)


def test_bpe_ends_of_answers_are_learnt(tmp_path: Path, chats: Path) -> None:
    spec = chat_spec(chats, {"kind": "bpe", "vocabulary": 262})
    prepared = prepare(spec, cache=tmp_path / "cache")
    specials = prepared.tokenizer.chat_tokens
    assert specials is not None
    ids, mask = prepared.tokens("train")["mine"], prepared.masks("train")["mine"]
    learnt = ids[mask == 1]
    assistants = (ids == specials["assistant"]).sum()
    assert (learnt == specials["end"]).sum() == assistants
    for role in ("system", "user", "assistant"):
        assert specials[role] not in learnt


def test_only_dialogues_have_a_mask(tmp_path: Path, text: Path) -> None:
    prepared = prepare(spec_of(text), cache=tmp_path / "cache")
    assert prepared.masks("train") == {}
    assert not list(prepared.folder.glob("*.mask"))


def test_the_tokenizer_learns_from_what_was_said_not_from_tags(chats: Path) -> None:
    spec = chat_spec(chats, {"kind": "bpe", "vocabulary": 262})
    texts = list(module._training_texts(module._open_sources(spec), lambda _: None))
    assert not [text for text in texts if text.startswith(("user:", "assistant:", "system:"))]
    assert {text.strip("0123456789") for text in texts} >= {"s", "C"}


def test_what_a_source_skipped_is_kept(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    for name in ("a.md", "b.md", "c.txt"):
        (notes / name).write_text(name)
    spec = Spec.model_validate({"data": {"sources": {"n": {"kind": "notes", "path": str(notes)}}}})
    made = prepare(spec, cache=tmp_path / "cache")
    again = prepare(spec, cache=tmp_path / "cache")
    assert again.reused
    assert made.remarks == again.remarks == {"n": ["skipped: 1 not Markdown"]}
