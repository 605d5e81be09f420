"""data prepare, list, inspect, clean: the text or the images behind a spec."""

import contextlib
import itertools
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maquette.cli import common
from maquette.cli.common import Json, Overrides, SpecName
from maquette.cli.table import Cell, print_columns, terminal_width
from maquette.errors import DataError
from maquette.quantities import format_bytes, format_count, format_duration

if TYPE_CHECKING:
    from maquette.data.cache import Entry
    from maquette.data.inspection import Duplicates, Sampled
    from maquette.data.prepare import Prepared
    from maquette.preparation import AnyPrepared, AnyProgress
    from maquette.spec.task import AnySpec

app = typer.Typer(
    help="Prepare text or images, list what is prepared, look at it.",
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
)
_PLAIN_SECONDS = 10.0  # between two lines of progress where there is no terminal


@app.command("prepare")
def prepare(spec: SpecName, overrides: Overrides = None, as_json: Json = False) -> None:
    """Turn a spec's text into tokens or its images into pixels, once; `train` does it too."""
    _, prepared, seconds = _prepare(spec, overrides)
    if as_json:
        common.print_json(_described(prepared))
        return
    _print_splits(prepared)
    if prepared.reused:
        common.say(f"nothing has changed: {prepared.folder} is used again")
    else:
        common.say(f"prepared in {format_duration(seconds)}: {prepared.folder}")


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the prepared data in the cache, the newest first."""
    from maquette.data.cache import cache_folder, list_prepared

    entries = list_prepared()
    if as_json:
        common.print_json([_row(entry) for entry in entries])
    elif entries:
        _print_entries(entries)
    else:
        common.say(f"nothing is prepared in {cache_folder()}; `maquette data prepare SPEC` does it")


@app.command("inspect")
def inspect(
    spec: SpecName,
    overrides: Overrides = None,
    tokens: Annotated[int, typer.Option(min=0, max=100_000, help="Tokens to show.")] = 160,
    sheet: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Where the contact sheet of images goes: NAME.png."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what a spec's data is: counts, a sample, and copies across the splits.

    Of text, a sample of its tokens; of images, a contact sheet as they are and as training sees
    them.
    """
    parsed, prepared, _ = _prepare(spec, overrides)
    from maquette.data.prepare import Prepared
    from maquette.spec.schema import Spec

    if isinstance(parsed, Spec):
        assert isinstance(prepared, Prepared)
        _inspect_text(prepared, tokens, as_json=as_json)
    else:
        from maquette.cli.data_images import inspect_images

        assert not isinstance(prepared, Prepared)
        inspect_images(parsed, prepared, sheet, _described(prepared), as_json=as_json)


def _inspect_text(prepared: "Prepared", tokens: int, *, as_json: bool) -> None:
    from maquette.data.inspection import duplicates, sample

    copies = duplicates(prepared)
    samples = {name: sample(prepared, name, "train", tokens) for name in prepared.facts.sources}
    if as_json:
        common.print_json(_described(prepared) | _looked_at(copies, samples))
        return
    _print_splits(prepared)
    for name, found in samples.items():
        if found:
            print(f"\n{name}, the first {len(found)} tokens of training:")
            trained = [token.trained for token in found]
            if found[0].trained is not None:
                print(_legend(colour=_colour()))
            print(paint_tokens([t.data for t in found], colour=_colour(), trained=trained))
    print()
    for name, those in copies.items():
        print(_copies_line(name, those))


@app.command("clean")
def clean(
    keys: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY...]", help="Keys as `data list` shows them; none: all."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
) -> None:
    """Remove prepared data; it is made again when it is needed."""
    from maquette.data.cache import list_prepared, remove_prepared

    entries = list_prepared()
    chosen = entries if not keys else [_find(entries, key) for key in keys]
    if not chosen:
        common.say("nothing is prepared, so there is nothing to remove")
        return
    size = format_bytes(sum(entry.bytes for entry in chosen))
    if not yes:
        typer.confirm(f"remove {len(chosen)} prepared data sets, {size}?", abort=True, err=True)
    for entry in chosen:
        remove_prepared(entry)
    common.say(f"removed {len(chosen)} prepared data sets, {size}")


