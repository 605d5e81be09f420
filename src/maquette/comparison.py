"""Runs side by side: how their specs differ, and how they do at equal steps, times and amounts.

Plain values from the files of the runs, for the command line, its pictures and the terminal UI.
"""

import bisect
import dataclasses
import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from maquette.blueprint.blueprint import AnyBlueprint, Blueprint
from maquette.errors import RunError, UsageError
from maquette.reading import read_blueprint, run_spec
from maquette.runs.state import State
from maquette.runs.store import Run
from maquette.runs.tail import Tail
from maquette.serving.runs_curves import curves, running_clock

MOST = 8
"""Runs at once: more lines than that can't be told apart."""
LETTERS = "ABCDEFGH"
Axis = Literal["step", "seconds", "amount"]
AXES: tuple[Axis, ...] = ("step", "seconds", "amount")
_BATCH = {"language": "tokens", "image-classification": "images"}
_JUDGED_BY = (
    "data.",
    "model.context",
    "model.image_size",
    "train.evaluate.windows",
    "train.evaluate.images",
    "train.evaluate.flip",
    "train.objective",
)
"""Keys that change what the validation loss is of."""


class Measure(NamedTuple):
    """Something that runs are compared by."""

    key: str
    name: str
    unit: str
    higher_is_better: bool = False


LOSS = Measure("loss", "validation loss", "nats per token")
IMAGE_LOSS = Measure("loss", "validation loss", "nats per image")
BITS = Measure("bits_per_byte", "validation bits per byte", "bits")
ACCURACY = Measure("accuracy", "validation accuracy", "share", higher_is_better=True)


@dataclass(frozen=True, slots=True)
class Point:
    """A value, and when it was: after a step, so many seconds of running, and tokens or images."""

    step: int
    seconds: float | None
    amount: int
    value: float
    between: bool = False  # worked out from the evaluations before and after

    def at(self, axis: Axis) -> float | None:
        """Where it lies on an axis."""
        return getattr(self, axis)  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Course:
    """One run: its spec as dotted keys with every default resolved, and its curves."""

    letter: str
    run: Run
    state: State
    task: str  # empty where its files don't tell
    spec: dict[str, Any]
    amount_per_step: int
    tokenizer: str | None  # a checksum of it
    training: list[Point]  # loss
    validation: dict[str, list[Point]]  # by the measure's key
    problem: str | None  # why there is nothing to compare, or no spec

    @property
    def unit(self) -> str:
        """What its amounts are of: tokens or images."""
        return _BATCH.get(self.task, "tokens")


