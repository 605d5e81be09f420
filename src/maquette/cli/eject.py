"""eject: a spec or a run as a project of its own."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from maquette.cli import common, writing
from maquette.cli.common import RunsDir


def eject(
    name: Annotated[
        str,
        typer.Argument(metavar="SPEC|RUN", help="A spec file, a preset, or a run."),
    ],
    folder: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="A new folder.", show_default=False),
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Replace an earlier project there, and nothing else.")
    ] = False,
    checkpoint: writing.Which = "best",
    runs_dir: RunsDir = None,
) -> None:
    """Write a small PyTorch project that trains and uses the model without maquette.

    It is made of the very text that trains it here. Prints the folder.
    """
    from maquette.cli.data import preparing
    from maquette.ejecting import eject_run, eject_spec
    from maquette.spec.load import preset_names

    store = common.open_store(runs_dir)
    if Path(name).is_file() or name in preset_names() or name.endswith((".yaml", ".yml")):
        with preparing() as progress:
            eject_spec(name, folder, store, force=force, progress=progress)
    else:
        run = store.find(name)
        saved = writing.find_checkpoint(run, checkpoint)
        eject_run(run, folder, checkpoint=saved.step, force=force)
    print(folder)
    common.say(f"next: cd {shlex.quote(str(folder))} && python train.py --help")
