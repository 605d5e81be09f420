"""What a search may change in a spec, at the same number of parameters. Pure but for its dice."""

import random
from collections.abc import Callable, Collection
from typing import Any

from maquette.blueprint.choices import learning_rate
from maquette.blueprint.ladder import TOLERANCE, Ladder, parameters_of
from maquette.blueprint.resolve import standard_hidden
from maquette.errors import SpecError
from maquette.spec.budget import DIMENSIONS
from maquette.spec.checks import problems
from maquette.spec.schema import GPTModel
from maquette.spec.task import AnySpec, validate

Data = dict[str, Any]
Change = Callable[[Data, random.Random], None]

_FACTORS = (0.35, 0.5, 0.7, 1.4, 2.0, 2.8)


def draw(
    spec: Data,
    dice: random.Random,
    *,
    vocabulary: int | None,
    parameters: int,
    keep: Collection[str] = (),
    most: int = 3,
) -> Data | None:
    """The spec with one to `most` of its keys changed; None if nothing sound came of it.

    A language model, of so many ids, keeps its `parameters` within 3 %.
    """
    changes = {**_COMMON, **(_TEXT if vocabulary is not None else _IMAGES)}
    names = [name for name in sorted(changes) if name not in keep and _applies(name, spec)]
    if not names:
        return None
    changed = _copy(spec)
    for name in dice.sample(names, min(len(names), dice.randint(1, most))):
        changes[name](changed, dice)
    if vocabulary is not None and not _fit(changed, spec, vocabulary, parameters, keep):
        return None
    return _whole(changed)


def difference(spec: Data, base: Data) -> str:
    """What a spec has otherwise than another, in words: `depth 4, width 320`."""
    there, here = _flat(base), _flat(spec)
    parts = [
        f"{key.rpartition('.')[2].replace('_', ' ')} {_word(here.get(key))}"
        for key in {**there, **here}
        if here.get(key) != there.get(key)
    ]
    return ", ".join(parts) or "the spec itself"


def keys() -> list[str]:
    """Every key that a search may change."""
    return sorted({*_COMMON, *_TEXT, *_IMAGES})


def _applies(name: str, spec: Data) -> bool:
    """Whether a spec leaves a key to be changed: a run that it begins from has its dimensions."""
    if name == "train.optimizer.muon_learning_rate":
        return bool(spec["train"]["optimizer"]["kind"] == "muon")
    if name == "model.heads" and spec["model"]["kv_heads"] is not None:
        return False  # keys and values would become wider or narrower with it
    inherited = spec["train"]["from"] is not None and name.startswith("model.")
    return not inherited or name in ("model.dropout", "model.drop_path")


def _whole(data: Data) -> Data | None:
    """The spec with the defaults of whatever was changed; None if it isn't sound."""
    try:
        spec: AnySpec = validate(data)
    except ValueError:
        return None
    return None if problems(spec) else spec.model_dump(mode="json")


def _fit(data: Data, base: Data, vocabulary: int, parameters: int, keep: Collection[str]) -> bool:
    """Give the model a width for its parameters, where what was changed has any part in them."""
    model, before = data["model"], base["model"]
    sizes = ("depth", "mlp", "tie_embeddings", "position", "norm")
    if all(model[key] == before[key] for key in sizes):
        return True
    fixed = {key for key in DIMENSIONS if f"model.{key}" in keep} | {"depth"}
    free = {k: v for k, v in model.items() if k not in DIMENSIONS or k in fixed}
    try:
        shape = Ladder(GPTModel.model_validate(free), vocabulary).near(parameters)
    except (ValueError, SpecError):
        return False
    if shape is None or abs(parameters_of(shape) / parameters - 1) > TOLERANCE:
        return False
    model.update({key: getattr(shape, key) for key in DIMENSIONS})
    if before["hidden"] is None and shape.hidden == standard_hidden(shape.mlp, shape.width):
        model["hidden"] = None
    return True


def _scale(part: str, key: str) -> Change:
    def change(data: Data, dice: random.Random) -> None:
        place = data["train"] if part == "train" else data["train"][part]
        if key in place:  # another change may just have taken the other optimizer
            place[key] = float(f"{min(10.0, place[key] * dice.choice(_FACTORS)):.2g}")

    return change


