"""The process that holds a run's model for the screen Play: `python -m maquette.tui.playing RUN`.

It keeps the model between questions, and nothing else: each question brings the whole of its
conversation, so that another checkpoint, or a process that had to be started anew, can go on.
"""

import base64
import itertools
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.reading import read_blueprint
from maquette.runs.store import Run
from maquette.tui.lines import Request, Requests, serve

if TYPE_CHECKING:
    from maquette.blueprint.blueprint import ImageBlueprint
    from maquette.generation.sampling import SamplingOptions
    from maquette.models.convnext import ConvNeXt
    from maquette.models.gpt import GPT
    from maquette.tokenizers.base import Tokenizer

PICTURE_SIDE = 128
"""Pixels a side of the picture that comes with what a classifier says."""


class Player:
    """A run's model, loaded when it is asked for."""

    def __init__(self, run: Run, requests: Requests) -> None:
        self._run, self._requests = run, requests
        self._writer: tuple[GPT, Tokenizer] | None = None
        self._classifier: tuple[ConvNeXt, ImageBlueprint] | None = None

    def answer(self, request: Request) -> None:
        """Do what is asked. Raises MaquetteError, and whatever a model raises."""
        if self._requests.stopped(request):
            self._done(request, "", time.monotonic(), ending="stopped")
            return
        getattr(self, f"_{request['do']}")(request)

    def _load(self, request: Request) -> None:
        self._writer = self._classifier = None  # there may be no room for two
        blueprint = read_blueprint(self._run)
        saved = self._run.checkpoint(request["checkpoint"])
        from maquette.blueprint.blueprint import Blueprint
        from maquette.loading import load_checkpoint_model, load_classifier

        facts: dict[str, Any] = {"step": saved.step, "passed_over": saved.passed_over}
        if isinstance(blueprint, Blueprint):
            model, tokenizer, _ = load_checkpoint_model(self._run, saved, device=request["device"])
            self._writer = model, tokenizer
            facts |= {"chat": _can_chat(tokenizer), "context": model.shape.context}
            facts["device"] = str(model.token_embedding.weight.device)
        else:
            classifier, images = load_classifier(self._run, saved, device=request["device"])
            self._classifier = classifier, images
            facts["device"] = str(classifier.head.fc.weight.device)
        self._requests.say(request, "loaded", **facts)

    def _write(self, request: Request) -> None:
        from maquette.generation.text import generate_text

        assert self._writer is not None
        model, tokenizer = self._writer
        pieces = generate_text(
            model,
            tokenizer,
            request["prompt"],
            max_new_tokens=request["max_new_tokens"],
            options=_options(request),
            seed=request["seed"],
            stop=request["stop"],
        )
        begin = time.monotonic()
        wanted = itertools.takewhile(lambda _: not self._requests.stopped(request), pieces)
        text = self._requests.say_pieces(request, wanted)
        ending = "stopped" if self._requests.stopped(request) else "complete"
        self._done(request, text, begin, ending=ending)

    def _chat(self, request: Request) -> None:
        from maquette.generation.chat import Conversation, Settings

        assert self._writer is not None
        conversation = Conversation(*self._writer)
        conversation.load([(said["role"], said["content"]) for said in request["said"]])
        settings = Settings(_options(request), request["max_new_tokens"], request["seed"])
        answer = conversation.ask(
            request["question"], settings, stopped=lambda: self._requests.stopped(request)
        )
        begin = time.monotonic()
        text = self._requests.say_pieces(request, iter(answer))
        self._done(request, text, begin, ending=answer.ending, dropped=answer.prompt.dropped)

    def _done(self, request: Request, text: str, begin: float, **facts: Any) -> None:
        seconds = time.monotonic() - begin
        self._requests.say(
            request, "done", characters=len(text), seconds=round(seconds, 3), **facts
        )

    def _classify(self, request: Request) -> None:
        from maquette.classification import classify, find_image
        from maquette.data.image.decoding import decode

        assert self._classifier is not None
        given = find_image(Path(request["path"]))
        (said,) = classify(*self._classifier, [given], top=request["top"], flip=request["flip"])
        if said.problem is not None or given.image is None:
            self._requests.say(request, "failed", message=str(said.problem), hint=None)
            return
        pixels = decode(given.image, PICTURE_SIDE)
        self._requests.say(
            request,
            "classes",
            classes=said.classes,
            side=PICTURE_SIDE,
            pixels=base64.b64encode(pixels.tobytes()).decode("ascii"),
        )


def _options(request: Request) -> "SamplingOptions":
    from maquette.errors import UsageError
    from maquette.generation.sampling import SamplingOptions

    try:
        return SamplingOptions(**request["options"])
    except ValueError as error:
        raise UsageError(str(error)) from None


def _can_chat(tokenizer: "Tokenizer") -> bool:
    from maquette.errors import UsageError
    from maquette.tokenizers.chat import check_chat

    try:
        check_chat(tokenizer)
    except UsageError:
        return False
    return True


def main() -> None:
    """Answer until whoever asks is gone."""
    requests = Requests()
    serve(requests, Player(Run(Path(sys.argv[1])), requests).answer)


if __name__ == "__main__":
    main()
