"""import and export: weights from others, and for others."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from maquette.cli import common, writing
from maquette.cli.common import Json, RunName, RunsDir
from maquette.errors import UsageError
from maquette.shapes import Variant

Layout = Literal["timm", "facebook", "torchvision"]
_COLOURS = "config.json's, or ImageNet's"


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .safetensors or .pth file.")],
    layout: Annotated[
        Layout | None,
        typer.Option(
            "--from", help="Whose names the weights have.", show_default="found from the names"
        ),
    ] = None,
    variant: Annotated[
        Variant | None,
        typer.Option(help="The ConvNeXt that it is.", show_default="found from the weights"),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Begins the run's id.", show_default="convnext-VARIANT"),
    ] = None,
    classes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Names of the classes, one a line.",
            show_default="config.json's, or numbered",
        ),
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(
            min=8,
            max=4096,
            help="Pixels a side that images are brought to.",
            show_default="config.json's, or 224; 64 or 32 for a stem of 2 pixels or 1",
        ),
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(metavar="R,G,B", help="What images are normalised by.", show_default=_COLOURS),
    ] = None,
    std: Annotated[
        str | None, typer.Option(metavar="R,G,B", help="The same.", show_default=_COLOURS)
    ] = None,
    runs_dir: RunsDir = None,
    as_json: Json = False,
) -> None:
    """Make a run of a ConvNeXt that others trained; prints its id.

    What isn't given is read from the config.json of timm beside the file, where there is one. The
    run can be used like any other, and `train: {from: RUN}` fine-tunes it.
    """
    from maquette.cli.status import summary
    from maquette.cli.train import command_line
    from maquette.events import Note
    from maquette.importing import import_convnext, parse_colours, read_classes

    run = import_convnext(
        file,
        common.open_store(runs_dir),
        layout=layout,
        variant=variant,
        name=_checked(name),
        classes=None if classes is None else read_classes(classes),
        image_size=image_size,
        mean=None if mean is None else parse_colours("--mean", mean),
        std=None if std is None else parse_colours("--std", std),
        command=command_line(),
    )
    if as_json:
        common.print_json(summary(run, run.state()))
        return
    for _, event in run.events():
        if isinstance(event, Note):
            common.say(event.text)
    print(run.id)
    common.say(f"next: maquette classify {run.name} IMAGE")


def _checked(name: str | None) -> str | None:
    import re

    from maquette.spec.parts import NAME

    if name is not None and not re.fullmatch(NAME, name):
        raise UsageError(
            f"--name {name!r} can't begin a run's id",
            hint="write lower case letters, digits and hyphens, a letter first",
        )
    return name


def export(
    run: RunName,
    to: Annotated[Literal["timm"], typer.Option(help="Who is to load it.")],
    folder: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="A new folder.", show_default="RUN-timm"
        ),
    ] = None,
    checkpoint: writing.Which = "best",
    runs_dir: RunsDir = None,
) -> None:
    """Write a run's model for another library: an image classifier for timm; prints the folder."""
    from maquette.blueprint.blueprint import ImageBlueprint
    from maquette.reading import read_blueprint

    found = common.open_store(runs_dir).find(run)
    if not isinstance(read_blueprint(found), ImageBlueprint):
        raise UsageError(
            f"--to {to} is for image classifiers, and {found.id} is a language model",
            hint="there is no export for language models yet; the weights in its checkpoints are"
            " plain safetensors",
        )
    saved = writing.find_checkpoint(found, checkpoint)
    from maquette.export.timm import export_timm
    from maquette.loading import load_classifier

    model, blueprint = load_classifier(found, saved, device="cpu")
    facts = blueprint.facts
    place = folder or Path(f"{found.id}-{to}")
    export_timm(
        place,
        model.state_dict(),
        model.shape,
        classes=facts.classes,
        mean=facts.mean,
        spread=facts.std,
    )
    print(place)
    common.say(f'timm.create_model("local-dir:{place}", pretrained=True) loads it')
