"""chat: talk to a run's model."""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from maquette.cli import common, writing
from maquette.cli.common import Device, RunName, RunsDir, say

if TYPE_CHECKING:
    from maquette.cli.slash import Session
    from maquette.generation.chat import Answer


def chat(
    run: RunName,
    once: Annotated[
        str | None,
        typer.Option(metavar="QUESTION", help="Print the answer to this, and nothing else."),
    ] = None,
    system: Annotated[
        str | None, typer.Option(metavar="TEXT", help="The system message: how to answer.")
    ] = None,
    system_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="Read the system message from a file.")
    ] = None,
    max_new_tokens: writing.MaxNewTokens = 200,
    temperature: writing.Temperature = 0.8,
    top_k: writing.TopK = None,
    top_p: writing.TopP = 1.0,
    min_p: writing.MinP = 0.0,
    repetition_penalty: writing.RepetitionPenalty = 1.0,
    seed: writing.Seed = None,
    checkpoint: writing.Which = "best",
    device: Device = "auto",
    runs_dir: RunsDir = None,
) -> None:
    """Talk to a run's model; /help there says how. Answers the lines of a pipe, too."""
    options = writing.sampling_options(temperature, top_k, top_p, min_p, repetition_penalty)
    told = _system(system, system_file)
    if once is not None:
        writing.check_utf8("--once", once)
    found = common.open_store(runs_dir).find(run)
    saved = writing.find_checkpoint(found, checkpoint)

    from maquette.cli.slash import Session
    from maquette.generation.chat import Conversation, Settings
    from maquette.loading import load_checkpoint_model

    model, tokenizer, _ = load_checkpoint_model(found, saved, device=device)
    conversation = Conversation(model, tokenizer, system=told)
    settings = Settings(options, max_new_tokens, writing.any_seed() if seed is None else seed)
    if not has_dialogues(found.meta.spec):
        say(
            f"note: {found.id} has never read a dialogue, so it goes on with text rather than"
            f" answers;\n  `maquette train chat-tune --set train.from={found.name}` teaches it"
        )
    typed = once is None and _is_terminal(sys.stdin) and _is_terminal(sys.stdout)
    session = Session(
        conversation, settings, show=_show, stoppable=_counting if typed else _uncounted
    )
    with writing.broken_weights_told(saved.step):
        if once is not None:
            session.ask(once)
        elif typed:
            say(f"{found.id}, step {saved.step}. /help says what there is, Ctrl-D leaves.")
            _talk(session)
        else:
            _answer_lines(session)


def has_dialogues(spec: Mapping[str, Any]) -> bool:
    """Whether a run's spec names dialogues as a source."""
    sources = spec.get("data", {}).get("sources", {})
    return any(source.get("kind") == "dialogues" for source in sources.values())


def _system(text: str | None, file: str | None) -> str:
    from maquette.errors import UsageError

    if text is not None and file is not None:
        raise UsageError("--system and --system-file are two system messages; give one")
    if file == "-":
        raise UsageError("--system-file can't be stdin, where the messages come from")
    return writing.check_utf8("--system", text or "") if file is None else writing.read_text(file)


def _talk(session: "Session") -> None:
    """Ask for messages until the person leaves."""
    from maquette.cli.editing import typed_messages
    from maquette.cli.slash import COMMANDS, Left
    from maquette.errors import MaquetteError

    read = typed_messages([f"/{name}" for name in COMMANDS])
    while True:
        try:
            session.handle(read())
        except MaquetteError as error:
            common.print_error(error.message, error.hint)
        except KeyboardInterrupt:
            say("(Ctrl-D or /quit leaves)")
        except EOFError:
            say("")
            return
        except Left:
            return


def _answer_lines(session: "Session") -> None:
    """Answer each line of stdin; a line that can't be answered makes the exit code 1."""
    from maquette.cli.editing import piped_messages
    from maquette.cli.slash import Left
    from maquette.errors import MaquetteError

    failed = False
    for line in piped_messages():
        try:
            if isinstance(line, MaquetteError):
                raise line
            session.handle(line)
        except MaquetteError as error:
            common.print_error(error.message, error.hint)
            failed = True
        except Left:
            break
    if failed:
        raise typer.Exit(1)


def _show(answer: "Answer") -> None:
    """Print an answer as it comes; on a terminal, without what could steer it."""
    from maquette.cli.slash import visible

    clean: Callable[[str], str] = visible if sys.stdout.isatty() else str
    with contextlib.closing(iter(answer)) as pieces:
        try:
            for piece in pieces:
                print(clean(piece), end="", flush=True)
        finally:
            print(flush=True)


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()  # None: closed before Python began


@contextlib.contextmanager
def _counting() -> Iterator[Callable[[], bool]]:
    """Ctrl-C inside is counted; the second one interrupts, should the first one take too long."""
    presses = 0

    def press(_number: int, _frame: object) -> None:
        nonlocal presses
        presses += 1
        if presses > 1:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, press)
    try:
        yield lambda: presses > 0
    finally:
        signal.signal(signal.SIGINT, before or signal.default_int_handler)


@contextlib.contextmanager
def _uncounted() -> Iterator[Callable[[], bool]]:
    yield lambda: False
