"""A project's folder: written all or not at all, and over nothing that somebody else wrote."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from maquette.errors import UsageError

MANIFEST = ".maquette-eject.json"
"""What was written, and the SHA-256 of each file: so that a later project knows its own files."""


def check_folder(folder: Path, *, force: bool = False) -> None:
    """Raise UsageError unless the folder isn't there or is empty; `force` lets any folder pass."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not there.is_dir():
        raise UsageError(f"{there} is a file", hint="name a folder")
    if not force and folder.is_dir() and any(folder.iterdir()):
        raise UsageError(
            f"{folder} isn't empty",
            hint="name another folder; --force replaces an earlier project, and nothing else",
        )


def write_project(folder: Path, files: Mapping[str, bytes], *, force: bool = False) -> None:
    """Write a project's files into a folder that isn't there or is empty.

    With `force`, also into one that holds an earlier project: its files are replaced, and those
    that are no longer part of it removed. Raises UsageError where that would touch a file that it
    didn't write, or that was changed since.
    """
    folder = folder.resolve()  # a link to a folder stays one
    check_folder(folder, force=force)
    known = _written_before(folder)
    _check_untouched(folder, known, files)
    hashes = {name: _hash(content) for name, content in files.items()}
    manifest = json.dumps({"files": hashes}, indent=2, sort_keys=True) + "\n"
    there = folder.is_dir()
    if not there:
        folder.parent.mkdir(parents=True, exist_ok=True)
    aside = folder if there else folder.parent  # which may be another disk
    place = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=aside))
    try:
        for name, content in (*files.items(), (MANIFEST, manifest.encode())):
            file = place / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        place.chmod(0o777 & ~_umask())
        if not there:
            place.replace(folder)
            return
        for name in (*files, MANIFEST):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).replace(folder / name)
        for name in known.keys() - files.keys():
            (folder / name).unlink(missing_ok=True)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _written_before(folder: Path) -> dict[str, str]:
    """File -> its hash, of the project that is in a folder. Raises UsageError."""
    try:
        files = json.loads((folder / MANIFEST).read_bytes())["files"]
        if any(Path(name).is_absolute() or ".." in Path(name).parts for name in files):
            raise ValueError("a file outside")
        return {str(name): str(found) for name, found in files.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(
            f"{folder / MANIFEST} is damaged, so nobody knows which files were ejected",
            hint="name another folder",
        ) from None


def _check_untouched(folder: Path, known: Mapping[str, str], files: Mapping[str, bytes]) -> None:
    strange, changed = [], []
    for name in sorted({*known, *files}):
        file = folder / name
        outer = [folder / part for part in Path(name).parents][:-1]
        if any(part.is_symlink() or (part.exists() and not part.is_dir()) for part in outer):
            strange.append(name)
            continue
        if not os.path.lexists(file):
            continue
        if name not in known or file.is_symlink() or not file.is_file():
            strange.append(name)
        elif _hash(file.read_bytes()) not in (known[name], _hash(files.get(name, b""))):
            changed.append(name)
    for names, what in ((strange, "not made by eject"), (changed, "changed since")):
        if names:
            raise UsageError(
                f"{folder}: {', '.join(names)}: {what}, and would be lost",
                hint="move it away, or name another folder",
            )


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
