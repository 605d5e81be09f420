"""The one module that writes to disk durably: what it has written survives a kill and a power cut.

A file or folder is written under a temporary name (`.tmp-...`, beside its place), synced, renamed,
and then the folder that holds it is synced. So a reader finds the old content or the new, never a
third thing. A folder carries `manifest.json`: size and SHA-256 of each file, and its own checksum.
What is written with `sync=False` survives a kill only.

Errors from the operating system become RunError with the path and the cause, and nothing
half-written stays behind. Standard library only.
"""

import contextlib
import errno
import json
import math
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from maquette.errors import RunError
from maquette.runs.lines import end_of_last
from maquette.runs.manifest import MANIFEST, RESERVED, digest, render

TEMPORARY = ".tmp-"
_BINARY = getattr(os, "O_BINARY", 0)  # Windows would translate line ends

HINTS = {
    errno.ENOSPC: "free some space on that disk, then try again",
    errno.EDQUOT: "your disk quota is used up; free some space, then try again",
    errno.EACCES: "see its mode and owner, or choose another folder",
    errno.EPERM: "see its mode and owner, or choose another folder",
    errno.EISDIR: "a folder is where a file belongs; move it away",
    errno.ENOTDIR: "a file is where a folder belongs; move it away",
    errno.EROFS: "that file system is read-only; choose another folder",
    errno.EIO: "the disk reports an error; look after it before you trust it with more",
    errno.ENOENT: "the folder is gone; was it moved or deleted?",
}


@contextlib.contextmanager
def os_errors(action: str, path: Path) -> Iterator[None]:
    """Turn an OSError inside into a RunError: `can't {action} {path}: {cause}`."""
    try:
        yield
    except OSError as error:
        cause = (error.strerror or str(error)).lower()
        hint = HINTS.get(error.errno or 0)
        raise RunError(f"can't {action} {path}: {cause}", hint=hint) from error


def write_text(path: Path, text: str, *, sync: bool = True) -> None:
    """Replace a file's content in one step, durably.

    With `sync=False` the step is still atomic for readers, but a power cut may undo or damage it:
    for what is written every second and can be rebuilt. Raises RunError.
    """
    _replace(path, lambda temporary: _write_new(temporary, text.encode(), sync=sync), sync=sync)


def write_file(path: Path, fill: Callable[[Path], object]) -> None:
    """Replace a file in one step, durably, by the one that `fill` writes to the path it is given.

    Raises RunError, and whatever `fill` raises.
    """

    def fill_and_sync(temporary: Path) -> None:
        fill(temporary)
        _sync(temporary)

    _replace(path, fill_and_sync, sync=True)


def write_json(path: Path, value: object, *, sync: bool = True) -> None:
    """Replace a file with indented JSON; numbers that aren't finite become null."""
    write_text(path, _json(value), sync=sync)


def overwrite_json(path: Path, value: object) -> None:
    """Write JSON over what a file holds, in the room that it has: the last word on a full disk.

    A kill amid this leaves neither the old content nor the new: only for what can be rebuilt.
    Raises RunError, with the file as it was if there is too little room in it.
    """
    data = _json(value).encode()
    with os_errors("write", path):
        handle = os.open(path, os.O_WRONLY | _BINARY)
        try:
            blocks: int = getattr(os.fstat(handle), "st_blocks", 0)  # of 512 bytes, on any system
            if len(data) > blocks * 512:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            _write_all(handle, data)
            os.ftruncate(handle, len(data))
        finally:
            os.close(handle)


def make_folder(path: Path) -> None:
    """Create a folder and its missing parents, durably. Fine if it is there. Raises RunError."""
    with os_errors("create", path):
        missing = []
        place = path
        while not place.is_dir():
            missing.append(place)
            place = place.parent
        for folder in reversed(missing):
            _make_one(folder)


def commit_folder(
    folder: Path, fill: Callable[[Path], None], *, extra: dict[str, Any] | None = None
) -> int:
    """Make a folder whole or not at all: `fill` writes files into the temporary folder it is given.

    `extra` goes into the manifest beside the files' sizes and checksums. The folder must not be
    there yet. Its parent is created, but no more than that: a run that was deleted stays so.
    Returns the bytes of all files, the manifest among them. Raises RunError, and whatever `fill`
    raises, after having removed the temporary folder.
    """
    return begin_folder(folder, fill, extra=extra)()


