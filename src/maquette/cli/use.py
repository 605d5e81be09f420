"""generate and eval: a run's model at work."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from maquette.cli import common, writing
from maquette.cli.common import Device, Json, RunName, RunsDir

if TYPE_CHECKING:
    from maquette.evaluation import Result
    from maquette.generation.sampling import SamplingOptions
    from maquette.runs.store import Checkpoint, Run


def generate(
    run: RunName,
    prompt: Annotated[
        str | None, typer.Option(help="Text to continue; without one, a document begins.")
    ] = None,
    prompt_file: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Read the prompt from a file, or - for stdin; less one newline."
        ),
    ] = None,
    max_new_tokens: writing.MaxNewTokens = 200,
    temperature: writing.Temperature = 0.8,
    top_k: writing.TopK = None,
    top_p: writing.TopP = 1.0,
    min_p: writing.MinP = 0.0,
    repetition_penalty: writing.RepetitionPenalty = 1.0,
    stop: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="End before this text. Repeatable."),
    ] = None,
    seed: writing.Seed = None,
    checkpoint: writing.Which = "best",
    echo: Annotated[bool, typer.Option("--echo/--no-echo", help="Print the prompt too.")] = True,
    device: Device = "auto",
    runs_dir: RunsDir = None,
    as_json: Json = False,
) -> None:
    """Write text with a run's model, as it comes."""
    from maquette.errors import UsageError

    options = writing.sampling_options(temperature, top_k, top_p, min_p, repetition_penalty)
    if "" in (stop or ()):
        raise UsageError("--stop can't be empty")
    text = _prompt(prompt, prompt_file)
    seed = writing.any_seed() if seed is None else seed
    found = common.open_store(runs_dir).find(run)
    saved = writing.find_checkpoint(found, checkpoint)
    pieces = _pieces(found, saved, text, max_new_tokens, options, seed, stop or [], device)
    if as_json:
        common.print_json(
            {
                "run": found.id,
                "step": saved.step,
                "seed": seed,
                "prompt": text,
                "text": "".join(pieces),
            }
        )
        return
    _print_stream(pieces, first=text if echo else "")


def evaluate(
    run: RunName,
    split: Annotated[
        Literal["train", "validation", "test"], typer.Option(help="The part of the data.")
    ] = "validation",
    checkpoint: writing.Which = "best",
    stride: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Of text: tokens from window to window; below the context it is slower and"
            " fairer.",
        ),
    ] = None,
    windows: Annotated[
        int | None,
        typer.Option(min=1, help="Of text: only so many windows a source, spread evenly."),
    ] = None,
    images: Annotated[
        int | None, typer.Option(min=1, help="Of images: only so many, in a seeded order.")
    ] = None,
    flip: Annotated[
        bool | None,
        typer.Option(
            "--flip/--no-flip",
            help="Of images: judge by the mean over each and its mirror image.",
            show_default="as in training",
        ),
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Of images: where to draw the confusion matrix and the worst mistakes.",
            show_default="pictures in the run's folder",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC", help="Of images: judge by this spec's data.", show_default="the run's"
        ),
    ] = None,
    precision: Annotated[
        Literal["auto", "float32", "bf16", "fp16"],
        typer.Option(help="Arithmetic; float32 gives the same figures on any machine."),
    ] = "float32",
    device: Device = "auto",
    runs_dir: RunsDir = None,
    as_json: Json = False,
) -> None:
    """How a run's model does on a whole split of its data.

    Of text: loss, perplexity and bits per byte. Of images: accuracy, calibration and each class,
    with pictures of what it takes for what and of its worst mistakes.
    """
    from maquette.blueprint.blueprint import Blueprint
    from maquette.reading import read_blueprint

    found = common.open_store(runs_dir).find(run)
    blueprint = read_blueprint(found)
    if not isinstance(blueprint, Blueprint):
        _refuse({"--stride": stride, "--windows": windows}, f"text, and {found.id} judges images")
        from maquette.cli.images import evaluate_images

        evaluate_images(
            found,
            blueprint,
            writing.find_checkpoint(found, checkpoint),
            split=split,
            limit=images,
            flip=flip,
            pictures=pictures,
            data=data,
            precision=precision,
            device=device,
            runs_dir=runs_dir,
            as_json=as_json,
        )
        return
    _refuse(
        {"--images": images, "--flip": flip, "--pictures": pictures, "--data": data},
        f"images, and {found.id} is a language model",
    )
    saved = writing.find_checkpoint(found, checkpoint)
    results = _evaluate(found, saved, split, stride, windows, precision, device)
    _print_results(results, found, saved, split, as_json=as_json)


