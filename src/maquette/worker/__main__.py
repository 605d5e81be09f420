"""`python -m maquette.worker RUN_DIR`: work on a run, reporting to its files alone."""

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

from maquette.errors import MaquetteError
from maquette.runs.store import Run
from maquette.worker import work
from maquette.worker.signals import StopOnSignal


def main(arguments: Sequence[str] | None = None) -> int:
    """Work on a run; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m maquette.worker", description=__doc__)
    parser.add_argument("run", type=Path, metavar="RUN_DIR")
    parser.add_argument("--queue", action="store_true", help="wait until the device is free")
    parser.add_argument("--checkpoint", default="latest", help="latest, best or a step")
    options = parser.parse_args(arguments)
    run = Run(options.run.absolute())
    try:
        with StopOnSignal() as stop, contextlib.suppress(KeyboardInterrupt):
            for _ in work(run, stop=stop, queue=options.queue, checkpoint=options.checkpoint):
                pass
    except MaquetteError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
