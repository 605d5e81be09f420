"""What a terminal shows, and how long each piece of it stands: one text for shells and browsers."""

import difflib
import math
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from maquette.errors import UsageError
from maquette.quantities import parse_duration
from maquette.simulation.paint import NARROWEST, Painter, chunks
from maquette.simulation.show import show
from maquette.simulation.story import MODULES, Module, Story, tell

STOPPED = "Saving work to disk..."
AGAIN = "Enter begins again."
_NUMBERS: dict[str, type[int] | type[float]] = {
    "speed-factor": float,
    "instant-print-lines": int,
    "exit-after-modules": int,
    "seed": int,
}
_NAMES = ("module", "exit-after-time", *_NUMBERS)


class Piece(NamedTuple):
    """What to write, and the seconds to wait then."""

    text: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Options:
    """What is shown, how fast, and until when; without an end it goes on for ever."""

    modules: tuple[Module, ...] = tuple(MODULES)
    speed_factor: float = 1.0
    instant_print_lines: int = 0
    exit_after_seconds: float | None = None
    exit_after_modules: int | None = None
    seed: int | None = None


def read_options(
    *,
    modules: Sequence[str] = (),
    speed_factor: float = 1.0,
    instant_print_lines: int = 0,
    exit_after_time: str | None = None,
    exit_after_modules: int | None = None,
    seed: int | None = None,
) -> Options:
    """The options as people give them. Raises UsageError."""
    if not speed_factor > 0:
        raise UsageError(f"--speed-factor {speed_factor:g}: more than 0", hint="1 is as meant")
    if instant_print_lines < 0:
        raise UsageError(f"--instant-print-lines {instant_print_lines}: 0 or more")
    if exit_after_modules is not None and exit_after_modules < 1:
        raise UsageError(f"--exit-after-modules {exit_after_modules}: 1 or more")
    return Options(
        modules=tuple(map(_module, modules)) or tuple(MODULES),
        speed_factor=speed_factor,
        instant_print_lines=instant_print_lines,
        exit_after_seconds=_seconds(exit_after_time),
        exit_after_modules=exit_after_modules,
        seed=seed,
    )


def from_address(query: str) -> Options:
    """The options in a page's address, named as the command's are. Raises UsageError.

    Names that are like none of them are passed over: links get some on their way.
    """
    given: dict[str, Any] = {"modules": []}
    for name, text in parse_qsl(query.removeprefix("?")):
        if name == "module":
            given["modules"].append(text)
        elif name == "exit-after-time":
            given["exit_after_time"] = text
        elif name in _NUMBERS:
            given[name.replace("-", "_")] = _number(name, text)
        elif near := difflib.get_close_matches(name, _NAMES, n=1, cutoff=0.5):
            raise UsageError(f"No such option: --{name}", hint=f"did you mean --{near[0]}?")
    return read_options(**given)


def to_address(options: Options) -> str:
    """The query that says the same, with its `?`; empty where all is as by default."""
    plain, given = Options(), list[tuple[str, str]]()
    if options.modules != plain.modules:
        given += [("module", name) for name in options.modules]
    for name in _NUMBERS:
        value = getattr(options, name.replace("-", "_"))
        if value != getattr(plain, name.replace("-", "_")):
            given.append((name, f"{value:.15g}" if isinstance(value, float) else str(value)))
    if options.exit_after_seconds is not None:
        given.append(("exit-after-time", f"{options.exit_after_seconds:.15g}s"))
    return f"?{urlencode(given)}" if given else ""


def stories(options: Options) -> Iterator[Story]:
    """One after another for ever, each module's turn by chance."""
    seed = options.seed
    first = random.SystemRandom().randrange(10**6) if seed is None else seed
    rng = random.Random(f"modules {first}")
    number = 0
    while True:
        yield tell(rng.choice(options.modules), first + number)
        number += 1


def play(
    told: Iterable[Story],
    options: Options,
    *,
    width: Callable[[], int],
    coloured: bool,
    live: bool,
) -> Iterator[Piece]:
    """Stories until the options end them; each as wide as the terminal is when it begins.

    Whoever asks for the next piece has waited: an end by time goes by the clock.
    """
    ends_at = math.inf
    if options.exit_after_seconds is not None:
        ends_at = time.monotonic() + options.exit_after_seconds
    instant = options.instant_print_lines
    for number, story in enumerate(told, 1):
        lines = show(story, width=width(), coloured=coloured)
        for text, pause in chunks(lines, live=live):
            left = ends_at - time.monotonic()
            seconds = 0.0 if instant > 0 else pause / options.speed_factor
            instant -= text.endswith("\n")
            yield Piece(text, max(0.0, min(seconds, left)))
            if seconds >= left:
                yield Piece("\n" if live else "", 0.0)
                return
        if number == options.exit_after_modules:
            return


def perform(query: str, width: Callable[[], int]) -> Iterator[Piece]:
    """What a page shows for the query of its address, or what is wrong with that."""
    paint = Painter(NARROWEST, coloured=True).paint
    try:
        options = from_address(query)
    except UsageError as error:
        hint = f"\n  {error.hint}" if error.hint else ""
        yield Piece(f"{paint('error:', 'bold', 'red')} {error.message}{hint}\n", 0.0)
        return
    yield from play(stories(options), options, width=width, coloured=True, live=True)
    yield Piece(f"{paint(AGAIN, 'dim')}\n", 0.0)


def stopped() -> str:
    """What a page shows last when it is interrupted."""
    return f"\n{STOPPED}\n{Painter(NARROWEST, coloured=True).paint(AGAIN, 'dim')}\n"


def _module(name: str) -> Module:
    """Raises UsageError, which names the modules."""
    for known in MODULES:
        if name == known:
            return known
    near = difflib.get_close_matches(name, MODULES, n=1, cutoff=0.3)
    mean = f"did you mean {near[0]}? " if near else ""
    raise UsageError(
        f"--module {name}: there is no such module", hint=f"{mean}there are {', '.join(MODULES)}"
    )


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--exit-after-time: {error}") from None


def _number(name: str, text: str) -> float:
    """Raises UsageError, in the words that the command line has for it."""
    kind = _NUMBERS[name]
    try:
        return kind(text)
    except ValueError:
        wrong = f"{text!r} is not a valid {kind.__name__}."
        raise UsageError(f"Invalid value for '--{name}': {wrong}") from None