def _refuse(options: dict[str, object], what_for: str) -> None:
    """Options that were given for another task. Raises UsageError."""
    from maquette.errors import UsageError

    for name, value in options.items():
        if value is not None:
            raise UsageError(f"{name} is for {what_for}")


def _prompt(prompt: str | None, prompt_file: str | None) -> str:
    from maquette.errors import UsageError

    if prompt is not None and prompt_file is not None:
        raise UsageError("--prompt and --prompt-file are two prompts; give one")
    if prompt_file is None:
        return writing.check_utf8("--prompt", prompt or "")
    return writing.read_text(prompt_file)


def _pieces(
    run: "Run",
    saved: "Checkpoint",
    prompt: str,
    max_new_tokens: int,
    options: "SamplingOptions",
    seed: int,
    stop: list[str],
    device: str,
) -> Iterator[str]:
    from maquette.generation.text import generate_text
    from maquette.loading import load_checkpoint_model

    model, tokenizer, _ = load_checkpoint_model(run, saved, device=device)
    with writing.broken_weights_told(saved.step):
        yield from generate_text(
            model,
            tokenizer,
            prompt,
            max_new_tokens=max_new_tokens,
            options=options,
            seed=seed,
            stop=stop,
        )


def _print_stream(pieces: Iterator[str], *, first: str) -> None:
    """Print text as it comes, and a newline at its end; nothing before the model is there."""
    second = next(pieces, "")
    print(first + second, end="", flush=True)
    try:
        for piece in pieces:
            print(piece, end="", flush=True)
    finally:
        print(flush=True)


def _evaluate(
    run: "Run",
    saved: "Checkpoint",
    split: str,
    stride: int | None,
    windows: int | None,
    precision: str,
    device: str,
) -> "dict[str, Result]":
    from maquette.cli.data import preparing
    from maquette.data.prepare import prepare
    from maquette.errors import DataError
    from maquette.evaluation import evaluate_split
    from maquette.loading import load_checkpoint_model
    from maquette.reading import inherited_tokenizer, run_spec
    from maquette.spec.task import language
    from maquette.training.device import autocast, choose_precision

    model, _, blueprint = load_checkpoint_model(run, saved, device=device)
    with preparing() as report:
        spec = language(run_spec(run))
        prepared = prepare(spec, progress=report, tokenizer=inherited_tokenizer(run))
    if prepared.facts != blueprint.facts:
        raise DataError(
            f"the data of {run.id} has changed since the run was made",
            hint="bring the data back as it was: its tokens may mean other text now",
        )
    place = model.token_embedding.weight.device
    with progress_bar() as progress:
        return evaluate_split(
            model,
            prepared,
            split,
            autocast=autocast(place, choose_precision(precision, place)),
            stride=stride,
            windows=windows,
            chat=blueprint.train.objective == "chat",
            progress=progress,
        )


@contextlib.contextmanager
def progress_bar() -> Iterator[Callable[[int, int], None]]:
    """What to call with windows or images done and in all: a bar on a terminal, else nothing."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich import progress

    with progress.Progress(console=common.err(), transient=True) as bar:
        task = bar.add_task("evaluating", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _print_results(
    results: "dict[str, Result]", run: "Run", saved: "Checkpoint", split: str, *, as_json: bool
) -> None:
    """A row for each source, and one for all of them together."""
    from maquette.evaluation import together

    rows = {name: _figures(result) for name, result in results.items()}
    total = _figures(together(results.values()))
    if as_json:
        head = {"run": run.id, "step": saved.step, "split": split}
        common.print_json({**head, **total, "sources": rows})
        return
    _print_figures({**rows, "all": total} if len(rows) > 1 else rows)
    common.say(f"{run.id}, step {saved.step}, {split} split")


def _figures(result: "Result") -> dict[str, Any]:
    losses = result.losses
    return {
        "loss": losses.loss,
        "perplexity": losses.perplexity,
        "bits_per_byte": losses.bits_per_byte,
        "word_perplexity": result.word_perplexity,
        "tokens": losses.tokens,
        "bytes": losses.bytes,
    }


def _print_figures(rows: dict[str, dict[str, Any]]) -> None:
    from maquette.cli.table import Cell, print_columns, terminal_width

    names = ["loss", "perplexity", "bits_per_byte", "word_perplexity", "tokens", "bytes"]
    if all(row["word_perplexity"] is None for row in rows.values()):
        names.remove("word_perplexity")
    print_columns(
        ["source", *(name.replace("_", " ") for name in names)],
        [
            [Cell(source), *(Cell(_number(name, row[name])) for name in names)]
            for source, row in rows.items()
        ],
        left=1,
        width=terminal_width(),
    )


def _number(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    if name in ("tokens", "bytes"):
        return f"{value:,}"
    return f"{value:.2f}" if "perplexity" in name else f"{value:.4f}"
