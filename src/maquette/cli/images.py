"""classify, and eval for image runs: a classifier at work."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maquette.cli import common, writing
from maquette.cli.common import Device, Json, RunName, RunsDir
from maquette.cli.table import Cell, paint, print_columns, terminal_width
from maquette.errors import DataError, UsageError

if TYPE_CHECKING:
    from maquette.blueprint.blueprint import ImageBlueprint
    from maquette.classification import Given, Judged, Said
    from maquette.data.image.pixels import Images
    from maquette.data.image.prepare import PreparedImages
    from maquette.runs.store import Checkpoint, Run

_ALL_CLASSES = 40  # of more, eval prints the worst alone
_WORST = 20
_BAR = 20  # columns of a probability of 1


def classify(
    run: RunName,
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMAGE...", help="Image files, folders of them, or - for stdin."),
    ],
    top: Annotated[int, typer.Option(min=1, help="Classes to tell of each image.")] = 5,
    flip: Annotated[
        bool, typer.Option("--flip", help="Look at each image's mirror image too.")
    ] = False,
    checkpoint: writing.Which = "best",
    device: Device = "auto",
    runs_dir: RunsDir = None,
    as_json: Json = False,
) -> None:
    """Tell what images show, each with the likeliest classes and their probabilities.

    An image that can't be read is told and the others are looked at; the exit code is 1 then.
    """
    from maquette.reading import image_blueprint

    if images.count("-") > 1:
        raise UsageError("- is stdin, and can be read once")
    found = common.open_store(runs_dir).find(run)
    image_blueprint(found)
    saved = writing.find_checkpoint(found, checkpoint)

    from maquette.classification import classify as look_at
    from maquette.loading import load_classifier

    model, blueprint = load_classifier(found, saved, device=device)
    with writing.broken_weights_told(saved.step):
        said = look_at(model, blueprint, _given(images), top=top, flip=flip)
        failed = _print_json(said) if as_json else _print_said(said, top)
    if failed:
        raise typer.Exit(1)


def _given(names: Iterable[str]) -> "Iterator[Given]":
    from maquette.classification import Given, find_images

    for name in names:
        if name == "-":
            yield Given("stdin", sys.stdin.buffer.read())
        else:
            yield from find_images([Path(name)])


def _print_said(said: "Iterable[Said]", top: int) -> bool:
    """A block for each image as it comes, or with one class a line; whether any was broken."""
    from maquette.cli.view import printable

    failed = False
    for one in said:
        name = printable(one.name)
        if one.problem is not None:
            common.print_error(f"{name}: {one.problem}")
            failed = True
        elif top == 1:
            label, share = one.classes[0]
            print(f"{share:7.2%}  {printable(label)}  {paint(name, 'dim')}", flush=True)
        else:
            print(paint(name, "bold"))
            width = max(len(printable(label)) for label, _ in one.classes)
            for label, share in one.classes:
                bar = paint("█" * round(share * _BAR), "cyan")
                print(f"{share:9.2%}  {printable(label):{width}}  {bar}".rstrip(), flush=True)
    return failed


def _print_json(said: "Iterable[Said]") -> bool:
    """A JSON list, written as the images come; whether any was broken."""
    import json

    failed, before = False, "["
    for one in said:
        failed = failed or one.problem is not None
        row: dict[str, Any] = {"image": one.name}
        if one.problem is not None:
            row["problem"] = one.problem
        else:
            row["classes"] = [{"class": label, "probability": p} for label, p in one.classes]
        text = json.dumps(row, ensure_ascii=False)
        text = text.encode(errors="backslashreplace").decode()  # a name may be any bytes
        print(f"{before}\n  {text}", end="", flush=True)
        before = ","
    print("\n]" if before == "," else "[]")
    return failed


def evaluate_images(
    run: "Run",
    blueprint: "ImageBlueprint",
    saved: "Checkpoint",
    *,
    split: str,
    limit: int | None,
    flip: bool | None,
    pictures: Path | None,
    data: str | None,
    precision: Any,
    device: str,
    runs_dir: Path | None,
    as_json: bool,
) -> None:
    """Judge a classifier by a split, print figures, and draw what it takes for what.

    Raises MaquetteError.
    """
    from maquette.classification import judge_split
    from maquette.cli.use import progress_bar
    from maquette.loading import load_classifier
    from maquette.runs import durable
    from maquette.training.device import autocast, choose_precision

    folder = pictures or run.path / "pictures"
    durable.make_folder(folder)  # before the work: it may be refused
    model, _ = load_classifier(run, saved, device=device)
    prepared = _data(run, blueprint, data, runs_dir)
    classes = prepared.facts.classes
    images = prepared.images(split)
    place = model.head.fc.weight.device
    flip = blueprint.train.evaluate_flip if flip is None else flip
    with progress_bar() as progress, writing.broken_weights_told(saved.step):
        judged = judge_split(
            model,
            blueprint,
            images,
            autocast=autocast(place, choose_precision(precision, place)),
            flip=flip,
            limit=limit,
            progress=progress,
        )
    title = f"{run.id}, step {saved.step:,}, {split}"
    drawn = _draw(judged, images, classes, title, folder / split)
    if as_json:
        head = {"run": run.id, "step": saved.step, "split": split, "flip": flip}
        files = {name: str(path) for name, path in drawn.items()}
        common.print_json({**head, **_figures(judged, classes), "pictures": files})
        return
    _print_judged(judged, classes, split)
    for path in drawn.values():
        print(path)
    mirrored = ", with mirror images" if flip else ""
    common.say(f"{run.id}, step {saved.step}, {split} split{mirrored}")


def _draw(
    judged: "Judged", images: "Images", classes: tuple[str, ...], title: str, start: Path
) -> dict[str, Path]:
    """The pictures of what is taken for what, by name, whose files' names begin with `start`."""
    from maquette.data.image.paper import write_picture
    from maquette.pictures import draw_confusion, draw_mistakes

    drawn = {name: Path(f"{start}-{name}.png") for name in ("confusion", "mistakes")}
    write_picture(drawn["confusion"], draw_confusion(judged, classes, title=title))
    write_picture(drawn["mistakes"], draw_mistakes(judged, images, classes, title=title))
    return drawn


