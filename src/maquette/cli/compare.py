"""compare: runs side by side."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from maquette.cli import common
from maquette.cli.common import Json, RunsDir
from maquette.cli.table import terminal_width

if TYPE_CHECKING:
    from maquette.comparison import Axis
    from maquette.runs.store import Run

_WIDEST, _NARROWEST = 120, 40


def compare(
    names: Annotated[
        list[str], typer.Argument(metavar="RUN RUN...", help="Runs' ids, or beginnings of them.")
    ],
    by: Annotated[
        Literal["step", "time"], typer.Option(help="What the curves run along.")
    ] = "step",
    png: Annotated[
        Path | None,
        typer.Option(
            "--png", metavar="FILE", help="Draw the curves into a picture.", dir_okay=False
        ),
    ] = None,
    as_json: Json = False,
    runs_dir: RunsDir = None,
) -> None:
    """Lay runs side by side: how their specs differ, and how they do at equal steps and times."""
    from maquette.cli.comparing import report
    from maquette.comparison import compare

    comparison = compare(_find(names, runs_dir))
    axis: Axis = "step" if by == "step" else "seconds"
    if png is not None:
        from maquette.charts import draw_comparison
        from maquette.data.image.paper import write_picture

        write_picture(png, draw_comparison(comparison, axis))
        common.say(f"drew {png}")
    if as_json:
        common.print_json(comparison.to_json())
        return
    width = min(_WIDEST, terminal_width() or shutil.get_terminal_size((100, 24)).columns)
    for line in report(comparison, axis, max(_NARROWEST, width)):
        print(line)


def _find(names: Sequence[str], runs_dir: Path | None) -> "list[Run]":
    """The runs; where there is one that isn't, all of those are named. Exit code 1 then."""
    runs, failed = common.find_runs(names, runs_dir)
    if failed:
        raise typer.Exit(1)
    return runs
