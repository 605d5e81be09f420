"""The process that plans for the screen New: `python -m maquette.tui.planning RUNS_FOLDER`.

It keeps what it measured of this machine, so that a changed spec is planned at once.
"""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from maquette.base import parse_spec
from maquette.preparation import find_data
from maquette.runs.store import Store
from maquette.spec.budget import budget
from maquette.spec.schema import Spec
from maquette.spec.task import AnySpec
from maquette.tui.lines import Request, Requests, serve

if TYPE_CHECKING:
    from maquette.preparation import AnyProgress

_PROGRESS_SECONDS = 0.2


class Planner:
    """Plans specs; prepares their data only where that is asked for."""

    def __init__(self, store: Store, requests: Requests) -> None:
        self._store, self._requests = store, requests
        self._told_at = 0.0

    def answer(self, request: Request) -> None:
        """Plan the newest text that was asked about. Raises MaquetteError."""
        request = self._requests.newest(request)
        spec = parse_spec(
            request["text"],
            origin=request["origin"],
            folder=Path(request["folder"]),
            store=self._store,
        )
        if not request["prepare"] and not _is_prepared(spec):
            self._requests.say(request, "unprepared")
            return
        self._plan(request, spec)

    def _plan(self, request: Request, spec: AnySpec) -> None:
        def progress(now: "AnyProgress") -> None:
            if time.monotonic() - self._told_at > _PROGRESS_SECONDS:
                self._requests.say(request, "progress", text=f"{now}: {now.read}")
                self._told_at = time.monotonic()

        from maquette.settling import plan_spec

        plan = plan_spec(spec, progress=progress)
        from maquette.cli.plan import plan_rows
        from maquette.training.device import choose_device
        from maquette.training.estimate import estimate_here

        estimate = estimate_here(plan.blueprint, choose_device())
        rows = plan_rows(plan.blueprint, estimate, choices=plan.choices)
        short = estimate["peak_bytes"] > estimate["memory_bytes"]
        self._requests.say(request, "plan", sections=rows, short_of_memory=short)


def _is_prepared(spec: AnySpec) -> bool:
    if isinstance(spec, Spec) and budget(spec):
        from maquette.blueprint.budget import choose_vocabulary
        from maquette.settling import measure

        spec = choose_vocabulary(spec, measure(spec, "auto")).spec
    return find_data(spec) is not None


def main() -> None:
    """Answer until whoever asks is gone."""
    requests = Requests()
    serve(requests, Planner(Store(sys.argv[1]), requests).answer)


if __name__ == "__main__":
    main()