def _data(
    run: "Run", blueprint: "ImageBlueprint", name: str | None, runs_dir: Path | None
) -> "PreparedImages":
    """The run's own images as they were, or those of a spec, with the classes that it knows."""
    from maquette.cli.data import preparing
    from maquette.data.image.prepare import PreparedImages
    from maquette.preparation import prepare_data
    from maquette.reading import run_spec
    from maquette.spec.image import ImageSpec

    if name is None and run.meta.kind == "imported":
        raise UsageError(
            f"{run.id} was imported, and has no data of its own",
            hint="--data SPEC judges it by the data of a spec",
        )
    with preparing() as report:
        spec = run_spec(run) if name is None else common.load_spec(name, [], runs_dir)
        if not isinstance(spec, ImageSpec):
            raise UsageError(f"--data {name} is a spec for text, and {run.id} judges images")
        if name is not None:
            size = {"image_size": blueprint.shape.image_size}
            spec = spec.model_copy(update={"model": spec.model.model_copy(update=size)})
        prepared = prepare_data(spec, progress=report)
    assert isinstance(prepared, PreparedImages)
    if name is not None:
        _check_classes(prepared.facts.classes, blueprint.facts.classes, run)
    elif prepared.facts != blueprint.facts:
        raise DataError(
            f"the data of {run.id} has changed since the run was made",
            hint="bring the data back as it was, or judge by that of a spec: --data SPEC",
        )
    return prepared


def _check_classes(theirs: tuple[str, ...], ours: tuple[str, ...], run: "Run") -> None:
    """Whether data has the classes that a run tells apart, by name and order. Raises DataError."""
    from maquette.facts import unnamed_classes

    if len(theirs) != len(ours):
        raise DataError(
            f"the data has {len(theirs):,} classes, and {run.id} tells {len(ours):,} apart"
        )
    if theirs == ours or ours == unnamed_classes(len(ours)):
        return
    place = next(i for i, (a, b) in enumerate(zip(theirs, ours, strict=True)) if a != b)
    raise DataError(
        f"class {place} of the data is {theirs[place]!r}, and that of {run.id} {ours[place]!r}",
        hint="they have to be the same classes in the same order",
    )


def _figures(judged: "Judged", classes: tuple[str, ...]) -> dict[str, Any]:
    result = judged.result
    matrix = result.confusion
    counts, right = matrix.sum(1).tolist(), result.class_accuracy
    mistakes = matrix.clone().fill_diagonal_(0).nonzero().tolist()
    mistakes.sort(key=lambda pair: -int(matrix[pair[0], pair[1]]))
    return {
        "images": result.images,
        "accuracy": result.accuracy,
        "top5": result.top5,
        "loss": result.loss,
        "calibration_error": result.calibration_error,
        "classes": [
            {"class": name, "images": count, "accuracy": share}
            for name, count, share in zip(classes, counts, right, strict=True)
        ],
        "confusions": [
            {"class": classes[true], "said": classes[said], "images": int(matrix[true, said])}
            for true, said in mistakes
        ],
    }


def _print_judged(judged: "Judged", classes: tuple[str, ...], split: str) -> None:
    from maquette.cli.view import printable

    found, width = _figures(judged, classes), terminal_width()
    print_columns(
        ["split", "images", "top-1", "top-5", "loss", "calibration error"],
        [
            [
                Cell(split, "cyan"),
                Cell(f"{found['images']:,}"),
                Cell(f"{found['accuracy']:.2%}"),
                Cell(f"{found['top5']:.2%}"),
                Cell(f"{found['loss']:.4f}"),
                Cell(f"{found['calibration_error']:.2%}"),
            ]
        ],
        left=1,
        width=width,
    )
    rows = [
        {**row, "taken": taken}
        for row, taken in zip(found["classes"], _taken_for(judged, classes), strict=True)
    ]
    if many := len(rows) > _ALL_CLASSES:
        there = [row for row in rows if row["accuracy"] is not None]
        rows = sorted(there, key=lambda row: (row["accuracy"], -row["images"]))[:_WORST]
    print()
    print_columns(
        ["class", "most often taken for", "images", "right"],
        [
            [
                Cell(printable(row["class"])),
                Cell(printable(row["taken"])),
                Cell(f"{row['images']:,}"),
                Cell("-" if row["accuracy"] is None else f"{row['accuracy']:.1%}"),
            ]
            for row in rows
        ],
        left=2,
        width=width,
    )
    if many:
        print(f"the {len(rows)} worst of {len(classes):,} classes; --json has them all")


def _taken_for(judged: "Judged", classes: tuple[str, ...]) -> list[str]:
    """What each class is most often taken for, and how often."""
    wrong = judged.result.confusion.clone().fill_diagonal_(0)
    counts, labels = (found.tolist() for found in wrong.max(1))
    pairs = zip(counts, labels, strict=True)
    return [f"{classes[label]} ({count:,})" if count else "" for count, label in pairs]
