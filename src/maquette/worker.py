"""The worker: carries a run from where it stands to its end, writing everything down."""

import contextlib
import signal
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from types import FrameType

from maquette.blueprint import serial
from maquette.blueprint.resolve import resolve
from maquette.build import Training
from maquette.data.prepare import Progress, prepare
from maquette.errors import CheckpointError, MaquetteError, RunError, TrainingError
from maquette.events import CheckpointDue, CheckpointSaved, Event, Started
from maquette.loading import read_blueprint
from maquette.runs.recorder import Recorder, failure_of, is_out_of_memory
from maquette.runs.store import Checkpoint, Run, Store
from maquette.spec.schema import Spec


def create_run(
    spec: Spec,
    store: Store,
    *,
    spec_text: str,
    device: str = "auto",
    command: Sequence[str] = (),
    progress: Callable[[Progress], None] | None = None,
) -> Run:
    """Prepare the data, resolve the blueprint, and make the run directory, queued.

    Everything that can be wrong with spec, data or device is found before there is a run.
    Raises MaquetteError.
    """
    prepared = prepare(spec, progress=progress)
    blueprint = resolve(spec, prepared.facts)
    run = store.create(
        spec.name,
        spec_text=spec_text,
        spec=spec.model_dump(mode="json"),
        blueprint_text=serial.to_json(blueprint),
        command=command,
        device=device,
    )
    prepared.tokenizer.save(run.tokenizer_path)
    return run


def run_spec(run: Run) -> Spec:
    """The spec of a run with its overrides and absolute paths. Raises RunError."""
    try:
        return Spec.model_validate(run.meta.spec)
    except ValueError as error:
        raise RunError(f"{run.path / 'meta.json'} holds no spec: {error}") from None


def work(run: Run, *, stop: Callable[[], bool] = lambda: False) -> Generator[Event]:
    """Train a run from its latest checkpoint, or from the start, to its end.

    Yields each event after it was recorded. Raises MaquetteError, with the run `failed`.
    """
    blueprint = read_blueprint(run)
    plan = blueprint.train
    latest = _latest_checkpoint(run)
    with (
        Recorder(
            run,
            steps=plan.steps,
            tokens_per_step=plan.tokens_per_step,
            after_step=latest.step if latest else 0,
        ) as recorder,
        _memory_errors(),
    ):
        prepared = prepare(run_spec(run))
        if prepared.facts != blueprint.facts:
            raise RunError(
                f"the data of {run.id} has changed since the run was made",
                hint="bring the data back as it was, or start a new run with `maquette train`",
            )
        before = _started(run) if latest else None
        training = Training(blueprint, prepared, device=run.meta.device, like=before)
        if latest:
            training.load(latest.path)
        for event in training.events(stop):
            recorder.record(event)
            if isinstance(event, CheckpointDue):
                saved = _save(run, training, event, keep=plan.checkpoint_keep)
                recorder.record(saved)
                yield saved
            else:
                yield event


@contextlib.contextmanager
def _memory_errors() -> Iterator[None]:
    """Running out of memory inside becomes an error for people."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        failure = failure_of(error)
        raise TrainingError(failure.message, hint=failure.hint) from error


def _started(run: Run) -> Started | None:
    """How the run's first worker began."""
    return next((event for _, event in run.events() if isinstance(event, Started)), None)


def _latest_checkpoint(run: Run) -> Checkpoint | None:
    try:
        return run.checkpoint("latest")
    except CheckpointError:
        if run.stored_state().checkpoint_step is None:
            return None
        raise


def _save(run: Run, training: Training, due: CheckpointDue, *, keep: int) -> CheckpointSaved:
    begin = time.perf_counter()
    saved = run.commit_checkpoint(due.step, training.save, best=due.best)
    run.prune(keep)
    return CheckpointSaved(
        step=due.step,
        best=due.best,
        bytes=saved.bytes,
        seconds=time.perf_counter() - begin,
    )


class StopOnSignal:
    """Ask the loop to end after its step on the first SIGINT or SIGTERM; the second ends at once.

    Use it as a context manager, and pass it as `stop`. `say` tells the person that it was heard.
    """

    def __init__(self, say: Callable[[str], None] = lambda _: None) -> None:
        self.asked = False
        self._say = say

    def __call__(self) -> bool:
        """Whether a signal came."""
        return self.asked

    def __enter__(self) -> "StopOnSignal":
        self._before = {s: signal.signal(s, self._on_signal) for s in self._signals()}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        self._say("ending after this step, with a checkpoint; once more ends at once")

    @staticmethod
    def _signals() -> tuple[signal.Signals, ...]:
        return signal.SIGINT, signal.SIGTERM


def main(arguments: Sequence[str]) -> int:
    """`python -m maquette.worker RUN_DIR`: work on a run, reporting to its files alone."""
    if len(arguments) != 1:
        print("usage: python -m maquette.worker RUN_DIR", file=sys.stderr)
        return 2
    try:
        with StopOnSignal() as stop:
            for _ in work(Run(Path(arguments[0])), stop=stop):
                pass
    except MaquetteError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
