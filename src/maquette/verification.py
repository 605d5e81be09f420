"""Proof that a resumed training computes what an uninterrupted one computes, bit by bit.

The same steps are trained twice by real workers: once undisturbed, once killed at random points and
resumed. Then everything that the two wrote down, and what they ended with, is compared.
"""

import contextlib
import dataclasses
import math
import os
import random
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from maquette.blueprint import serial
from maquette.blueprint.blueprint import AnyBlueprint, ImagePlan, TextPlan
from maquette.build import decide_to_compile
from maquette.data.image.prepare import PreparedImages
from maquette.data.prepare import Prepared
from maquette.errors import RunError, TrainingError, UsageError
from maquette.events import Evaluated, Started, StepDone, from_row
from maquette.quantities import format_duration
from maquette.runs import durable
from maquette.runs.control import spawn
from maquette.runs.manifest import read_manifest
from maquette.runs.store import Checkpoint, Run, Store
from maquette.spec.task import AnySpec
from maquette.training.checkpoint import MODEL, OPTIMIZER, TRAINER, first_difference
from maquette.training.device import choose_device, choose_precision

STEPS, KILLS = 40, 3
B = TypeVar("B", bound=AnyBlueprint)
_CHECKPOINTS = 8  # in a training, so that a kill falls now before, now after, now into one
_PASSES = 4  # trainings to spread the kills over, where one is over before all of them came
_LOOK_SECONDS = 0.002  # a small model's step takes no longer
_SAY_SECONDS = 10.0

# Compared of every step, by their names in the event.
_OF_STEPS = {
    "batch": "batch",
    "loss": "loss",
    "gradient norm": "gradient_norm",
    "learning rate": "learning_rate",
}
_FILES = {"weights": MODEL, "optimizer": OPTIMIZER, "counters and generators": TRAINER}


@dataclass(frozen=True, slots=True)
class Compared:
    """One kind of value: how many were compared, and the first that differs, in words."""

    name: str
    values: int
    difference: str | None = None
    step: int | None = None  # where it differs first