def begin_folder(
    folder: Path,
    fill: Callable[[Path], None],
    *,
    extra: dict[str, Any] | None = None,
    measure_now: bool = False,
    sync: bool = True,
) -> Callable[[], int]:
    """The first half of `commit_folder`: the files are written, but needn't be on the disk yet.

    Returns the second half, which does all the rest. It may be called by another thread, and must
    be called once. With `measure_now` it only waits for the disk: the checksums are taken before
    this returns, of several files at once. With `sync=False` it doesn't even wait for the disk: a
    kill undoes nothing, but a power cut may, or may leave a folder whose checksums tell of it.
    """
    extra = finite(extra or {})
    assert not set(extra) & RESERVED, "these keys belong to the manifest"
    taken = RunError(f"can't write {folder}: it is there already")
    if os.path.lexists(folder):
        raise taken
    with os_errors("write", folder):
        if not folder.parent.is_dir():
            _make_one(folder.parent)
    temporary = _fill(folder, fill)
    with os_errors("write", folder), _removed_on_error(temporary):
        names = _files(temporary)
        paths = [temporary / name for name in names]
        measured = _measure_at_once(paths) if measure_now else None

    def commit() -> int:
        with os_errors("write", folder), _removed_on_error(temporary):
            if sync:
                for path in paths:
                    _sync(path)
            files = dict(zip(names, measured or map(_measure, paths), strict=True))
            assert MANIFEST not in files, "the manifest is written here"
            manifest = render({"format": 1, **extra, "files": files}).encode()
            _write_new(temporary / MANIFEST, manifest, sync=sync)
        if not _place(temporary, folder, sync=sync):
            raise taken
        return sum(int(file["size"]) for file in files.values()) + len(manifest)

    return commit


def create_folder(folder: Path, fill: Callable[[Path], None]) -> bool:
    """Make a folder without a manifest, whole or not at all; False if the name is taken.

    Its files may change later. Its parents are created. Raises RunError, and whatever `fill`
    raises.
    """

    make_folder(folder.parent)
    if os.path.lexists(folder):
        return False
    temporary = _fill(folder, fill)
    with os_errors("write", folder), _removed_on_error(temporary):
        for name in _files(temporary):
            _sync(temporary / name)
    return _place(temporary, folder)


def remove_folder(folder: Path) -> None:
    """Remove a folder so that no half of it is ever found under its name. Raises RunError."""
    with os_errors("remove", folder):
        temporary = _temporary(folder)
        os.rename(folder, temporary)  # noqa: PTH104
        sync_folder(folder.parent)
        shutil.rmtree(temporary)


def clear_temporaries(folder: Path) -> None:
    """Remove what killed writers left here. Only for whoever holds the lock on this folder."""
    with os_errors("clean up", folder):
        for path in folder.glob(f"{TEMPORARY}*"):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


class Appender:
    """Writes JSON objects to the end of a file, one a line, each in one system call.

    A reader sees a row as soon as `append` returns, and a kill loses none; `flush(sync=True)` also
    saves them from a power cut. Opening cuts off a torn last line. Not for two writers at once.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with os_errors("write", path):
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | _BINARY, 0o666)
            try:
                self._size = end_of_last(self._file, lambda line: parse_row(line) is not None)
                os.ftruncate(self._file, self._size)
                sync_folder(path.parent)  # whoever made the file may have been killed before this
            except BaseException:
                os.close(self._file)
                raise

    def append(self, row: dict[str, Any]) -> None:
        """Add one row; numbers that aren't finite become null. Raises RunError."""
        line = json.dumps(finite(row), ensure_ascii=False, allow_nan=False) + "\n"
        with os_errors("write", self.path):
            os.lseek(self._file, self._size, os.SEEK_SET)
            try:
                self._size += _write_all(self._file, line.encode())
            except BaseException:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._file, self._size)  # half a row is worse than none
                raise

    def flush(self, *, sync: bool = False) -> None:
        """Rows are with the system already; with `sync`, wait until they are on the disk."""
        if sync:
            with os_errors("write", self.path):
                os.fsync(self._file)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> "Appender":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON objects of a file, one a line; lines that aren't whole are passed over.

    Memory stays flat. A file that isn't there has no rows. Raises RunError.
    """
    with contextlib.suppress(FileNotFoundError), _opened(path) as file:
        for line in file:
            row = parse_row(line)
            if row is not None:
                yield row


def parse_row(line: bytes) -> dict[str, Any] | None:
    """The JSON object in a line; None if the line isn't whole."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and line.endswith(b"\n") else None


