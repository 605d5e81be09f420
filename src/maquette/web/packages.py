"""What the page has of others, Pyodide and xterm.js: from npm, once, into the cache."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from maquette.data.cache import cache_folder
from maquette.errors import DamagedError, MaquetteError, RunError
from maquette.runs import durable
from maquette.runs.manifest import read_manifest

LOCK = "package-lock.json"
# Its place on the page -> in npm's folder of packages. Of Pyodide only what Python itself needs.
PARTS = {
    "pyodide/pyodide.mjs": "pyodide/pyodide.mjs",
    "pyodide/pyodide.asm.mjs": "pyodide/pyodide.asm.mjs",
    "pyodide/pyodide.asm.wasm": "pyodide/pyodide.asm.wasm",
    "pyodide/python_stdlib.zip": "pyodide/python_stdlib.zip",
    "pyodide/pyodide-lock.json": "pyodide/pyodide-lock.json",
    "xterm/xterm.mjs": "@xterm/xterm/lib/xterm.mjs",
    "xterm/xterm.css": "@xterm/xterm/css/xterm.css",
    "xterm/addon-fit.mjs": "@xterm/addon-fit/lib/addon-fit.mjs",
    "xterm/LICENSE": "@xterm/xterm/LICENSE",
    "xterm/LICENSE.fit": "@xterm/addon-fit/LICENSE",
}
_SECONDS = 600


def own(name: str) -> bytes:
    """A file of this package."""
    return files("maquette.web").joinpath(name).read_bytes()


def packages(say: Callable[[str], None], root: Path | None = None) -> Path:
    """The folder with the parts, each at its place; fetched where it isn't there whole.

    Raises MaquetteError where npm is missing or fails.
    """
    folder = (root or cache_folder("web")) / hashlib.sha256(own(LOCK)).hexdigest()[:16]
    if is_whole(folder):
        return folder
    npm = shutil.which("npm")
    if npm is None:
        raise MaquetteError(
            "the page needs npm, which fetches Pyodide and xterm.js once",
            hint="install Node.js, like `apt install npm` or `brew install node`",
        )
    say("fetching Pyodide and xterm.js with npm, 6 MB, once")
    if os.path.lexists(folder):
        durable.remove_folder(folder)
    durable.make_folder(folder.parent)
    try:
        durable.commit_folder(folder, lambda temporary: _fetch(npm, temporary))
    except RunError:
        if not is_whole(folder):  # else another process was quicker
            raise
    return folder


def is_whole(folder: Path) -> bool:
    """Whether all parts are in a folder, of the versions that are locked."""
    try:
        names = read_manifest(folder)["files"]
        return PARTS.keys() <= names.keys() and (folder / LOCK).read_bytes() == own(LOCK)
    except (DamagedError, OSError):
        return False


def _fetch(npm: str, folder: Path) -> None:
    """Fill a folder with the parts, by a registry's answer that the lock file's hashes prove."""
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"]
    with tempfile.TemporaryDirectory(prefix="maquette-web-") as place:
        for name in ("package.json", LOCK):
            Path(place, name).write_bytes(own(name))
        try:
            subprocess.run(
                command,
                cwd=place,
                check=True,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_SECONDS,
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise MaquetteError(
                f"npm couldn't fetch Pyodide and xterm.js: {_reason(error)}",
                hint="it needs the network, this once; `npm ping` says whether npm has one",
            ) from None
        for name, source in PARTS.items():
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(Path(place, "node_modules", source), folder / name)
    (folder / LOCK).write_bytes(own(LOCK))


def _reason(error: subprocess.CalledProcessError | subprocess.TimeoutExpired) -> str:
    """What npm says first that is no mere code."""
    if isinstance(error, subprocess.TimeoutExpired):
        return f"no end after {_SECONDS // 60} minutes"
    for line in str(error.stderr).splitlines():
        words = line.removeprefix("npm error").strip()
        if words and not words.startswith(("npm ", "code ", "errno ", "syscall ")):
            return words
    return f"it ended with code {error.returncode}"
