"""What a folder says of its own files, in `manifest.json`, and whether it is so. Reads only.

Standard library only.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from maquette.errors import DamagedError

MANIFEST = "manifest.json"
RESERVED = frozenset({"format", "files", "checksum"})
"""Keys of a manifest that belong to it; others are its folder's own."""


def read_manifest(folder: Path) -> dict[str, Any]:
    """The folder's manifest, after the quick checks: its own checksum, and every file's size.

    Raises DamagedError, which names the file and what is wrong with it.
    """
    path = folder / MANIFEST
    try:
        text = path.read_bytes().decode()
        manifest: dict[str, Any] = json.loads(text)
        whole = isinstance(manifest, dict) and render(manifest) == text
    except FileNotFoundError:
        raise DamagedError(f"{path} is missing") from None
    except OSError as error:
        raise DamagedError(f"{path} can't be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{path} is damaged: it isn't JSON ({error})") from None
    if not whole:
        raise DamagedError(f"{path} is damaged: its own checksum differs")
    for name, file in manifest["files"].items():
        try:
            size = (folder / name).stat().st_size
        except OSError as error:
            gone = isinstance(error, FileNotFoundError)
            what = "is missing" if gone else f"can't be read: {error.strerror}"
            raise DamagedError(f"{folder / name} {what}") from None
        if size != file["size"]:
            raise DamagedError(
                f"{folder / name} is damaged: it has {size:,} bytes instead of {file['size']:,}"
            )
    return manifest


def verify_folder(folder: Path) -> dict[str, Any]:
    """The folder's manifest, after reading every file and comparing its checksum.

    Raises DamagedError, which names the file and what is wrong with it.
    """
    manifest = read_manifest(folder)
    for name, file in manifest["files"].items():
        path = folder / name
        try:
            found = digest(path)
        except OSError as error:
            raise DamagedError(f"{path} can't be read: {error.strerror}") from error
        if found != file["sha256"]:
            raise DamagedError(f"{path} is damaged: its checksum differs from the manifest's")
    return manifest


def look_of(folder: Path) -> object:
    """Something that differs once a file of the folder has been written to.

    Raises DamagedError where the folder can't be read.
    """
    try:
        stats = {path: path.stat() for path in sorted(folder.rglob("*"))}
    except OSError as error:
        raise DamagedError(f"{folder} can't be read: {error.strerror}") from error
    return [(path, stat.st_ino, stat.st_size, stat.st_mtime_ns) for path, stat in stats.items()]


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def render(manifest: dict[str, Any]) -> str:
    """The one text that a manifest can have, so that any changed bit in it shows."""
    content = {key: value for key, value in manifest.items() if key != "checksum"}
    canonical = json.dumps(content, allow_nan=False)
    content["checksum"] = hashlib.sha256(canonical.encode()).hexdigest()
    return json.dumps(content, indent=2, allow_nan=False) + "\n"