@dataclass(frozen=True, slots=True)
class Equal:
    """How the runs do at the same place of an axis, the last that all of them have reached."""

    axis: Axis
    at: float
    values: tuple[Point | None, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """The runs by one measure; the values are in the order of the runs, None where unknown."""

    measure: Measure
    final: tuple[Point | None, ...]
    best: tuple[Point | None, ...]
    equal: tuple[Equal, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that is to be said of some runs side by side."""

    courses: tuple[Course, ...]
    differences: dict[str, tuple[Any, ...]]  # dotted key -> a value for each run, or ABSENT
    measured: tuple[Measured, ...]
    notes: tuple[str, ...]  # what to know when reading the values

    def to_json(self) -> dict[str, Any]:
        """The comparison as a JSON-ready object; a run that lacks a key isn't named under it."""
        ids = [course.run.id for course in self.courses]
        return {
            "runs": [_course_json(course) for course in self.courses],
            "differences": {
                key: {i: v for i, v in zip(ids, values, strict=True) if v is not ABSENT}
                for key, values in self.differences.items()
            },
            "measures": [_measured_json(one, ids) for one in self.measured],
            "notes": list(self.notes),
        }


class _Absent:
    """A key that a run's spec doesn't have: another kind of source, another task."""

    def __repr__(self) -> str:
        return "absent"


ABSENT = _Absent()


def compare(runs: Sequence[Run]) -> Comparison:
    """Compare runs of one task. Raises UsageError for fewer than two, too many, or mixed ones."""
    runs = list({run.path.resolve(): run for run in runs}.values())
    if len(runs) < 2:
        raise UsageError("a comparison needs two runs", hint="name another one besides")
    if len(runs) > MOST:
        raise UsageError(f"{len(runs)} runs are too many to tell apart: {MOST} at most")
    courses = tuple(_course(run, letter) for run, letter in zip(runs, LETTERS, strict=False))
    if len({course.task for course in courses if course.task}) > 1:
        said = ", ".join(f"{course.run.id} is {course.task or 'unknown'}" for course in courses)
        raise UsageError(f"losses of different tasks don't compare: {said}")
    differences = _differences(courses)
    measures, notes = _measures(courses)
    notes += _cautions(courses, differences)
    measured = tuple(_measure(courses, measure) for measure in measures)
    return Comparison(courses, differences, measured, tuple(notes))


def _course(run: Run, letter: str) -> Course:
    tail, problem = Tail(run.metrics_path), None
    events = []
    try:
        news = tail.read()
        events = news.history + news.events
    except RunError as error:
        problem = error.message
    state = run.state(events)
    spec, blueprint = {}, None
    try:
        spec = flat(run_spec(run).model_dump(mode="json"))
        blueprint = read_blueprint(run)
    except RunError as error:
        problem = problem or (error.message if not spec else None)
    found = curves(events, running_clock(state))
    per_step = blueprint.train.tokens_per_step if blueprint is not None else 0
    if not found["steps"]["step"] and not found["evaluations"]:
        imported = run.meta.kind == "imported"
        problem = problem or ("was imported: no training" if imported else "has no metrics yet")
    return Course(
        letter=letter,
        run=run,
        state=state,
        task=_task(run, blueprint),
        spec=_resolved(spec, blueprint, state),
        amount_per_step=per_step,
        tokenizer=_digest(run),
        training=_training(found["steps"], per_step),
        validation={
            key: _evaluations(found["evaluations"], key, per_step)
            for key in ("loss", "bits_per_byte", "accuracy")
        },
        problem=problem,
    )


def _task(run: Run, blueprint: AnyBlueprint | None) -> str:
    """What the model does, as far as its files tell; else nothing."""
    if blueprint is not None:
        return "language" if isinstance(blueprint, Blueprint) else "image-classification"
    return str(run.meta.spec.get("task", "")) if run.meta.spec else ""


def _training(steps: dict[str, list[Any]], per_step: int) -> list[Point]:
    columns = zip(steps["step"], steps["seconds"], steps["loss"], strict=True)
    return [Point(step, s, step * per_step, v) for step, s, v in columns if v is not None]


def _evaluations(rows: Iterable[dict[str, Any]], key: str, per_step: int) -> list[Point]:
    return [
        Point(row["step"], row["seconds"], row["step"] * per_step, row[key])
        for row in rows
        if row[key] is not None
    ]


def flat(value: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Nested mappings as one with dotted keys; lists stay whole."""
    found: dict[str, Any] = {}
    for key, inner in value.items():
        if isinstance(inner, dict):
            found |= flat(inner, f"{before}{key}.")
        else:
            found[before + key] = inner
    return found


_RESOLVED: dict[str, Callable[[AnyBlueprint], Any]] = {
    "model.kv_heads": lambda b: getattr(b.shape, "kv_heads", None),
    "model.hidden": lambda b: getattr(b.shape, "hidden", None),
    "model.image_size": lambda b: getattr(b.shape, "image_size", None),
    "model.stem_stride": lambda b: getattr(b.shape, "stem_stride", None),
    "train.steps": lambda b: b.train.steps,
    "train.epochs": lambda b: round(b.train.epochs, 3),
    "train.schedule.warmup_steps": lambda b: b.train.schedule.warmup_steps,
    "train.evaluate.every": lambda b: b.train.evaluate_every,
    "train.evaluate.images": lambda b: b.train.evaluate_windows,
    "train.sample.every": lambda b: getattr(b.train, "sample_every", None),
}
"""What a key that is null came to."""


def _resolved(spec: dict[str, Any], blueprint: AnyBlueprint | None, state: State) -> dict[str, Any]:
    """The spec with what its nulls came to, and what follows from it: parameters, device."""
    if not spec:
        return {}
    found = {key: value for key, value in spec.items() if key != "name"}
    if blueprint is not None:
        for key, resolve in _RESOLVED.items():
            if key in found and found[key] is None:
                found[key] = resolve(blueprint)
        found["parameters"] = blueprint.parameters["total"]
        if isinstance(blueprint, Blueprint):
            found["vocabulary"] = blueprint.shape.vocabulary
        for extension in blueprint.train.extensions:  # made longer: the steps as they are now
            found["train.steps"] = blueprint.train.steps
            found["train.epochs"] = round(blueprint.train.epochs, 3)
            found[f"extended after {extension.after_step}"] = extension.how
    if state.device is not None:
        found |= {"device": state.device, "precision": state.precision, "compiled": state.compiled}
    return found


def _differences(courses: Sequence[Course]) -> dict[str, tuple[Any, ...]]:
    """The keys whose values differ, in the order of the specs; runs without one have no say."""
    known = [course for course in courses if course.spec]
    keys = dict.fromkeys(key for course in known for key in course.spec)
    found = {}
    for key in keys:
        values = [course.spec.get(key) for course in known]  # null or not there: both say nothing
        if any(type(value) is not type(values[0]) or value != values[0] for value in values):
            found[key] = tuple(course.spec.get(key, ABSENT) for course in courses)
    return found


def _measures(courses: Sequence[Course]) -> tuple[list[Measure], list[str]]:
    """By what runs of this task compare, and why."""
    if any(course.task == "image-classification" for course in courses):
        return [ACCURACY, IMAGE_LOSS], []
    if not _tokenizers_differ(courses):
        return [LOSS], []
    if any(course.validation["bits_per_byte"] for course in courses):
        return [BITS], ["the tokenizers differ, and so do tokens: bits per byte are compared"]
    return [LOSS], ["the tokenizers differ, so a lower loss per token need not be better"]


def _tokenizers_differ(courses: Sequence[Course]) -> bool:
    """By their files, and where there are none by what the specs say of them."""
    keys = ("tokenizer.kind", "tokenizer.vocabulary", "vocabulary")
    said = {tuple(course.spec.get(key) for key in keys) for course in courses if course.spec}
    files = {course.tokenizer for course in courses if course.tokenizer is not None}
    return len(said) > 1 or len(files) > 1


def _cautions(courses: Sequence[Course], differences: dict[str, tuple[Any, ...]]) -> list[str]:
    notes = [f"{c.run.id}: {c.problem}" for c in courses if c.problem is not None]
    judged = [key for key in differences if key.startswith(_JUDGED_BY) and "weight" not in key]
    if judged:
        shown = ", ".join(judged[:3]) + (", ..." if len(judged) > 3 else "")
        notes.append(f"what they are judged by differs, so lower need not be better: {shown}")
    if not all(course.spec for course in courses):
        notes.append("where a spec can't be read, its keys are left out")
    return notes


def _measure(courses: Sequence[Course], measure: Measure) -> Measured:
    lines = [course.validation[measure.key] for course in courses]
    axes: list[Axis] = ["step", "seconds"]
    if len({c.amount_per_step for c, line in zip(courses, lines, strict=True) if line}) > 1:
        axes.append("amount")
    return Measured(
        measure,
        tuple(line[-1] if line else None for line in lines),
        tuple(_best(c, line, measure) for c, line in zip(courses, lines, strict=True)),
        tuple(equal for axis in axes if (equal := _equal(lines, axis)) is not None),
    )


def _best(course: Course, line: Sequence[Point], measure: Measure) -> Point | None:
    """The best evaluation; of a long run, whose curve has only some of them, as its state says."""
    if not line:
        return None
    sign = -1 if measure.higher_is_better else 1
    best = min(line, key=lambda point: sign * point.value)
    known = course.state.best_loss
    step = course.state.best_step
    # Curves are rounded to six digits.
    if measure.key == "loss" and known is not None and step and known < best.value * (1 - 1e-5):
        return Point(step, None, step * course.amount_per_step, known)
    return best


def _equal(lines: Sequence[Sequence[Point]], axis: Axis) -> Equal | None:
    """At the last place that every run with a curve has reached; None where there is none."""
    ends = [line[-1].at(axis) for line in lines if line]
    known = [end for end in ends if end is not None]
    if len(known) < 2 or len(known) < len(ends) or min(known) <= 0:
        return None
    at = min(known)
    values = tuple(between(line, axis, at) for line in lines)
    return Equal(axis, at, values) if sum(v is not None for v in values) > 1 else None


def between(line: Sequence[Point], axis: Axis, at: float) -> Point | None:
    """The value of a curve at a place: that of the point there, or on the way between two."""
    points = [(x, point) for point in line if (x := point.at(axis)) is not None]
    places = [x for x, _ in points]
    i = bisect.bisect_left(places, at)
    if i < len(points) and math.isclose(places[i], at, rel_tol=1e-9):
        return points[i][1]
    if not 0 < i < len(points):
        return None
    (low, first), (high, last) = points[i - 1], points[i]
    share = (at - low) / (high - low)
    seconds = None
    if first.seconds is not None and last.seconds is not None:
        seconds = first.seconds + share * (last.seconds - first.seconds)
    return Point(
        round(first.step + share * (last.step - first.step)),
        seconds,
        round(first.amount + share * (last.amount - first.amount)),
        first.value + share * (last.value - first.value),
        between=True,
    )


def winners(values: Sequence[Point | None], measure: Measure) -> set[int]:
    """Which of the values are best, as far as four digits tell; none where nothing is compared."""
    known = [point.value for point in values if point is not None]
    if len(known) < 2:
        return set()
    best = max(known) if measure.higher_is_better else min(known)
    return {i for i, p in enumerate(values) if p is not None and f"{p.value:.4g}" == f"{best:.4g}"}


def _digest(run: Run) -> str | None:
    """A checksum of the run's tokenizer; None where it can't be read."""
    try:
        return hashlib.sha256(run.tokenizer_path.read_bytes()).hexdigest()
    except OSError:
        return None


def _course_json(course: Course) -> dict[str, Any]:
    state = course.state
    return {
        "letter": course.letter,
        "id": course.run.id,
        "path": str(course.run.path),
        "status": state.status,
        "step": state.step,
        "steps": state.steps,
        "problem": course.problem,
    }


def _measured_json(one: Measured, ids: Sequence[str]) -> dict[str, Any]:
    def by_run(values: Sequence[Point | None]) -> dict[str, Any]:
        return {
            i: None if point is None else dataclasses.asdict(point)
            for i, point in zip(ids, values, strict=True)
        }

    return {
        **one.measure._asdict(),
        "final": by_run(one.final),
        "best": by_run(one.best),
        "equal": [{"axis": e.axis, "at": e.at, "values": by_run(e.values)} for e in one.equal],
    }
