"""`python -m maquette.web FOLDER`: the page as a folder for any web server."""

import os
import sys
from pathlib import Path

from maquette.errors import DamagedError, MaquetteError, UsageError
from maquette.runs import durable
from maquette.runs.manifest import read_manifest
from maquette.web.files import page_files
from maquette.web.packages import LOCK, own, packages

_KIND = "maquette web page"


def build(folder: Path, found: Path) -> None:
    """Write the page, with the `found` packages, in place of one that was built here before.

    The folder is whole or not at all. Raises UsageError where it holds anything else.
    """
    files = {**page_files(found), LOCK: own(LOCK)}

    def fill(temporary: Path) -> None:
        for name, content in files.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    if os.path.lexists(folder):
        if not _is_ours(folder):
            raise UsageError(
                f"{folder} is there, and isn't a page that was built here", hint="name another"
            )
        durable.remove_folder(folder)
    durable.make_folder(folder.parent)
    durable.commit_folder(folder, fill, extra={"kind": _KIND})


def _is_ours(folder: Path) -> bool:
    try:
        return bool(read_manifest(folder).get("kind") == _KIND)
    except DamagedError:
        return False


def main(arguments: list[str]) -> int:
    """Build the page in the folder that is named; returns the exit code."""
    if len(arguments) != 1:
        print("usage: python -m maquette.web FOLDER", file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    try:
        build(folder, packages(lambda text: print(text, file=sys.stderr)))
    except MaquetteError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{folder}: copy it to any web server, at any address")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
