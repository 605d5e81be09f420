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
    parser.add_argument("--lock", type=int, default=-1, help="the run's lock: an open file")
    options = parser.parse_args(arguments)
    run = Run(options.run.absolute())
    stop = StopOnSignal()
    events = work(
        run,
        stop=stop,
        queue=options.queue,
        checkpoint=options.checkpoint,
        lock=run.lock(options.lock),
    )
    try:
        with stop, contextlib.suppress(KeyboardInterrupt):
            for _ in events:
                pass
    except MaquetteError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