def finite(value: Any) -> Any:
    """The value, ready for strict JSON: floats that aren't finite become None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable. Raises OSError."""
    if os.name == "nt":  # Windows has no such call; NTFS journals its names
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _json(value: object) -> str:
    return json.dumps(finite(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _make_one(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def _replace(path: Path, fill: Callable[[Path], None], *, sync: bool) -> None:
    with os_errors("write", path):
        temporary = _temporary(path)
        try:
            fill(temporary)
            os.replace(temporary, path)  # noqa: PTH105 - the call whose order matters, spelled out
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if sync:
            sync_folder(path.parent)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Iterator[bytes]]:
    try:
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        raise
    except OSError as error:
        raise RunError(f"can't read {path}: {(error.strerror or str(error)).lower()}") from error


def _temporary(path: Path) -> Path:
    return path.with_name(f"{TEMPORARY}{path.name}-{os.getpid()}-{secrets.token_hex(4)}")


def _write_new(path: Path, data: bytes, *, sync: bool) -> None:
    # os.open and 0o666 rather than tempfile, whose 0600 would ignore the user's umask.
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
    try:
        _write_all(handle, data)
        if sync:
            os.fsync(handle)
    finally:
        os.close(handle)


def _write_all(handle: int, data: bytes) -> int:
    rest = memoryview(data)
    while rest:  # a disk that fills up takes a part first, and refuses the next
        rest = rest[os.write(handle, rest) :]
    return len(data)


def _fill(folder: Path, fill: Callable[[Path], None]) -> Path:
    """Have the files of a folder written into a temporary one."""
    temporary = _temporary(folder)
    with os_errors("write", folder), _removed_on_error(temporary):
        temporary.mkdir()
        fill(temporary)
    return temporary


def _place(temporary: Path, folder: Path, *, sync: bool = True) -> bool:
    """Give a temporary folder, whose files are synced, its name; False if somebody has it."""
    with os_errors("write", folder), _removed_on_error(temporary):
        if sync:
            for inner in sorted((p for p in temporary.rglob("*") if p.is_dir()), reverse=True):
                sync_folder(inner)
            sync_folder(temporary)
        try:
            os.rename(temporary, folder)  # noqa: PTH104 - the commit
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            shutil.rmtree(temporary, ignore_errors=True)
            return False  # another process was quicker
        if sync:
            sync_folder(folder.parent)
    return True


@contextlib.contextmanager
def _removed_on_error(temporary: Path) -> Iterator[None]:
    """What an error leaves half done goes."""
    try:
        yield
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        # Libraries in Rust tell of a full disk in words only: "... (os error 28)".
        words = None if isinstance(error, OSError) else re.search(r"\(os error (\d+)\)", str(error))
        if words:
            raise OSError(int(words[1]), os.strerror(int(words[1]))) from error
        raise


def _files(folder: Path) -> list[str]:
    paths = [path for path in folder.rglob("*") if not path.is_dir()]
    modes = [path.lstat().st_mode for path in paths]  # raises for one that was deleted meanwhile
    assert all(map(stat.S_ISREG, modes)), "plain files only"
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _measure(path: Path) -> dict[str, Any]:
    return {"size": path.stat().st_size, "sha256": digest(path)}


def _measure_at_once(paths: list[Path]) -> list[dict[str, Any]]:
    from concurrent.futures import ThreadPoolExecutor  # imports logging, which `ps` needn't

    with ThreadPoolExecutor() as threads:
        return list(threads.map(_measure, paths))