def _choose(path: str, *values: Any) -> Change:
    def change(data: Data, dice: random.Random) -> None:
        place = data
        *parts, key = path.split(".")
        for part in parts:
            place = place[part]
        place[key] = dice.choice([v for v in values if v != place[key]])

    return change


def _depth(data: Data, dice: random.Random) -> None:
    depth = data["model"]["depth"]
    others = {max(1, round(depth * f)) for f in (0.5, 0.67, 0.84, 1.2, 1.5, 2.0)} - {depth}
    data["model"]["depth"] = dice.choice(sorted(others) or [depth + 1])


def _heads(data: Data, dice: random.Random) -> None:
    model = data["model"]
    width, kv_heads = model["width"], model["kv_heads"] or 1
    options = [
        width // size
        for size in (16, 32, 64, 128)
        if width % size == 0 and width // size % kv_heads == 0 and width // size != model["heads"]
    ]
    if options:
        model["heads"] = dice.choice(options)


def _batch(data: Data, dice: random.Random) -> None:
    train = data["train"]
    parts, size = train["accumulation"], train["batch_size"]
    options = {max(1, size // 2), size * 2, size * 3 // 2}
    options = {-(-each // parts) * parts for each in options} - {size}
    train["batch_size"] = dice.choice(sorted(options))


def _optimizer(data: Data, _: random.Random) -> None:
    """The other one, with rates that suit it."""
    train = data["train"]
    before = train["optimizer"]
    kind: Any = "adamw" if before["kind"] == "muon" else "muon"
    weight_decay = before["weight_decay"]
    train["optimizer"] = {"kind": kind, "weight_decay": weight_decay}
    width = data["model"].get("width", 256)
    train["learning_rate"] = learning_rate(kind, width)


def _schedule(data: Data, dice: random.Random) -> None:
    schedule = data["train"]["schedule"]
    kinds = [("cosine", 0.1), ("cosine", 0.0), ("linear", 0.0), ("wsd", 0.0)]
    now = (schedule["kind"], schedule["final_fraction"])
    kind, final = dice.choice([each for each in kinds if each != now])
    schedule.update(kind=kind, final_fraction=final)


_COMMON: dict[str, Change] = {
    "train.learning_rate": _scale("train", "learning_rate"),
    "train.batch_size": _batch,
    "train.optimizer.kind": _optimizer,
    "train.optimizer.weight_decay": _choose("train.optimizer.weight_decay", 0.0, 0.03, 0.1, 0.2),
    "train.optimizer.muon_learning_rate": _scale("optimizer", "muon_learning_rate"),
    "train.schedule.kind": _schedule,
    "train.average": _choose("train.average", 0.0, 0.9, 0.95, 0.98),
}
_TEXT: dict[str, Change] = {
    "model.depth": _depth,
    "model.heads": _heads,
    "model.mlp": _choose("model.mlp", "gelu", "swiglu", "relu2"),
    "model.norm": _choose("model.norm", "layer", "rms"),
    "model.position": _choose("model.position", "rope", "learned"),
    "model.qk_norm": _choose("model.qk_norm", False, True),
    "model.tie_embeddings": _choose("model.tie_embeddings", False, True),
    "model.dropout": _choose("model.dropout", 0.0, 0.05, 0.1),
}
_IMAGES: dict[str, Change] = {
    "model.stem_stride": _choose("model.stem_stride", 1, 2, 4),
    "model.drop_path": _choose("model.drop_path", 0.0, 0.05, 0.1),
    "model.layer_scale": _choose("model.layer_scale", 1e-6, 1e-2, 0.1, 1.0),
    "train.label_smoothing": _choose("train.label_smoothing", 0.0, 0.05, 0.1),
    "train.augment.flip": _choose("train.augment.flip", False, True),
    "train.augment.pad_crop": _choose("train.augment.pad_crop", 0, 2, 4),
    "train.augment.policy": _choose("train.augment.policy", "none", "trivial"),
    "train.augment.erase": _choose("train.augment.erase", 0.0, 0.25),
}


def _copy(value: Any) -> Any:
    return {k: _copy(v) for k, v in value.items()} if isinstance(value, dict) else value


def _flat(value: Data, above: str = "") -> Data:
    found: Data = {}
    for key, inner in value.items():
        path = f"{above}{key}"
        found.update(_flat(inner, f"{path}.") if isinstance(inner, dict) else {path: inner})
    return found


def _word(value: object) -> str:
    if value is None:
        return "as usual"
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)
