"""What one key alone can't say: combinations of keys that are impossible, each with a repair."""

from typing import NamedTuple

from maquette.spec.budget import BUDGET, budget, given
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
        return [*_budget(spec), *_train(spec)]
    return [
        *_budget(spec),
        *_model(spec),
        *_data(spec.data),
        *_train(spec),
        *_objective(spec),
    ]


def _divisors(number: int) -> list[int]:
    small = [d for d in range(1, int(number**0.5) + 1) if number % d == 0]
    return sorted({*small, *(number // d for d in small)})


def _nearest(target: int, choices: list[int]) -> str:
    """The nearest choice below and the nearest above a target, as '4 or 8'."""
    below = [c for c in choices if c < target][-1:]
    above = [c for c in choices if c > target][:1]
    return " or ".join(map(str, below + above))


def _budget(spec: AnySpec) -> list[Problem]:
    """Budgets that say two things, or have nothing to choose."""
    asked = budget(spec)
    size, found = asked.get("size"), []
    if "parameters" in asked and size is not None:
        found.append(
            Problem(
                ("model.parameters", "model.size"),
                f"model.size={size} and model.parameters={asked['parameters']} both say how large "
                "the model is to be; keep one (--set model.size=null drops it)",
            )
        )
    if size == "by-depth" and given(spec.model, "depth") is None:
        found.append(
            Problem(
                ("model.size",),
                "model.size=by-depth goes by model.depth, which isn't given; add it, or try small",
            )
        )
    if asked and spec.train.from_run is not None:
        key = next(key for key in BUDGET if key in asked)
        text = f"model.{key}={asked[key]} chooses dimensions, and those of a run that training "
        found.append(Problem((f"model.{key}",), f"{text}begins from (train.from) are its own"))
    return found


def _known(spec: Spec) -> tuple[int | None, int | None]:
    """Width and heads, where they don't wait to be chosen."""
    if not budget(spec):
        return spec.model.width, spec.model.heads
    return given(spec.model, "width"), given(spec.model, "heads")


def _model(spec: Spec) -> list[Problem]:
    width, heads = _known(spec)
    if width is None or heads is None:
        return _kv_heads(spec.model, heads)
    return [*_heads(spec.model, width, heads), *_kv_heads(spec.model, heads)]


def _heads(model: GPTModel, width: int, heads: int) -> list[Problem]:
    rope = model.position == "rope"
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
    return found


def _kv_heads(model: GPTModel, heads: int | None) -> list[Problem]:
    kv_heads = model.kv_heads
    if kv_heads is None or heads is None or not heads % kv_heads:
        return []
    return [
        Problem(
            ("model.kv_heads", "model.heads"),
            f"model.kv_heads={kv_heads} does not divide model.heads={heads}; "
            f"try {_nearest(kv_heads, _divisors(heads))}",
        )
    ]


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


def _train(spec: AnySpec) -> list[Problem]:
    train: TrainPart = spec.train
    found: list[Problem] = []
    if train.steps is not None and train.epochs is not None:
        found.append(
            Problem(
                ("train.steps", "train.epochs"),
                f"train.steps={train.steps} and train.epochs={train.epochs:g} are both given; "
                "keep one (--set train.steps=null drops it)",
            )
        )
    chosen = isinstance(spec, Spec) and budget(spec) and given(train, "batch_size") is None
    if train.batch_size % train.accumulation and not chosen:
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
