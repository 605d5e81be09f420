"""The cache of prepared data: where it is, what is in it, and how to be rid of it."""

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maquette.errors import DamagedError, DataError
from maquette.runs import durable
from maquette.runs.manifest import MANIFEST, read_manifest

FACTS_FILE = "facts.json"


@dataclass(frozen=True, slots=True)
class Entry:
    """One prepared data set: `sources` are names and kinds; `tokens` or `images` of all splits.

    Images have no tokenizer: its name is empty then.
    """

    key: str
    path: Path
    sources: dict[str, str]
    tokenizer: str
    vocabulary: int
    tokens: int
    bytes: int  # on disk
    made_at: float  # seconds since 1970
    images: int = 0


def cache_folder(part: str = "data") -> Path:
    """Where prepared data lives: in $MAQUETTE_CACHE, or the system's place for caches."""
    import platformdirs

    chosen = os.environ.get("MAQUETTE_CACHE")
    root = Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("maquette", False)
    return root / part


def list_prepared(root: Path | None = None) -> list[Entry]:
    """The whole data sets in the cache, the newest first."""
    root = cache_folder() if root is None else root
    found = []
    for path in root.glob(f"*/{MANIFEST}"):
        if path.parent.name.startswith(durable.TEMPORARY):
            continue
        try:
            found.append(_entry(path.parent))
        except (DamagedError, OSError, ValueError, KeyError, TypeError):
            continue  # not whole, or of another version: `prepare` makes it anew when it is needed
    return sorted(found, key=lambda entry: entry.made_at, reverse=True)


def remove_prepared(entry: Entry) -> None:
    """Remove a data set. Raises DataError when it is being prepared right now."""
    from filelock import FileLock, Timeout

    try:
        with FileLock(lock_path(entry.path), timeout=0):
            durable.remove_folder(entry.path)
    except Timeout:
        raise DataError(f"{entry.path}: another process is preparing it right now") from None


@contextlib.contextmanager
def preparing(folder: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of one data set to write it; `waiting` is called when somebody else has it.

    What killed preparations left is removed first, but nothing that one still works on.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(lock_path(folder))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        waiting()
        lock.acquire(poll_interval=0.2)
    try:
        _remove_leftovers(folder)
        yield
    finally:
        lock.release()


def _remove_leftovers(mine: Path) -> None:
    from filelock import FileLock, Timeout

    for temporary in mine.parent.glob(f"{durable.TEMPORARY}*"):
        key = temporary.name.removeprefix(durable.TEMPORARY).split("-")[0]
        if key == mine.name:
            shutil.rmtree(temporary, ignore_errors=True)
            continue
        with contextlib.suppress(Timeout), FileLock(lock_path(mine.with_name(key)), timeout=0):
            shutil.rmtree(temporary, ignore_errors=True)


def lock_path(folder: Path) -> Path:
    """The file that whoever writes or removes a data set holds the lock of."""
    return folder.with_name(f"{folder.name}.lock")


def _entry(folder: Path) -> Entry:
    manifest: dict[str, Any] = read_manifest(folder)
    facts = json.loads((folder / FACTS_FILE).read_bytes())
    of_images = "image_format" in manifest
    sources = [facts["splits"]] if of_images else facts["sources"].values()
    splits = [split for source in sources for split in source.values()]
    manifest_file = (folder / MANIFEST).stat()
    files_bytes = sum(int(file["size"]) for file in manifest["files"].values())
    return Entry(
        key=folder.name,
        path=folder,
        sources={name: source["kind"] for name, source in manifest["sources"]},
        tokenizer="" if of_images else manifest["tokenizer"]["kind"],
        vocabulary=0 if of_images else facts["vocabulary"],
        tokens=0 if of_images else sum(split["tokens"] for split in splits),
        images=sum(split["images"] for split in splits) if of_images else 0,
        bytes=files_bytes + manifest_file.st_size,
        made_at=manifest_file.st_mtime,
    )
