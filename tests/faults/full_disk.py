"""`python -m tests.faults.full_disk FOLDER`: train on a small disk of its own until it is full.

Then make room and train to the end; prints as JSON what came of it. The run is FOLDER/run.
"""

import contextlib
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from maquette.errors import MaquetteError
from maquette.events import CheckpointSaved
from maquette.runs.store import Run
from maquette.worker import work
from tests.faults.processes import assert_readable, computed


def digest(computed: dict[str, Any]) -> str:
    """A short name for all that a run has computed."""
    return hashlib.sha256(repr(computed).encode()).hexdigest()


def main() -> None:
    """Fill the disk after the second checkpoint, save some kilobytes."""
    folder = Path(sys.argv[1])
    run = Run(folder / "run")
    ballast = folder / "ballast"
    refused = ""
    saved = 0
    try:
        for event in work(run):
            saved += isinstance(event, CheckpointSaved)
            if saved == 2 and not ballast.exists():
                fill(ballast)
    except MaquetteError as error:
        refused = error.message
    assert_readable(run)
    status, sound = run.state().status, len(run.checkpoints())
    ballast.unlink()
    list(work(run))
    told = {"refused": refused, "status": status, "sound": sound, "computed": digest(computed(run))}
    print(json.dumps(told))


def fill(ballast: Path) -> None:
    """Take all the room that there is, and give a little of it back, for a few lines."""
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 4096):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass
        file.truncate(file.tell() - 24576)


if __name__ == "__main__":
    main()
