"""From a run directory to its events: prepare, load, train, save. Imports torch."""

import contextlib
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TYPE_CHECKING

from maquette.base import base_weights, inherit
from maquette.blueprint import serial
from maquette.blueprint.blueprint import AnyBlueprint, ImageBlueprint
from maquette.build import Training
from maquette.data.image.prepare import PreparedImages
from maquette.data.prepare import Prepared
from maquette.errors import MaquetteError, RunError, TrainingError
from maquette.events import CheckpointDue, CheckpointSaved, Event, Finished, Note, Started
from maquette.preparation import prepare_data
from maquette.reading import RESOLVED, inherited_tokenizer, read_blueprint, run_spec
from maquette.runs import durable
from maquette.runs.control import starting_point
from maquette.runs.recorder import Recorder, failure_of, is_out_of_memory
from maquette.runs.store import Checkpoint, Run, Store
from maquette.settling import Plan, plan_spec
from maquette.spec.budget import to_data
from maquette.spec.dump import to_yaml
from maquette.spec.task import AnySpec
from maquette.tracking import Tracking, require
from maquette.training.saving import SaveRhythm
from maquette.training.telemetry import Meter
from maquette.worker.planning import note_plan
from maquette.worker.saving import Saver
from maquette.worker.signals import StopOnSignal

if TYPE_CHECKING:
    from PIL import Image

    from maquette.preparation import AnyPrepared, AnyProgress


def create_run(
    spec: AnySpec,
    store: Store,
    *,
    spec_text: str,
    device: str = "auto",
    command: Sequence[str] = (),
    progress: "Callable[[AnyProgress], None] | None" = None,
) -> Run:
    """Prepare the data, resolve spec and blueprint, and make the run directory, queued.

    Everything that can be wrong with spec, data or device is found before there is a run.
    Raises MaquetteError.
    """
    require(spec.track)
    plan = plan_spec(inherit(spec, store), device=device, progress=progress)
    run = store.create(
        spec.name,
        spec_text=spec_text,
        spec=to_data(plan.spec),
        blueprint_text=serial.to_json(plan.blueprint),
        command=command,
        device=device,
    )
    _write_chosen(run, plan)
    _write_tokenizer(run, plan.prepared)
    return run


def carry_on(
    recorder: Recorder, *, stop: StopOnSignal | None, which: int | str
) -> Generator[Event]:
    """Train the recorder's run from a checkpoint to its end; see `maquette.worker.work`."""
    run = recorder.run
    stop = stop or StopOnSignal()
    reached = recorder.state.step
    checkpoint = starting_point(run, which)
    with _memory_errors():
        blueprint, prepared = prepare_run(run, progress=lambda p: recorder.tell(str(p)))
        recorder.tell("starting")
        plan = blueprint.train
        before = _started(run) if checkpoint else None
        training = Training(blueprint, prepared, device=run.meta.device, like=before)
        if checkpoint:
            training.load(checkpoint.path)
        elif base := base_weights(run_spec(run)):
            training.begin_from(base)
        if not checkpoint:
            note_plan(run, blueprint, training)
        recorder.begin(
            steps=plan.steps,
            tokens_per_step=plan.tokens_per_step,
            after_step=checkpoint.step if checkpoint else 0,
            telemetry=Meter(training.device).read,
        )
        stop.patient = True
        rhythm = _rhythm(recorder, plan.checkpoint_every)
        computed = training.events(stop, checkpoint_due=rhythm.due)
        after_step = checkpoint.step if checkpoint else 0
        track = run_spec(run).track
        tracking = Tracking(run, track, after_step=after_step, reached=reached)
        with (
            Saver(
                run,
                training.save,
                keep=plan.checkpoint_keep,
                on_cpu=training.device.type == "cpu",
            ) as saver,
            _closing(tracking, recorder),
            contextlib.closing(_saving(computed, saver, rhythm, recorder)) as events,
        ):
            for event in events:
                if isinstance(event, Finished):
                    stop.has_ended()
                recorder.record(event)
                if isinstance(event, Started) and checkpoint:
                    _record_again(recorder, checkpoint)
                if not isinstance(event, CheckpointDue):
                    yield event
                told = tracking.begin() if isinstance(event, Started) else tracking.take(event)
                if isinstance(event, Started) and not checkpoint:
                    told += _track_images(tracking, blueprint, prepared)
                for text in told:
                    recorder.record(note := Note(event.step, text))
                    yield note


@contextlib.contextmanager
def _closing(tracking: Tracking, recorder: Recorder) -> Iterator[None]:
    """Whatever happens inside, the trackers end; what they have to say then is in the log."""
    try:
        yield
    finally:
        for text in tracking.close():
            with contextlib.suppress(MaquetteError):
                recorder.log(text)


