import os
from pathlib import Path

import pytest

from maquette.codegen.folder import MANIFEST, write_project
from maquette.errors import UsageError

FILES = {"a.py": b"one", "tests/b.py": b"two"}


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and file.name != MANIFEST
    }


def test_a_new_folder_gets_the_files_and_no_other_is_left(tmp_path: Path) -> None:
    write_project(tmp_path / "deep" / "project", FILES)
    assert contents(tmp_path / "deep" / "project") == FILES
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["project"]
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "deep" / "project").stat().st_mode & 0o777 == 0o777 & ~umask


def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    write_project(tmp_path / "project", FILES)
    assert contents(tmp_path / "project") == FILES


def test_a_folder_with_anything_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="isn't empty"):
        write_project(tmp_path, FILES)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        write_project(tmp_path / "file", FILES, force=True)
    with pytest.raises(UsageError, match=r"file is a file"):
        write_project(tmp_path / "file" / "in" / "it", FILES)
    assert contents(tmp_path) == {"mine.txt": b"mine", "file": b""}


def test_force_replaces_what_was_ejected_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    write_project(folder, FILES)
    (folder / "mine.txt").write_text("mine")
    (folder / "out").mkdir()
    (folder / "out" / "weights.pt").write_text("trained")
    write_project(folder, {"a.py": b"new", "c.py": b"three"}, force=True)
    assert contents(folder) == {
        "a.py": b"new",
        "c.py": b"three",
        "mine.txt": b"mine",
        "out/weights.pt": b"trained",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["project"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "a.py").write_text("edited"), r"a\.py: changed since"),
        (lambda f: (f / "c.py").write_text("mine"), r"c\.py: not made by eject"),
        (lambda f: (f / "c.py").mkdir(), r"c\.py: not made by eject"),
        (lambda f: (f / "c.py").symlink_to("a.py"), r"c\.py: not made by eject"),
        (lambda f: (f / "tests" / "b.py").write_text("edited"), r"tests/b\.py: changed since"),
        (lambda f: (f / MANIFEST).write_text("{"), "is damaged"),
        (lambda f: (f / MANIFEST).write_text('{"files": {"../b.py": ""}}'), "is damaged"),
        (lambda f: (f / "new").write_text("mine"), r"new/d\.py: not made by eject"),
        (lambda f: (f / "new").symlink_to(f.parent), r"new/d\.py: not made by eject"),
        (lambda f: (f / MANIFEST).unlink(), r"a\.py: not made by eject"),
    ],
)
def test_force_touches_no_file_of_somebody_else(
    tmp_path: Path, change: object, message: str
) -> None:
    folder = tmp_path / "project"
    write_project(folder, FILES)
    assert callable(change)
    change(folder)
    before = contents(folder)
    with pytest.raises(UsageError, match=message):
        write_project(folder, {"a.py": b"new", "c.py": b"three", "new/d.py": b""}, force=True)
    assert contents(folder) == before


def test_a_link_to_a_folder_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    write_project(tmp_path / "link", FILES)
    assert (tmp_path / "link").is_symlink()
    assert contents(tmp_path / "real") == FILES


def test_nothing_is_written_beside_a_folder_that_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    before = folder.stat().st_ino  # it may be a disk, or stand where nothing else may be written
    write_project(folder, FILES)
    write_project(folder, {"a.py": b"new"}, force=True)
    assert folder.stat().st_ino == before
    assert contents(folder) == {"a.py": b"new"}
    assert sorted(path.name for path in folder.iterdir()) == [MANIFEST, "a.py", "tests"]


def test_what_fails_on_the_way_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_bytes

    def fail(self: Path, data: bytes) -> int:
        if self.name == "b.py":
            raise OSError(28, "No space left on device")
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="No space"):
        write_project(tmp_path / "project", FILES)
    assert not list(tmp_path.iterdir())
