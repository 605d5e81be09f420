"""The Python API: a spec becomes a blueprint, a run, and text."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from maquette.blueprint.blueprint import Blueprint
from maquette.blueprint.resolve import resolve as _resolve
from maquette.events import Event
from maquette.facts import DataFacts
from maquette.runs.store import Run, Store
from maquette.spec.load import load_spec
from maquette.spec.schema import Spec

if TYPE_CHECKING:
    from maquette.models.gpt import GPT
    from maquette.tokenizers.base import Tokenizer

__all__ = ["TrainedRun", "load_run", "load_spec", "resolve", "train"]


def resolve(spec: Spec, facts: DataFacts | None = None) -> Blueprint:
    """The blueprint of a spec; without facts the data is prepared (once) to know them.

    Raises SpecError, DataError.
    """
    if facts is None:
        from maquette.base import inherit
        from maquette.data.prepare import prepare

        spec = inherit(spec, Store())
        facts = prepare(spec).facts
    return _resolve(spec, facts)


def train(
    spec: Spec, *, runs_dir: Path | str | None = None, device: str = "auto"
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
    from maquette.loading import load_run_model

    run = Store(runs_dir).find(name)
    model, tokenizer, _ = load_run_model(run, checkpoint=checkpoint, device=device)
    return TrainedRun(run, model, tokenizer)


class TrainedRun:
    """A run and its model: `path`, `id`, `blueprint`, `events()`, and `generate()`."""

    def __init__(self, run: Run, model: "GPT", tokenizer: "Tokenizer") -> None:
        self._run = run
        self.path = run.path
        self.id = run.id
        self.model = model
        self.tokenizer = tokenizer

    @property
    def blueprint(self) -> Blueprint:
        """Every number of the run."""
        from maquette.reading import language_blueprint

        return language_blueprint(self._run)

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
        """
        from maquette.generation.sampling import SamplingOptions
        from maquette.generation.text import generate_text

        return generate_text(
            self.model,
            self.tokenizer,
            prompt,
            max_new_tokens=max_new_tokens,
            options=SamplingOptions(**sampling),
            seed=seed,
            stop=stop,
        )