def _track_images(
    tracking: Tracking, blueprint: AnyBlueprint, prepared: "AnyPrepared"
) -> list[str]:
    """Show the trackers of an image run what it sees in training."""
    if not (isinstance(blueprint, ImageBlueprint) and isinstance(prepared, PreparedImages)):
        return []
    from maquette.data.image.sheet import contact_sheet

    def sheet() -> "Image.Image":
        return contact_sheet(
            prepared.images("train"),
            blueprint.facts,
            blueprint.train.augmentation,
            title=blueprint.name,
            seed=blueprint.seed,
        )

    return tracking.picture(0, "images/training", sheet)


def _saving(
    events: Iterator[Event], saver: Saver, rhythm: SaveRhythm, recorder: Recorder
) -> Generator[Event]:
    """The events of a training, whose checkpoints are saved when they are due.

    That one is saved follows as soon as it is, between the steps; the next one begins when it is,
    and so does the end. What goes wrong then is raised here.
    """
    try:
        for event in events:
            if saved := saver.saved(wait=isinstance(event, CheckpointDue | Finished)):
                rhythm.saved(saved.seconds)
                yield saved
            yield event
            if isinstance(event, CheckpointDue):
                saver.begin(event, lasting=rhythm.began())
    finally:
        with contextlib.suppress(MaquetteError):  # an error before it is the one to hear of
            if saved := saver.saved(wait=True):
                recorder.record(saved)


def _rhythm(recorder: Recorder, every: int | None) -> SaveRhythm:
    """For a run of which is known how long it has lived, and how often it was killed."""
    state = recorder.state
    lived_seconds = state.elapsed_seconds(time.time())
    return SaveRhythm(every, lived_seconds=lived_seconds, kills=state.kills)


def _record_again(recorder: Recorder, checkpoint: Checkpoint) -> None:
    """Note the checkpoint that training goes on from, where the events that stay don't have it.

    Its event came after those of later steps, or its worker was killed before it could say so.
    """
    if recorder.state.checkpoint_step != checkpoint.step:
        recorder.record(
            CheckpointSaved(checkpoint.step, checkpoint.best, checkpoint.bytes, seconds=0.0)
        )


def prepare_run(
    run: Run, *, progress: "Callable[[AnyProgress], None] | None" = None
) -> "tuple[AnyBlueprint, AnyPrepared]":
    """The run's data, and its blueprint, which is written if it isn't there yet.

    For whoever holds the run's lock. Raises MaquetteError.
    """
    spec, tokenizer = run_spec(run), inherited_tokenizer(run)
    if not run.blueprint_path.exists():
        device = run.meta.device
        plan = plan_spec(spec, device=device, progress=progress, tokenizer=tokenizer)
        _write_chosen(run, plan)
        _write_tokenizer(run, plan.prepared)
        run.write_blueprint(serial.to_json(plan.blueprint))
        return plan.blueprint, plan.prepared
    prepared = prepare_data(spec, progress=progress, tokenizer=tokenizer)
    blueprint = read_blueprint(run)
    if prepared.facts != blueprint.facts:
        raise RunError(
            f"the data of {run.id} has changed since the run was made",
            hint="bring the data back as it was, or start a new run with `maquette train`",
        )
    if not run.tokenizer_path.exists():  # a kill came between the run and it
        _write_tokenizer(run, prepared)
    return blueprint, prepared


def _write_chosen(run: Run, plan: Plan) -> None:
    """Keep what a budget came to, so that nothing of it is ever measured or chosen again."""
    if plan.choices:
        about = ["What the budget in spec.yaml came to:"]
        about += [f"  {choice.key} {choice.value}: {choice.why}" for choice in plan.choices]
        durable.write_text(run.path / RESOLVED, to_yaml(plan.spec, whole=True, about=about))


def _write_tokenizer(run: Run, prepared: "AnyPrepared") -> None:
    """Images have none."""
    if isinstance(prepared, Prepared):
        run.write_tokenizer(prepared.tokenizer.save)


@contextlib.contextmanager
def _memory_errors() -> Iterator[None]:
    """Running out of memory inside becomes an error for people."""
    try:
        yield
    except (RuntimeError, MemoryError, OSError) as error:
        if not is_out_of_memory(error):
            raise
        failure = failure_of(error)
        raise TrainingError(failure.message, hint=failure.hint) from error


def _started(run: Run) -> Started | None:
    """How the run's first worker began."""
    return next((event for _, event in run.events() if isinstance(event, Started)), None)
