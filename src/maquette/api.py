"""The Python API: a spec becomes a blueprint, a run, and text or the classes of images."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from maquette.blueprint.blueprint import AnyBlueprint, ImageBlueprint
from maquette.errors import DataError
from maquette.events import Event
from maquette.facts import DataFacts, ImageFacts
from maquette.preparation import resolve_any
from maquette.reading import image_blueprint, language_blueprint, read_blueprint
from maquette.runs.store import Run, Store
from maquette.settling import plan_spec
from maquette.spec.load import load_spec
from maquette.spec.task import AnySpec

if TYPE_CHECKING:
    from maquette.models.convnext import ConvNeXt
    from maquette.models.gpt import GPT
    from maquette.tokenizers.base import Tokenizer

__all__ = ["TrainedRun", "load_run", "load_spec", "resolve", "train"]


def resolve(spec: AnySpec, facts: DataFacts | ImageFacts | None = None) -> AnyBlueprint:
    """The blueprint of a spec; without facts the data is prepared (once) to know them.

    With facts, a budget must have been settled: `settling.plan_spec`. Raises SpecError, DataError.
    """
    if facts is not None:
        return resolve_any(spec, facts)
    from maquette.base import inherit

    return plan_spec(inherit(spec, Store())).blueprint


def train(
    spec: AnySpec, *, runs_dir: Path | str | None = None, device: str = "auto"
) -> Iterator[Event]:
    """Train a spec in a new run directory, yielding each event as it is recorded.

    `load_run("latest")` is the run afterwards. Raises MaquetteError.
    """
    from maquette.worker import work
    from maquette.worker.training import create_run

    text = spec.model_dump_json(indent=2, exclude_unset=True)  # JSON is YAML
    run = create_run(spec, Store(runs_dir), spec_text=text + "\n", device=device)
    yield from work(run)


def load_run(
    name: str = "latest",
    *,
    runs_dir: Path | str | None = None,
    checkpoint: Literal["best", "latest"] | int = "best",
    device: str = "auto",
) -> "TrainedRun":
    """A run by id, unique beginning or `latest`, with the model of one of its checkpoints.

    Raises RunError, CheckpointError.
    """
    from maquette.loading import load_classifier, load_run_model

    run = Store(runs_dir).find(name)
    if isinstance(read_blueprint(run), ImageBlueprint):
        classifier, _ = load_classifier(run, run.checkpoint(checkpoint), device=device)
        return TrainedRun(run, classifier, None)
    model, tokenizer, _ = load_run_model(run, checkpoint=checkpoint, device=device)
    return TrainedRun(run, model, tokenizer)


class TrainedRun:
    """A run and its model: `path`, `id`, `blueprint`, `events()`, and what the model is for:
    `generate()` of a language model, `classify()` of an image classifier, which has no `tokenizer`.
    """

    def __init__(self, run: Run, model: "GPT | ConvNeXt", tokenizer: "Tokenizer | None") -> None:
        self._run = run
        self.path = run.path
        self.id = run.id
        self.model = model
        self.tokenizer = tokenizer

    @property
    def blueprint(self) -> AnyBlueprint:
        """Every number of the run."""
        return read_blueprint(self._run)

    def events(self) -> list[Event]:
        """Everything that happened, oldest first."""
        return [event for _, event in self._run.events()]

    def generate(
        self,
        prompt: str = "",
        *,
        max_new_tokens: int = 200,
        seed: int = 0,
        stop: Sequence[str] = (),
        **sampling: Any,
    ) -> Iterator[str]:
        """Stream what the model writes after a prompt, piece by piece.

        `sampling`: temperature, top_k, top_p, min_p, repetition_penalty (SamplingOptions).
        Raises RunError for an image classifier.
        """
        from maquette.generation.sampling import SamplingOptions
        from maquette.generation.text import generate_text
        from maquette.models.gpt import GPT

        language_blueprint(self._run)
        assert isinstance(self.model, GPT)
        assert self.tokenizer is not None
        return generate_text(
            self.model,
            self.tokenizer,
            prompt,
            max_new_tokens=max_new_tokens,
            options=SamplingOptions(**sampling),
            seed=seed,
            stop=stop,
        )

    def classify(
        self, image: Path | str, *, top: int = 5, flip: bool = False
    ) -> list[tuple[str, float]]:
        """The likeliest classes of an image file with their probabilities, the likeliest first.

        `flip` looks at its mirror image too. Raises DataError for what can't be read, and RunError
        for a language model.
        """
        from maquette.classification import classify, find_image
        from maquette.models.convnext import ConvNeXt

        blueprint = image_blueprint(self._run)
        assert isinstance(self.model, ConvNeXt)
        [said] = classify(self.model, blueprint, [find_image(Path(image))], top=top, flip=flip)
        if said.problem is not None:
            raise DataError(f"{image}: {said.problem}")
        return list(said.classes)