@dataclass(frozen=True, slots=True)
class Kill:
    """A worker that was killed: after which step, and the step that the next one went on from."""

    after_step: int
    resumed_from: int

    @property
    def repeated(self) -> int:
        """How many steps were lost by it, and computed once more."""
        return self.after_step - self.resumed_from


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification found."""

    steps: int
    device: str
    precision: str
    compiled: bool
    kills: tuple[Kill, ...]
    compared: tuple[Compared, ...]

    @property
    def exact(self) -> bool:
        """Whether nothing differs."""
        return all(each.difference is None for each in self.compared)

    @property
    def first(self) -> Compared | None:
        """What differs first; the values of a step tell more than the files at the end."""
        differing = [each for each in self.compared if each.difference is not None]
        return min(differing, key=lambda each: each.step or 0, default=None)


def shorten(blueprint: B, *, steps: int | None, device: str, like: Started | None = None) -> B:
    """The blueprint of a run's first steps: those of the whole run, learning rates included.

    What would be measured is decided here, once, as for the whole run; `like` is how that run
    began. Evaluations, samples and checkpoints come often, so that kills fall between them, but no
    two steps in a row are saved, so that there are always some to repeat.
    Raises UsageError for more steps than the run has, DeviceError.
    """
    plan: TextPlan | ImagePlan = blueprint.train
    steps = min(STEPS, plan.steps) if steps is None else steps
    if not 2 <= steps <= plan.steps:
        raise UsageError(
            f"--steps {steps} can't be verified: the training has {plan.steps} steps",
            hint=f"use 2 to {plan.steps}" if plan.steps > 1 else "train.steps must be 2 at least",
        )
    place = choose_device(device)
    measured = plan.precision == "auto" and like is not None
    precision = choose_precision(like.precision if measured and like else plan.precision, place)
    compiled, _ = decide_to_compile(
        blueprint, device=place, precision=precision, before=_compiled(blueprint, like)
    )
    every = max(2, steps // _CHECKPOINTS)
    plan = dataclasses.replace(
        plan,
        steps=steps,
        evaluate_every=max(every, min(plan.evaluate_every, steps // 4) // every * every),
        evaluate_windows=min(plan.evaluate_windows, plan.batch_size, 16),
        patience=None,  # evaluating so often, it would end the training early
        checkpoint_every=every,
        checkpoint_keep=2,
        precision=precision,
        compile=compiled,
    )
    if isinstance(plan, TextPlan):
        plan = dataclasses.replace(
            plan,
            sample_every=max(1, min(plan.sample_every, steps // 2)),
            sample_tokens=min(plan.sample_tokens, 8),
        )
    return dataclasses.replace(blueprint, train=plan)  # type: ignore[arg-type]


def _compiled(blueprint: AnyBlueprint, like: Started | None) -> bool | None:
    return like.compiled if like is not None and blueprint.train.compile == "auto" else None


def verify(
    spec: AnySpec,
    prepared: Prepared | PreparedImages,
    blueprint: AnyBlueprint,
    *,
    store: Store,
    device: str = "auto",
    kills: int = KILLS,
    seed: int | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Verdict:
    """Train a shortened blueprint undisturbed and killed, in the store, and compare.

    `seed` chooses the kills; `say` is told what happens. No worker outlives this call. Raises
    UsageError, and TrainingError or RunError where a training fails or can't be killed.
    """
    steps = blueprint.train.steps
    if not 1 <= kills < steps:
        raise UsageError(
            f"--kills {kills} can't be done in {steps} steps", hint=f"use 1 to {steps - 1}"
        )

    spec = spec.model_copy(update={"track": []})  # nobody is to see these runs

    def new_run() -> Run:
        run = store.create(
            spec.name,
            spec_text=spec.model_dump_json(indent=2, exclude_unset=True) + "\n",
            spec=spec.model_dump(mode="json"),
            blueprint_text=serial.to_json(blueprint),
            device=device,
        )
        if isinstance(prepared, Prepared):
            prepared.tokenizer.save(run.tokenizer_path)
        return run

    whole = new_run()
    begin = time.monotonic()
    with _worker(whole) as worker:
        _await_end(whole, worker, say)
    say(f"undisturbed: {steps} steps in {format_duration(time.monotonic() - begin)}")
    step_seconds = statistics.median(e.step_seconds for e in _steps(whole))
    generator = random.Random(seed)
    others, done = _train_until_killed(blueprint, kills, new_run, step_seconds, generator, say)
    started = next(e for _, e in whole.events() if isinstance(e, Started))
    return Verdict(
        steps=steps,
        device=started.device,
        precision=started.precision,
        compiled=started.compiled,
        kills=tuple(done),
        compared=compare(whole, others),
    )


def _train_until_killed(
    blueprint: AnyBlueprint,
    kills: int,
    new_run: Callable[[], Run],
    step_seconds: float,
    generator: random.Random,
    say: Callable[[str], None],
) -> tuple[list[Run], list[Kill]]:
    """Train as many runs as it takes until the kills came, one of them with steps to repeat.

    Raises RunError where none came.
    """
    unsaved, after_steps = _kill_steps(blueprint, kills, generator)
    runs: list[Run] = []
    done: list[Kill] = []
    while len(runs) < _PASSES:
        left = after_steps[len(done) :]
        if not left and not any(kill.repeated for kill in done):
            left = [unsaved]
        if not left:
            break
        runs.append(new_run())
        # After the one that isn't saved, soon: before the next one is.
        waits = [generator.uniform(0, 0.5 if step == unsaved else 2) for step in left]
        waits = [wait * step_seconds for wait in waits]
        done += _train_with_kills(runs[-1], left, waits, say)
    if not done:
        raise RunError(
            "every training was over before it could be killed", hint="ask for more --steps"
        )
    return runs, done


def _kill_steps(
    blueprint: AnyBlueprint, kills: int, generator: random.Random
) -> tuple[int, list[int]]:
    """After which steps to kill, and which of them is one that isn't saved, to be repeated."""
    plan = blueprint.train
    steps = range(1, plan.steps)
    unsaved = generator.choice([step for step in steps if step % (plan.checkpoint_every or 2)])
    rest = generator.sample([step for step in steps if step != unsaved], kills - 1)
    return unsaved, sorted([unsaved, *rest])


def compare(whole: Run, others: Sequence[Run]) -> tuple[Compared, ...]:
    """Compare other runs with a whole one: all that they computed, repeated steps included."""
    events = {e.step: e for e in _steps(whole)}
    computed = [e for run in others for e in (*_steps(run), *_steps_aside(run))]
    computed.sort(key=lambda e: e.step)
    found = [_steps_compared(name, field, events, computed) for name, field in _OF_STEPS.items()]
    missing = [s for run in others for s in events.keys() - {e.step for e in _steps(run)}]
    if missing:
        found.append(
            Compared("steps", len(events), f"step {min(missing)} is missing", min(missing))
        )
    found.append(_evaluations_compared(whole, others))
    found += [_files_compared(name, file, whole, others) for name, file in _FILES.items()]
    return tuple(found)


def _steps_compared(
    name: str, field: str, events: dict[int, StepDone], computed: Sequence[StepDone]
) -> Compared:
    for event in computed:
        there, here = getattr(events.get(event.step), field, None), getattr(event, field)
        if not _same(there, here):
            words = f"{name} of step {event.step}: {_exactly(there)} undisturbed, "
            return Compared(name, len(computed), f"{words}{_exactly(here)} resumed", event.step)
    return Compared(name, len(computed))


def _evaluations_compared(whole: Run, others: Sequence[Run]) -> Compared:
    name = "validation loss"
    losses = {e.step: e.loss for _, e in whole.events() if isinstance(e, Evaluated)}
    found = [e for run in others for _, e in run.events() if isinstance(e, Evaluated)]
    if not losses or not found:
        return Compared(name, 0, f"no {name} was written down to compare")
    for event in sorted(found, key=lambda e: e.step):
        there = losses.get(event.step)
        if not _same(there, event.loss):
            words = f"{name} of step {event.step}: {_exactly(there)} undisturbed, "
            return Compared(name, len(found), f"{words}{_exactly(event.loss)} resumed", event.step)
    return Compared(name, len(found))


