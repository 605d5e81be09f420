"""serve: a run's model behind a page and an API."""

from typing import TYPE_CHECKING, Annotated

import typer

from maquette.cli import common
from maquette.cli.common import Device, RunName, RunsDir
from maquette.cli.writing import Which, find_checkpoint

if TYPE_CHECKING:
    from maquette.runs.store import Checkpoint, Run, Store
    from maquette.serving.served import AnyServed

TOKEN_LENGTH = (16, 256)


def serve(
    run: RunName,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    host: Annotated[
        str, typer.Option(help="The address to listen on. Elsewhere than here it needs --token.")
    ] = "127.0.0.1",
    open_browser: Annotated[bool, typer.Option("--open", help="Open the browser.")] = False,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="MAQUETTE_TOKEN",
            show_default="a random one",
            help="The secret that clients have to send; the variable keeps it out of `ps`.",
        ),
    ] = None,
    no_auth: Annotated[
        bool, typer.Option("--no-auth", help="Without a token; on this machine only.")
    ] = False,
    checkpoint: Which = "best",
    device: Device = "auto",
    runs_dir: RunsDir = None,
) -> None:
    """Serve a run's model, for this machine only unless you say otherwise.

    A language model gets a page to chat on and an API like OpenAI's; a classifier a page to drop
    pictures on, and an API.
    """
    _check_extra()
    secret = _token(host, token, no_auth)
    from maquette.serving.listening import listen
    from maquette.serving.security import Access
    from maquette.serving.server import serve as answer

    store = common.open_store(runs_dir)
    found = store.find(run)
    saved = find_checkpoint(found, checkpoint)
    bound = listen(host, port)
    with bound:
        access = Access(host, bound.getsockname()[1], secret)
        served = _load(store, found, saved, device)
        url = _url(access.host, access.port, secret)

        def ready() -> None:
            print(url, flush=True)
            common.say(f"serving {found.id}, step {saved.step}; Ctrl-C ends it")
            if open_browser:
                show_in_browser(url)

        answer(served, access, bound, ready=ready)


def _check_extra() -> None:
    """Raise UsageError where the packages that only the server needs aren't there."""
    from importlib.util import find_spec

    from maquette.errors import UsageError

    missing = [name for name in ("fastapi", "uvicorn") if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"serving needs {' and '.join(missing)}", hint="pip install 'maquette[serve]'"
        )


def _token(host: str, token: str | None, no_auth: bool) -> str | None:
    """The token to ask for. Raises UsageError for what would let strangers in."""
    import re
    import secrets

    from maquette.errors import UsageError
    from maquette.serving.security import is_loopback

    if no_auth and token is not None:
        raise UsageError("--no-auth and --token contradict each other; give one")
    if not is_loopback(host):
        if no_auth:
            raise UsageError(
                f"--no-auth on {host} would let anyone in", hint="leave it out, and give --token"
            )
        if token is None:
            raise UsageError(
                f"listening on {host} needs a token of yours",
                hint="give --token or set MAQUETTE_TOKEN, and mind that it travels unencrypted",
            )
    if no_auth:
        return None
    shortest, longest = TOKEN_LENGTH
    if token is not None and not re.fullmatch(rf"[A-Za-z0-9._~-]{{{shortest},{longest}}}", token):
        raise UsageError(
            f"--token needs {shortest} to {longest} letters, digits and any of . _ ~ -",
            hint="without --token a random one is made",
        )
    return token or secrets.token_urlsafe(24)


def _load(store: "Store", run: "Run", saved: "Checkpoint", device: str) -> "AnyServed":
    from maquette.blueprint.blueprint import ImageBlueprint
    from maquette.cli.chat import has_dialogues
    from maquette.loading import load_checkpoint_model, load_classifier
    from maquette.reading import read_blueprint
    from maquette.serving.classifier import Classifier
    from maquette.serving.engine import Engine
    from maquette.serving.limits import IMAGE_LIMITS, Limits
    from maquette.serving.served import Served, ServedClassifier

    created = int(run.meta.created_at)
    if isinstance(read_blueprint(run), ImageBlueprint):
        limits = IMAGE_LIMITS
        classifier = Classifier(*load_classifier(run, saved, device=device), queue=limits.queue)
        return ServedClassifier(run.id, created, classifier, limits, store)
    limits = Limits()
    model, tokenizer, _ = load_checkpoint_model(run, saved, device=device)
    engine = Engine(model, slots=limits.slots, queue=limits.queue)
    dialogues = has_dialogues(run.meta.spec)
    return Served(run.id, created, engine, tokenizer, limits, store, reads_dialogues=dialogues)


def _url(host: str, port: int, token: str | None) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")


def show_in_browser(url: str) -> None:
    """Open the browser without waiting for it."""
    import threading
    import webbrowser

    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
