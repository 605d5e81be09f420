"""What generate and chat share: how tokens are drawn, which checkpoint, files of text."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maquette.cli import common

if TYPE_CHECKING:
    from maquette.generation.sampling import SamplingOptions
    from maquette.runs.store import Checkpoint, Run

Which = Annotated[
    str, typer.Option("--checkpoint", metavar="best|latest|STEP", help="The checkpoint to load.")
]
MaxNewTokens = Annotated[int, typer.Option(min=1, help="Tokens to write at most.")]
Temperature = Annotated[
    float, typer.Option(min=0, help="0: always the likeliest token. Higher: more daring.")
]
TopK = Annotated[int | None, typer.Option(min=1, help="Draw from the k likeliest tokens only.")]
TopP = Annotated[
    float, typer.Option(help="Draw from the likeliest tokens of this probability together.")
]
MinP = Annotated[
    float, typer.Option(help="Draw from tokens at least this share as likely as the likeliest.")
]
RepetitionPenalty = Annotated[
    float, typer.Option(help="Above 1: tokens that were there before become less likely.")
]
Seed = Annotated[
    int | None,
    typer.Option(min=0, max=2**63 - 1, help="The same seed, the same text. Random by default."),
]


def sampling_options(
    temperature: float, top_k: int | None, top_p: float, min_p: float, repetition_penalty: float
) -> "SamplingOptions":
    """What the options say. Raises UsageError, which names the option."""
    from maquette.errors import UsageError
    from maquette.generation.sampling import SamplingOptions

    try:
        return SamplingOptions(temperature, top_k, top_p, min_p, repetition_penalty)
    except ValueError as error:
        raise UsageError(f"--{in_option_names(error)}") from None


def in_option_names(error: ValueError) -> str:
    """`top_p=2.0 must be ...` as `top-p 2.0 must be ...`."""
    name, _, rest = str(error).partition("=")
    return f"{name.replace('_', '-')} {rest}"


def any_seed() -> int:
    """A seed that nobody chose."""
    import secrets

    return secrets.randbelow(2**32)


def find_checkpoint(run: "Run", which: str) -> "Checkpoint":
    """The checkpoint asked for; one that had to be passed over is told."""
    saved = run.checkpoint(which)
    for damage in saved.passed_over:
        common.say(f"warning: {damage}; using step {saved.step}")
    return saved


def read_text(name: str) -> str:
    """The text of a file, or of stdin for `-`, less one newline. Raises DataError."""
    from maquette.errors import DataError

    shown = "stdin" if name == "-" else name
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return data.decode().removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise DataError(f"{shown}: can't be read: {(error.strerror or '').lower()}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{shown}: byte {error.start} is not UTF-8") from None


def check_utf8(option: str, text: str) -> str:
    """The text, if Python could read all its bytes. Raises UsageError."""
    from maquette.errors import UsageError

    if any("\udc80" <= c <= "\udcff" for c in text):
        raise UsageError(f"{option} is not UTF-8")
    return text


@contextlib.contextmanager
def broken_weights_told(step: int) -> Iterator[None]:
    """Weights that give no finite logits are a checkpoint's fault. Raises CheckpointError."""
    from maquette.errors import CheckpointError

    try:
        yield
    except FloatingPointError:
        raise CheckpointError(
            f"the weights of step {step} are broken: they give no finite logits",
            hint="try an earlier one with --checkpoint STEP",
        ) from None
