"""What durable.py promises: whole or not at all, found when damaged, and no mess left."""

import contextlib
import errno
import hashlib
import json
import os
import random
import stat
from pathlib import Path

import pytest

from maquette.errors import DamagedError, RunError
from maquette.runs import durable
from maquette.runs.manifest import read_manifest, verify_folder


def fill(folder: Path) -> None:
    (folder / "weights").write_bytes(bytes(range(256)) * 40)
    (folder / "inner").mkdir()
    (folder / "inner" / "notes.txt").write_text("hello\n")


@pytest.fixture
def commit(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoints" / "step-1"
    durable.commit_folder(folder, fill, extra={"step": 1})
    return folder


def test_text_is_replaced_and_keeps_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    before = os.umask(0o027)
    try:
        durable.write_text(path, "one")
        durable.write_text(path, "två")
        durable.commit_folder(tmp_path / "folder", fill)
    finally:
        os.umask(before)
    assert path.read_text(encoding="utf-8") == "två"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "folder" / "manifest.json").stat().st_mode) == 0o640
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "state.json"]


def test_a_file_by_another_writer_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    durable.write_file(path, lambda place: place.write_text("one"))

    def broken(place: Path) -> None:
        place.write_text("half")
        raise KeyError("mine")

    with pytest.raises(KeyError):
        durable.write_file(path, broken)
    assert path.read_text() == "one"
    with pytest.raises(RunError, match=r"can't write .*tokenizer\.json: no such file"):
        durable.write_file(path, lambda place: None)
    durable.write_file(path, lambda place: place.write_text("two"))
    assert path.read_text() == "two"
    assert [p.name for p in tmp_path.iterdir()] == ["tokenizer.json"]


def test_json_is_strict(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    durable.write_json(path, {"loss": float("nan"), "all": [1, float("inf")], "name": "å"})
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "loss": None,
        "all": [1, None],
        "name": "å",
    }


def test_a_folder_is_committed_with_a_manifest(commit: Path) -> None:
    manifest = verify_folder(commit)
    assert manifest["step"] == 1
    assert manifest["files"]["inner/notes.txt"] == {
        "size": 6,
        "sha256": hashlib.sha256(b"hello\n").hexdigest(),
    }
    assert set(manifest["files"]) == {"weights", "inner/notes.txt"}
    with pytest.raises(RunError, match="there already"):
        durable.commit_folder(commit, fill)


def test_a_failing_fill_leaves_nothing(tmp_path: Path) -> None:
    def broken(folder: Path) -> None:
        (folder / "half").write_text("...")
        raise KeyError("mine")

    with pytest.raises(KeyError):
        durable.commit_folder(tmp_path / "a", broken)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("cause", [errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS])
@pytest.mark.parametrize("call", ["write", "fsync", "open", "rename", "mkdir"])
def test_system_errors_become_run_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, cause: int
) -> None:
    """Whichever call fails, and however far the work had come: a message, and no half folder."""
    real = getattr(os, call)
    for good_calls in range(12):
        calls = 0

        def failing(*args: object, **kwargs: object) -> object:
            nonlocal calls
            calls += 1
            if calls == good_calls + 1:  # noqa: B023 - used within this turn only
                raise OSError(cause, os.strerror(cause))
            return real(*args, **kwargs)

        folder = tmp_path / str(good_calls) / "step-1"
        with monkeypatch.context() as patch:
            patch.setattr(os, call, failing)
            with contextlib.suppress(RunError):
                durable.commit_folder(folder, fill)
        if folder.exists():
            verify_folder(folder)
        leftovers = list(tmp_path.rglob(".tmp-*"))
        assert leftovers == []


def test_a_full_disk_keeps_the_old_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.json"
    durable.write_text(path, "old")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(RunError, match=r"can't write .*state\.json: no space left") as caught:
        durable.write_text(path, "new")
    assert caught.value.hint is not None
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["state.json"]