@contextlib.contextmanager
def preparing() -> Iterator[Callable[["AnyProgress"], None]]:
    """What to call with a preparation's progress: a bar on a terminal, else lines, on stderr."""
    if not sys.stderr.isatty():
        yield _PlainProgress()
        return
    from rich import progress as rich

    bar = rich.Progress(
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.TextColumn("{task.fields[read]}"),
        rich.TimeRemainingColumn(),
        console=common.err(),
        transient=True,
    )
    tasks: dict[str, rich.TaskID] = {}

    def show(progress: "AnyProgress") -> None:
        title = str(progress)
        if title not in tasks:
            bar.start()  # not before there is something to tell
            for task in tasks.values():
                bar.update(task, visible=False)
            tasks[title] = bar.add_task(title, total=None, read="")
        done, total = progress.done
        total = None if total is None else max(total, done)
        bar.update(tasks[title], completed=done, total=total, read=progress.read)

    try:
        yield show
    finally:
        bar.stop()


class _PlainProgress:
    """A line when something else begins, and every ten seconds."""

    def __init__(self) -> None:
        self._title, self._said_at = "", 0.0

    def __call__(self, progress: "AnyProgress") -> None:
        title, now = str(progress), time.monotonic()
        if title == self._title and now - self._said_at < _PLAIN_SECONDS:
            return
        common.say(f"{title}: {progress.read}" if title == self._title else title)
        self._title, self._said_at = title, now


def _prepare(spec: str, overrides: list[str] | None) -> "tuple[AnySpec, AnyPrepared, float]":
    from maquette.settling import settle_spec

    parsed = common.load_spec(spec, overrides or ())
    started_at = time.monotonic()
    with preparing() as progress:
        parsed, _, prepared = settle_spec(parsed, progress=progress)
    return parsed, prepared, time.monotonic() - started_at


def _described(prepared: "AnyPrepared") -> dict[str, Any]:
    import dataclasses

    from maquette.data.prepare import Prepared

    facts = dataclasses.asdict(prepared.facts)
    tokenizer = {"tokenizer": prepared.tokenizer.kind} if isinstance(prepared, Prepared) else {}
    return {
        "key": prepared.folder.name,
        "path": str(prepared.folder),
        "reused": prepared.reused,
        **tokenizer,
        **facts,
        "remarks": prepared.remarks,
    }


def _looked_at(
    copies: dict[str, "Duplicates"], samples: dict[str, list["Sampled"]]
) -> dict[str, Any]:
    import dataclasses

    return {
        "duplicates": {name: dataclasses.asdict(found) for name, found in copies.items()},
        "samples": {
            name: [_sampled(token) for token in tokens] for name, tokens in samples.items()
        },
    }


def _sampled(token: "Sampled") -> dict[str, Any]:
    trained = {} if token.trained is None else {"trained": token.trained}
    return {"id": token.id, "text": token.data.decode(errors="replace")} | trained


def _print_splits(prepared: "AnyPrepared") -> None:
    from maquette.data.prepare import Prepared

    if not isinstance(prepared, Prepared):
        from maquette.cli.data_images import print_images

        print_images(prepared)
        return
    rows = []
    for name, splits in prepared.facts.sources.items():
        for split, facts in splits.items():
            text_tokens = max(1, facts.tokens - facts.documents)  # without end_of_text
            counts = [facts.documents, facts.tokens, facts.bytes]
            rows.append(
                [
                    Cell(name, "cyan"),
                    Cell(split),
                    *(Cell(f"{count:,}") for count in counts),
                    Cell(f"{facts.bytes / text_tokens:.2f}"),
                    Cell("" if facts.words is None else f"{facts.words:,}"),
                ]
            )
    headers = ["source", "split", "documents", "tokens", "bytes", "bytes/token", "words"]
    if all(not row[-1].text for row in rows):
        headers, rows = headers[:-1], [row[:-1] for row in rows]
    print_columns(headers, rows, left=2, width=terminal_width())
    print(f"{prepared.tokenizer.kind} tokenizer, {prepared.facts.vocabulary:,} ids")
    for name, lines in prepared.remarks.items():
        for line in lines:
            print(f"{name}: {line}")


