import builtins
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maquette.data.text.hub import Hub, read_texts
from maquette.errors import DataError

datasets = pytest.importorskip("datasets")

TEXTS = [f"Row {i}, é." for i in range(150)]


@pytest.fixture(autouse=True)
def local_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data set that `datasets` finds under a hub-like name, with two splits."""
    folder = tmp_path / "owner/rows"
    folder.mkdir(parents=True)
    for split, texts in (("train", [*TEXTS, None, " "]), ("test", TEXTS[:10])):
        rows = [{"text": text, "number": i} for i, text in enumerate(texts)]
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def texts(source: Hub, split: str) -> list[str]:
    pieces = list(source.pieces(split))
    assert all(piece.last for piece in pieces)
    return [piece.text for piece in pieces]


@pytest.mark.parametrize("streaming", [False, True])
def test_rows_are_documents_and_some_are_held_out(streaming: bool) -> None:
    source = Hub("owner/rows", streaming=streaming, validation_fraction=0.1, test_split="test")
    train, validation = texts(source, "train"), texts(source, "validation")
    assert sorted(train + validation) == sorted(TEXTS)
    assert 3 < len(validation) < 40
    assert source.splits() == ("train", "validation", "test")
    assert texts(source, "test") == TEXTS[:10]


def test_streamed_or_not_the_split_is_the_same() -> None:
    sources = [
        Hub("owner/rows", streaming=s, validation_fraction=0.1, seed=5) for s in (False, True)
    ]
    assert texts(sources[0], "validation") == texts(sources[1], "validation")


def test_named_splits_and_limits() -> None:
    source = Hub("owner/rows", split="test", validation_split="train", max_documents=4)
    assert texts(source, "train") == TEXTS[:4] == texts(source, "validation")
    assert source.splits() == ("train", "validation")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"field": "body"}, r"owner/rows: has no field 'body'"),
        ({"field": "number"}, r"owner/rows: field 'number' holds int, not text"),
        ({"split": "gone"}, r'owner/rows: Unknown split "gone"'),
        ({"config": "gone"}, r"owner/rows: BuilderConfig 'gone' not found"),
    ],
)
def test_what_is_not_there_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        texts(Hub("owner/rows", **arguments), "train")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ConnectionError("Couldn't reach"), "the hub can't be reached, and it is not in the local"),
        (datasets.exceptions.DatasetNotFoundError("It doesn't exist on the Hub"), "doesn't exist"),
        (OSError(28, "No space left on device", "/cache/x"), "No space left on device: /cache/x"),
        (RuntimeError("Dataset scripts are no longer supported"), "can't be loaded: .* scripts"),
        (KeyError(), "can't be loaded: KeyError"),
    ],
)
def test_trouble_with_the_hub_is_told(
    monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(DataError, match=f"hub data set owner/rows: .*{message}"):
        texts(Hub("owner/rows"), "train")


def test_a_stream_that_breaks_off_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Rows:
        column_names = None

        def select_columns(self, _: list[str]) -> "Rows":
            return self

        def iter(self, batch_size: int) -> Iterator[dict[str, list[str]]]:
            yield {"text": ["one"]}
            raise ConnectionError("reset by peer")

    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: Rows())
    rows = read_texts("a/b", config=None, split="train", field="text", streaming=True)
    assert next(rows) == "one"
    with pytest.raises(DataError, match="a/b: reading stopped: reset by peer"):
        next(rows)


def test_without_the_library_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name == "datasets":
            raise ModuleNotFoundError(name)
        return real_import(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(DataError, match="owner/rows: needs the datasets library") as caught:
        texts(Hub("owner/rows"), "train")
    assert caught.value.hint == "pip install 'maquette[hub]'"


def test_fingerprint_is_what_was_asked_for() -> None:
    first = Hub("owner/rows").fingerprint()
    assert json.loads(json.dumps(first)) == first == Hub("owner/rows", streaming=True).fingerprint()
    assert first != Hub("owner/rows", revision="abc").fingerprint()
    assert first != Hub("owner/rows", seed=1).fingerprint()
