"""What one key alone can't say: combinations of keys that are impossible, each with a repair."""

from typing import NamedTuple

from maquette.spec.image import ImageSpec
from maquette.spec.parts import TrainPart
from maquette.spec.schema import Data, DialoguesSource, GPTModel, Spec
from maquette.spec.task import AnySpec


class Problem(NamedTuple):
    """An impossible combination. `fields` are dotted names, the one to blame first."""

    fields: tuple[str, ...]
    text: str


def problems(spec: AnySpec) -> list[Problem]:
    """Every impossible combination in a spec; empty when it is sound."""
    if isinstance(spec, ImageSpec):
        return _train(spec.train)
    return [*_model(spec.model), *_data(spec.data), *_train(spec.train), *_objective(spec)]


def _divisors(number: int) -> list[int]:
    small = [d for d in range(1, int(number**0.5) + 1) if number % d == 0]
    return sorted({*small, *(number // d for d in small)})


def _nearest(target: int, choices: list[int]) -> str:
    """The nearest choice below and the nearest above a target, as '4 or 8'."""
    below = [c for c in choices if c < target][-1:]
    above = [c for c in choices if c > target][:1]
    return " or ".join(map(str, below + above))


def _model(model: GPTModel) -> list[Problem]:
    width, heads, rope = model.width, model.heads, model.position == "rope"
    found: list[Problem] = []
    fitting = [d for d in _divisors(width) if not rope or width // d % 2 == 0]
    if width % heads:
        repair = f"try {_nearest(heads, fitting)}" if fitting else "make width even"
        found.append(
            Problem(
                ("model.heads", "model.width"),
                f"model.heads={heads} does not divide model.width={width}; {repair}",
            )
        )
    elif rope and width // heads % 2:
        repair = f"try heads {_nearest(heads, fitting)}" if fitting else "make width even"
        found.append(
            Problem(
                ("model.heads", "model.width", "model.position"),
                f"model.heads={heads} gives heads of {width // heads} channels, an odd number, "
                f"which position: rope can't rotate in pairs; {repair}",
            )
        )
    kv_heads = model.kv_heads
    if kv_heads is not None and heads % kv_heads:
        found.append(
            Problem(
                ("model.kv_heads", "model.heads"),
                f"model.kv_heads={kv_heads} does not divide model.heads={heads}; "
                f"try {_nearest(kv_heads, _divisors(heads))}",
            )
        )
    return found


def _data(data: Data) -> list[Problem]:
    without = [name for name, source in data.sources.items() if source.weight is None]
    if not without or len(without) == len(data.sources):
        return []
    name = without[0]
    return [
        Problem(
            (f"data.sources.{name}",),
            f"data.sources.{name} has no weight, but others have; give each source one, or none",
        )
    ]


def _train(train: TrainPart) -> list[Problem]:
    found: list[Problem] = []
    if train.steps is not None and train.epochs is not None:
        found.append(
            Problem(
                ("train.steps", "train.epochs"),
                f"train.steps={train.steps} and train.epochs={train.epochs:g} are both given; "
                "keep one (--set train.steps=null drops it)",
            )
        )
    if train.batch_size % train.accumulation:
        found.append(
            Problem(
                ("train.accumulation", "train.batch_size"),
                f"train.accumulation={train.accumulation} does not divide "
                f"train.batch_size={train.batch_size}; "
                f"try {_nearest(train.accumulation, _divisors(train.batch_size))}",
            )
        )
    if train.from_checkpoint != "best" and train.from_run is None:
        found.append(
            Problem(
                ("train.from_checkpoint",),
                f"train.from_checkpoint={train.from_checkpoint} is of no run; add train.from",
            )
        )
    warmup = train.schedule.warmup_steps
    if warmup is not None and train.steps is not None and warmup > train.steps:
        found.append(
            Problem(
                ("train.schedule.warmup_steps", "train.steps"),
                f"train.schedule.warmup_steps={warmup} is more than train.steps={train.steps}; "
                f"try {max(1, min(200, train.steps // 20))}",
            )
        )
    return found


def _objective(spec: Spec) -> list[Problem]:
    if spec.train.objective != "chat":
        return []
    return [
        Problem(
            (f"data.sources.{name}.kind", "train.objective"),
            f"train.objective=chat learns what the assistant says, and data.sources.{name} "
            f"(kind: {source.kind}) has no assistant; leave it out, or use objective: text",
        )
        for name, source in spec.data.sources.items()
        if not isinstance(source, DialoguesSource)
    ]
