import time
from pathlib import Path

import pytest
from filelock import FileLock

from maquette.data.cache import cache_folder, list_prepared, lock_path, remove_prepared
from maquette.data.prepare import Prepared, prepare
from maquette.errors import DataError
from maquette.spec.schema import Spec


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prepared:
    monkeypatch.setenv("MAQUETTE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "text.txt").write_text("some text\n" * 50)
    source = {"kind": "files", "path": str(tmp_path / "text.txt")}
    return prepare(Spec.model_validate({"data": {"sources": {"mine": source}}}))


def test_lists_what_is_there(prepared: Prepared) -> None:
    (entry,) = list_prepared()
    assert (entry.key, entry.path) == (prepared.folder.name, prepared.folder)
    assert (entry.sources, entry.tokenizer, entry.vocabulary) == ({"mine": "files"}, "bytes", 256)
    assert entry.tokens == 502
    assert entry.bytes == sum(path.stat().st_size for path in prepared.folder.iterdir())
    assert abs(time.time() - entry.made_at) < 60


def test_what_is_not_whole_is_not_listed(prepared: Prepared) -> None:
    (prepared.folder.parent / ".tmp-0123-1-ab").mkdir()
    (prepared.folder.parent / "strange").mkdir()
    (prepared.folder.parent / "strange/manifest.json").write_text("{}")
    assert len(list_prepared()) == 1
    (prepared.folder / "mine.train.tokens").unlink()
    assert list_prepared() == []
    assert list_prepared(prepared.folder / "gone") == []


def test_removes_but_not_under_a_writer(prepared: Prepared) -> None:
    (entry,) = list_prepared()
    with (
        FileLock(lock_path(entry.path)),
        pytest.raises(DataError, match="another process is preparing it"),
    ):
        remove_prepared(entry)
    assert list_prepared() == [entry]
    remove_prepared(entry)
    assert list_prepared() == []


def test_without_the_variable_it_is_where_caches_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAQUETTE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert "maquette" in cache_folder().parts