def test_a_full_disk_told_in_words_is_understood(tmp_path: Path) -> None:
    def full(_: Path) -> None:
        raise ValueError("I/O error: No space left on device (os error 28)")

    with pytest.raises(RunError, match=r"write .*step-1: no space left on device"):
        durable.commit_folder(tmp_path / "step-1", full)
    assert list(tmp_path.iterdir()) == []


def test_missing_and_short_files_are_named(commit: Path) -> None:
    (commit / "weights").write_bytes(b"short")
    with pytest.raises(DamagedError, match="weights is damaged: it has 5 bytes instead of 10,240"):
        verify_folder(commit)
    (commit / "weights").unlink()
    with pytest.raises(DamagedError, match="weights is missing"):
        read_manifest(commit)
    (commit / "manifest.json").unlink()
    with pytest.raises(DamagedError, match=r"manifest\.json is missing"):
        verify_folder(commit)


@pytest.mark.parametrize("name", ["manifest.json", "weights", "inner/notes.txt"])
def test_any_flipped_bit_is_found(commit: Path, name: str) -> None:
    path = commit / name
    whole = path.read_bytes()
    generator = random.Random(7)
    for bit in generator.sample(range(len(whole) * 8), min(200, len(whole) * 8)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(DamagedError, match=path.name):
            verify_folder(commit)
    path.write_bytes(whole)
    verify_folder(commit)


@pytest.mark.parametrize("name", ["manifest.json", "weights"])
def test_any_truncation_is_found(commit: Path, name: str) -> None:
    path = commit / name
    whole = path.read_bytes()
    for size in range(0, len(whole), 97):
        path.write_bytes(whole[:size])
        with pytest.raises(DamagedError, match=name):
            verify_folder(commit)


def test_removal_and_leftovers(commit: Path) -> None:
    (commit.parent / ".tmp-step-2-1-abcd").mkdir()
    (commit.parent / ".tmp-latest-1-abcd").write_text("x")
    durable.clear_temporaries(commit.parent)
    assert [p.name for p in commit.parent.iterdir()] == ["step-1"]
    durable.remove_folder(commit)
    assert list(commit.parent.iterdir()) == []


@pytest.mark.parametrize(
    "tail",
    [b'{"step": 2, "lo', b"\0" * 5000, b'{"a": 1}', b"{" + b"x" * 200_000, b"\0\0\0\n", b""],
)
def test_a_torn_last_line_is_cut(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "metrics.jsonl"
    with durable.Appender(path) as rows:
        rows.append({"step": 1})
    with path.open("ab") as file:
        file.write(tail)
    with durable.Appender(path) as rows:
        rows.append({"step": 2, "loss": float("nan")})
        rows.flush(sync=True)
    assert path.read_text() == '{"step": 1}\n{"step": 2, "loss": null}\n'


def test_half_a_row_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics.jsonl"
    real = os.write

    def filling_up(handle: int, data: memoryview) -> int:
        if len(data) > 5:
            return real(handle, data[: len(data) - 5])
        raise OSError(errno.ENOSPC, "No space left on device")

    with durable.Appender(path) as rows:
        rows.append({"step": 1})
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", filling_up)
            with pytest.raises(RunError, match="no space left"):
                rows.append({"step": 2})
        rows.append({"step": 3})
    assert [row["step"] for row in durable.read_rows(path)] == [1, 3]


def test_readers_pass_over_what_is_not_whole(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"a": 1}\n\0\0\0\n[1]\n{"a": 2}\n{"a": 3')
    assert list(durable.read_rows(path)) == [{"a": 1}, {"a": 2}]
    assert list(durable.read_rows(tmp_path / "none")) == []
    with pytest.raises(RunError, match="can't read"):
        list(durable.read_rows(tmp_path))


def test_an_unwritable_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="can't create"):
        durable.make_folder(tmp_path / "file" / "inner")
    with pytest.raises(RunError, match="can't write"):
        durable.write_text(tmp_path / "gone" / "state.json", "x")
    with pytest.raises(RunError, match="can't write"):
        durable.Appender(tmp_path / "gone" / "metrics.jsonl")