def _files_compared(name: str, file: str, whole: Run, others: Sequence[Run]) -> Compared:
    """Compare a file of the last checkpoints by its SHA-256, after every byte was checked."""
    last = whole.checkpoint("latest")
    for run in others:
        other = run.checkpoint("latest")
        if _sha256(last, file) != _sha256(other, file):
            where = first_difference(last.path / file, other.path / file)
            words = f"{name} after step {last.step}: {where}"
            return Compared(name, len(others), words, last.step)
    return Compared(name, len(others))


def _sha256(checkpoint: Checkpoint, file: str) -> str:
    return str(read_manifest(checkpoint.path)["files"][file]["sha256"])


def _same(there: float | None, here: float) -> bool:
    """Whether two numbers have the same bits; those that aren't finite are written down as NaN."""
    if there is None:
        return False
    if math.isnan(there) or math.isnan(here):
        return math.isnan(there) and math.isnan(here)
    return there == here and math.copysign(1, there) == math.copysign(1, here)


def _exactly(value: float | None) -> str:
    if isinstance(value, float):
        return f"{value!r} ({value.hex()})"
    return "nothing" if value is None else f"{value:#010x}"


def _steps(run: Run) -> list[StepDone]:
    return [e for _, e in run.events() if isinstance(e, StepDone)]


def _steps_aside(run: Run) -> list[StepDone]:
    """Steps that were computed, lost by a kill, and computed again."""
    found = []
    for row in durable.read_rows(run.path / "metrics-aside.jsonl"):
        event = from_row({key: math.nan if value is None else value for key, value in row.items()})
        if isinstance(event, StepDone):
            found.append(event)
    return found


def _train_with_kills(
    run: Run, after_steps: Sequence[int], waits: Sequence[float], say: Callable[[str], None]
) -> list[Kill]:
    """Train a run to its end, killing its workers a moment after each of these steps.

    Returns the kills that came: a quick training may be over before the last of them.
    """
    kills: list[Kill] = []
    killed_after = 0
    for after_step, wait in zip((*after_steps, None), (*waits, 0.0), strict=False):
        before = _beginning(run)
        with _worker(run) as worker:
            if after_step is None:
                _await_end(run, worker, say)
            else:
                _await_step(run, worker, after_step, before=before)
                time.sleep(wait)
            alive = _kill(worker)
        if killed_after:
            resumed = _beginning(run)
            kills.append(Kill(killed_after, resumed_from=resumed[1] if resumed else 0))
            say(f"killed after step {kills[-1].after_step}, went on from {kills[-1].resumed_from}")
        if not alive:
            break
        killed_after = max(e.step for e in _steps(run))
    _require_completed(run)
    return kills


def _beginning(run: Run) -> tuple[float, int] | None:
    """When the run's last worker began, and the step that it went on from.

    A worker that begins at the start takes away what those before it wrote: so they can't be
    counted.
    """
    found = [(at, e.step) for at, e in run.events() if isinstance(e, Started)]
    return found[-1] if found else None


def _await_step(
    run: Run, worker: "subprocess.Popen[bytes]", step: int, *, before: tuple[float, int] | None
) -> None:
    """Wait until a worker has begun, after the one `before`, and done a step; or has ended."""
    size = -1
    while worker.poll() is None:
        with contextlib.suppress(OSError):
            now = run.metrics_path.stat().st_size
            if now != size:
                size = now
                begun = _beginning(run) not in (None, before)
                if begun and max((e.step for e in _steps(run)), default=0) >= step:
                    return
        time.sleep(_LOOK_SECONDS)


def _await_end(run: Run, worker: "subprocess.Popen[bytes]", say: Callable[[str], None]) -> None:
    """Wait until a worker has ended, telling how far it is. Raises where it didn't complete."""
    told_at = time.monotonic()
    while worker.poll() is None:
        if time.monotonic() - told_at > _SAY_SECONDS:
            told_at = time.monotonic()
            say(f"step {run.stored_state().step}")
        time.sleep(_LOOK_SECONDS)
    _require_completed(run)


@contextlib.contextmanager
def _worker(run: Run) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker process on a run, in a session of its own; gone when the context ends."""
    worker = spawn(run)
    try:
        yield worker
    finally:
        _kill(worker)


def _kill(worker: "subprocess.Popen[bytes]") -> bool:
    """Kill a worker with what it has started; False if it had ended by itself."""
    if worker.poll() is not None:
        return False
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
    else:
        worker.kill()
    return worker.wait() != 0


def _require_completed(run: Run) -> None:
    state = run.state()
    if state.status == "completed":
        return
    if state.error is not None:
        raise TrainingError(f"the training failed: {state.error.message}", hint=state.error.hint)
    words = " / ".join(run.log_tail(3)) or "it said nothing"
    raise RunError(f"the training ended as {state.status} at step {state.step}: {words}")