def _copies_line(name: str, found: "Duplicates") -> str:
    if not found.documents:
        return f"{name}: none of its {found.of:,} validation documents is in the training text"
    return (
        f"{name}: {found.documents:,} of its {found.of:,} validation documents "
        f"{'is' if found.documents == 1 else 'are'} in the training text too, word for word, "
        f"such as {found.example!r}"
    )


def paint_tokens(pieces: list[bytes], *, colour: bool, trained: Sequence[bool | None] = ()) -> str:
    """Tokens side by side: in two colours by turns, or parted by `|`; blanks made visible.

    Of dialogues, `trained` says which tokens chat fine-tuning learns: the others are dim, or, with
    no colours, those stand between `[[` and `]]`.
    """
    shown = [_visible(data) for data in pieces]
    learnt = [bit is not False for bit in trained] or [True] * len(pieces)
    if not colour:
        whole = all(bit is None for bit in trained)
        return "|".join(shown) if whole else _marked(shown, trained)
    return "".join(
        # Colours end before a line does: else the terminal paints the rest of it.
        "\n".join(f"\x1b[{_PAINT[bit][i % 2]}m{line}\x1b[0m" if line else "" for line in lines)
        for i, (lines, bit) in enumerate(
            zip((text.split("\n") for text in shown), learnt, strict=True)
        )
    )


_PAINT = {True: ("30;43", "30;46"), False: ("90", "2")}


def _marked(shown: list[str], trained: Sequence[bool | None]) -> str:
    """Runs of tokens, `[[` and `]]` around those that are learnt."""
    runs = itertools.groupby(zip(shown, trained, strict=True), key=lambda pair: pair[1])
    texts = [(bit, "|".join(text for text, _ in pairs)) for bit, pairs in runs]
    # A line's end stays behind the brackets.
    return "".join(re.sub(r"(\n?)\Z", r"]]\1", f"[[{t}", count=1) if bit else t for bit, t in texts)


def _legend(*, colour: bool) -> str:
    learnt, rest = "what chat fine-tuning learns", "what it only reads"
    if not colour:
        return f"[[{learnt}]], {rest}"
    return f"\x1b[{_PAINT[True][0]}m{learnt}\x1b[0m, \x1b[{_PAINT[False][0]}m{rest}\x1b[0m"


def _visible(data: bytes) -> str:
    if not data:
        return "<end of text>\n"
    try:
        text = data.decode()
    except UnicodeDecodeError:  # part of a character
        return "".join(f"<{byte:02x}>" for byte in data)
    text = text.replace(" ", "·").replace("\t", "→").replace("\n", "↵\n")
    return "".join(c if c.isprintable() or c == "\n" else f"<{ord(c):x}>" for c in text)


def _colour() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _print_entries(entries: list["Entry"]) -> None:
    now = time.time()
    rows = [
        [
            Cell(entry.key, "cyan"),
            Cell(", ".join(f"{name} ({kind})" for name, kind in entry.sources.items())),
            Cell(f"{entry.tokenizer} {entry.vocabulary:,}" if entry.tokenizer else "-"),
            Cell(format_count(entry.tokens) if entry.tokenizer else f"{entry.images:,} images"),
            Cell(format_bytes(entry.bytes)),
            Cell(common.ago(now - entry.made_at)),
            Cell(str(entry.path), "dim"),
        ]
        for entry in entries
    ]
    headers = ["key", "sources", "tokenizer", "tokens", "on disk", "age", "path"]
    print_columns(headers, rows, left=3, width=terminal_width())


def _row(entry: "Entry") -> dict[str, Any]:
    import dataclasses

    return dataclasses.asdict(entry) | {
        "path": str(entry.path),
        "age_seconds": time.time() - entry.made_at,
    }


def _find(entries: list["Entry"], key: str) -> "Entry":
    matches = [entry for entry in entries if key and entry.key.startswith(key)]
    if len(matches) != 1:
        what = "several keys begin" if matches else "no prepared data has a key that begins"
        raise DataError(f"{what} with {key!r}", hint="`maquette data list` shows the keys")
    return matches[0]
