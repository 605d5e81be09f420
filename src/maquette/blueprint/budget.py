"""Dimensions from a budget: a spec that says how much becomes one that says what. Pure.

What a device does is measured elsewhere and comes in as facts, so that the same spec and facts give
the same dimensions. A number that the spec gives stays; the others follow by the rules of `ladder`
(depth, width, heads, feed-forward), `length` (tokens, batch, steps) and of this module.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from maquette.blueprint import costs
from maquette.blueprint.choices import Choice, about_shape, about_training, learning_rate
from maquette.blueprint.ladder import (
    TOLERANCE,
    Ladder,
    ideal_depth,
    ideal_width,
    parameters_of,
    rung_of,
)
from maquette.blueprint.length import (
    FEWEST_STEPS,
    MOST_PASSES,
    PER_PARAMETER,
    Length,
    batch_windows,
    given_length,
    parts_of,
)
from maquette.errors import SpecError
from maquette.facts import DataFacts, MachineFacts
from maquette.quantities import format_bytes, format_count
from maquette.shapes import GPTShape
from maquette.spec.budget import BUDGET, DIMENSIONS, SIZES, budget, given
from maquette.spec.schema import BPETokenizer, Spec

_VOCABULARIES = tuple(2**power for power in range(9, 16))  # 512 to 32,768
_SMALLEST, _LARGEST = 1000, 10**12  # parameters
_MICRO_TOKENS = 4096  # that a model which fills the memory must be able to learn from at once


class Settled(NamedTuple):
    """A spec without a budget, and what was chosen for it."""

    spec: Spec
    choices: tuple[Choice, ...]


def choose_vocabulary(spec: Spec, machine: MachineFacts) -> Settled:
    """The spec with a vocabulary, which is chosen before there is a tokenizer to count tokens with.

    The largest power of two whose embedding takes at most a quarter of the parameters.
    """
    tokenizer = spec.tokenizer
    if not isinstance(tokenizer, BPETokenizer) or given(tokenizer, "vocabulary") is not None:
        return Settled(spec, ())
    expected = _expected_parameters(spec, machine)
    width = given(spec.model, "width") or ideal_width(ideal_depth(expected))
    matrices = 1 if spec.model.tie_embeddings else 2
    fitting = [v for v in _VOCABULARIES if v * width * matrices <= expected / 4]
    vocabulary = max(fitting, default=_VOCABULARIES[0])
    share = "a power of two whose embedding takes at most a quarter of some"
    why = f"{share} {format_count(expected)} parameters; {_VOCABULARIES[-1]:,} at most"
    changed = {"tokenizer": {"kind": "bpe", "vocabulary": vocabulary}}
    return Settled(_rewritten(spec, changed), (Choice("tokenizer.vocabulary", vocabulary, why),))


def settle(spec: Spec, facts: DataFacts, machine: MachineFacts) -> Settled:
    """The spec with every number that its budget leaves open. Raises SpecError for budgets that
    contradict each other, or what the spec gives."""
    if not budget(spec):
        return Settled(spec, ())
    return _Settling(spec, facts, machine).settled()


def generation_seconds(shape: GPTShape, machine: MachineFacts) -> float:
    """What a token takes to generate: every weight is read once, and each block has its overhead.

    Of an untied token embedding only a row is read, and of positions too.
    """
    assert machine.read_bytes_per_second is not None
    assert machine.block_seconds is not None
    counts = costs.parameters(shape)
    unread = counts["position_embedding"]
    unread += 0 if shape.tie_embeddings else counts["token_embedding"]
    read_seconds = 4 * (counts["total"] - unread) / machine.read_bytes_per_second
    return read_seconds + shape.depth * machine.block_seconds


class _Limit(NamedTuple):
    """A budget that is an upper bound: what a shape takes of it."""

    name: str
    most: float
    takes: Callable[[GPTShape], float]
    show: Callable[[float], str]
    repair: str

    def breaks(self, shape: GPTShape) -> bool:
        """Whether a shape takes more."""
        return self.takes(shape) > self.most

    def told(self) -> str:
        """What it is and how much."""
        most = self.show(self.most)
        return f"{self.name}={most}" if self.name.startswith("model.") else f"{self.name} of {most}"


class _Settling:
    """One budget being settled."""

    def __init__(self, spec: Spec, facts: DataFacts, machine: MachineFacts) -> None:
        self.spec, self.machine = spec, machine
        self.vocabulary = facts.vocabulary
        self.asked: dict[str, Any] = budget(spec)
        self.ladder = Ladder(spec.model, facts.vocabulary)
        self.context = spec.model.context
        windows = sum(s["train"].tokens // self.context for s in facts.sources.values())
        self.unique = self.context * max(1, windows)
        self.fixed = given_length(spec.train, context=self.context, unique=self.unique)
        self.limits = list(self._limits())
        self.fills_memory = False

    def settled(self) -> Settled:
        """The spec and its choices."""
        shape, why = self._shape()
        length = self.fixed or self._length(shape)
        batch, parts = self._batch(shape, length)
        steps = max(1, int(length.tokens / (batch * self.context)))
        self._check_time(shape, length)
        kind = self.spec.train.optimizer.kind
        rate = given(self.spec.train, "learning_rate") or learning_rate(kind, shape.width)
        train = {"batch_size": batch, "accumulation": parts, "learning_rate": rate}
        if self.fixed is None:
            train["steps"] = steps
        rows = [
            Choice("model.parameters", parameters_of(shape), why),
            *about_shape(shape),
            *about_training(train, length, context=self.context, optimizer=kind),
        ]
        model = {key: getattr(shape, key) for key in DIMENSIONS}
        chosen = [row for row in rows if not self._is_given(row.key)]
        return Settled(_rewritten(self.spec, {"model": model, "train": train}), tuple(chosen))

    def _is_given(self, key: str) -> bool:
        part, _, name = key.partition(".")
        return name != "parameters" and given(getattr(self.spec, part), name) is not None

    def _shape(self) -> tuple[GPTShape, str]:
        """The model, and why it has so many parameters."""
        size, depth = self.asked.get("size"), given(self.spec.model, "depth")
        wanted = self.asked.get("parameters") or SIZES.get(size or "")
        if wanted is not None:
            shape = self._there(self.ladder.near(wanted))
            self._check_parameters(shape, wanted)
            asked = format_count(wanted) if size is None else f"{size}, {format_count(wanted)}"
            key = "parameters" if size is None else "size"
            off = parameters_of(shape) / wanted - 1
            why = f"model.{key}={asked}: {off:+.1%}"
        elif size == "by-depth" or (depth is not None and self.ladder.width is not None):
            shape = self._there(self.ladder.by_depth(depth))
            why = f"what model.depth={depth} suggests"
            if self.ladder.width is not None:
                why = f"model.depth={depth} and model.width={self.ladder.width}"
        else:
            return self._largest()
        for limit in self.limits:
            if limit.name in ("model.memory", "model.latency") and limit.breaks(shape):
                raise self._contradiction(shape, wanted, limit)
        return shape, why

    def _there(self, shape: GPTShape | None) -> GPTShape:
        if shape is not None:
            return shape
        given_keys = [
            f"model.{k}={v}" for k in (*DIMENSIONS, "kv_heads") if (v := given(self.spec.model, k))
        ]
        raise SpecError(
            f"no model has {' and '.join(given_keys)}: heads must divide the width, into an even "
            "size for position: rope; leave heads out, or make the width a multiple of 64"
        )

    def _check_parameters(self, shape: GPTShape, wanted: int) -> None:
        there = parameters_of(shape)
        if abs(there / wanted - 1) <= TOLERANCE:
            return
        key = "model.parameters" if "parameters" in self.asked else "model.size"
        near = f"the nearest has {format_count(there)} ({there})"
        fixed = [f"model.{k}={v}" for k in DIMENSIONS if (v := given(self.spec.model, k))]
        if fixed:
            raise SpecError(
                f"no model with {', '.join(fixed)} has the {format_count(wanted)} parameters that "
                f"{key} asks for: {near}; ask for those, or leave one of the other keys out"
            )
        raise SpecError(
            f"{key} asks for {format_count(wanted)} parameters, and with a vocabulary of "
            f"{self.vocabulary} {near}; ask for those, or for a smaller vocabulary"
        )

    def _contradiction(self, shape: GPTShape, wanted: int | None, limit: _Limit) -> SpecError:
        size = f"model.parameters={wanted}" if wanted else f"model.depth={shape.depth}"
        if "size" in self.asked:
            size = f"model.size={self.asked['size']}"
        return SpecError(
            f"{size} and {limit.told()} contradict each other: a model of "
            f"{format_count(parameters_of(shape))} parameters takes "
            f"{limit.show(limit.takes(shape))}; {limit.repair}, or drop one of them"
        )

    def _limits(self) -> Iterator[_Limit]:
        """The bounds that the spec and its data give."""
        if (memory := self.asked.get("memory")) is not None:
            repair = "give more, or a smaller model.context"
            yield _Limit("model.memory", memory, self._least_memory, format_bytes, repair)
        if (latency := self.asked.get("latency")) is not None:
            yield _Limit("model.latency", latency, self._generation, _milliseconds, "give more")
        if (minutes := self.asked.get("minutes")) is not None:
            yield _Limit("model.minutes", minutes, self._minutes, _minutes, "give more")
            # With less text a parameter than a token it would be learnt by heart.
            yield _Limit("the text", self.unique, parameters_of, _tokens, "add text")

    def _largest(self) -> tuple[GPTShape, str]:
        """The largest model that every limit allows, and which of them the next one breaks."""
        above: GPTShape | None = None
        for shapes in self._downwards():
            fitting = [s for s in shapes if not any(limit.breaks(s) for limit in self.limits)]
            if fitting:
                broken = [limit for limit in self.limits if above and limit.breaks(above)]
                self.fills_memory = "model.memory" in [limit.name for limit in broken]
                shape = max(fitting, key=parameters_of)
                return shape, self._why_largest(shape, broken)
            above = shapes[0]
        smallest = self._there(above)
        limit = next(limit for limit in self.limits if limit.breaks(smallest))
        raise SpecError(
            f"{limit.told()} is too little: the smallest model, of "
            f"{format_count(parameters_of(smallest))} parameters, takes "
            f"{limit.show(limit.takes(smallest))}; {limit.repair}"
        )

    def _downwards(self) -> Iterator[list[GPTShape]]:
        """Shapes from some that are much too large down to the smallest, a rung apart."""
        rung = rung_of(_SMALLEST)
        while rung < rung_of(_LARGEST):
            first = next(iter(self.ladder.on_rung(rung)), None)
            if first and any(limit.takes(first) > 2 * limit.most for limit in self.limits):
                break
            rung += 24  # each takes twice as much as the one before
        for lower in range(rung, rung_of(_SMALLEST) - 1, -1):
            if shapes := self.ladder.on_rung(lower):
                yield shapes

    def _why_largest(self, shape: GPTShape, broken: list[_Limit]) -> str:
        names = [limit.told() for limit in broken]
        others = [
            f"{limit.name} would allow more"
            for limit in self.limits
            if limit not in broken and limit.name != "the text"
        ]
        takes = ", ".join(limit.show(limit.takes(shape)) for limit in broken)
        return "; ".join([f"the most that {' and '.join(names)} allows: {takes}", *others])

    def _generation(self, shape: GPTShape) -> float:
        return generation_seconds(shape, self.machine)

    def _minutes(self, shape: GPTShape) -> float:
        """What the training of a shape takes."""
        tokens = min(PER_PARAMETER * parameters_of(shape), MOST_PASSES * self.unique)
        return self._seconds(shape, self.fixed.tokens if self.fixed else tokens) / 60

    def _seconds(self, shape: GPTShape, tokens: float) -> float:
        assert self.machine.flops_per_second is not None
        return costs.flops_per_token(shape) * tokens / self.machine.flops_per_second

    def _length(self, shape: GPTShape) -> Length:
        """How many tokens to train on, where the spec doesn't say."""
        count, passes = parameters_of(shape), MOST_PASSES * self.unique
        tokens: float = PER_PARAMETER * count
        why = f"{PER_PARAMETER} tokens a parameter"
        if (minutes := self.asked.get("minutes")) is not None:
            tokens = 60 * minutes / self._seconds(shape, 1)
            why = f"model.minutes={minutes:g}, {tokens / count:.3g} tokens a parameter"
        if tokens > passes:
            why = (
                f"{MOST_PASSES} passes over the text, {passes / count:.3g} tokens a parameter; "
                f"{why} would be {tokens / self.unique:.3g} passes"
            )
        tokens = min(tokens, passes)
        return Length(tokens, why, batch_windows(self.spec.train, tokens, context=self.context))

    def _check_time(self, shape: GPTShape, length: Length) -> None:
        """Whether the minutes are enough for steps that were given, or for any to speak of."""
        minutes = self.asked.get("minutes")
        if minutes is None:
            return
        takes = self._seconds(shape, length.tokens) / 60
        if takes > minutes * (1 + TOLERANCE):
            raise SpecError(
                f"{length.why} and model.minutes={minutes:g} contradict each other: a model of "
                f"{format_count(parameters_of(shape))} parameters takes {_minutes(takes)} for that "
                f"on {self.machine.device}; drop one of them"
            )
        fewest = self._seconds(shape, FEWEST_STEPS * self.context) / 60
        if self.fixed is None and fewest > minutes:
            raise SpecError(
                f"model.minutes={minutes:g} is too short: {FEWEST_STEPS} steps of one window with "
                f"{format_count(parameters_of(shape))} parameters take {_minutes(fewest)} on "
                f"{self.machine.device}; give more, or fewer parameters"
            )

    def _batch(self, shape: GPTShape, length: Length) -> tuple[int, int]:
        """Windows of a batch, and the parts that it is computed in."""
        train = self.spec.train
        most = batch = length.batch
        if (memory := self.asked.get("memory")) is not None:
            window = costs.activations_bytes(shape, 1)
            most = (memory - self._state_bytes(shape)) // window
            if most < 1:
                limit = self.limits[0]
                raise self._contradiction(shape, None, limit)
            free = given(train, "batch_size") is None and given(train, "accumulation") is None
            if self.fills_memory and free:
                parts = max(1, round(batch / most))
                return parts * most, parts
        parts = parts_of(train, batch, context=self.context, most=most)
        if batch // parts > most:
            raise SpecError(
                f"train.batch_size={batch} in train.accumulation={parts} parts and model.memory="
                f"{format_bytes(memory or 0)} contradict each other: {most} windows fit at once; "
                "leave one of these keys out"
            )
        return batch, parts

    def _state_bytes(self, shape: GPTShape) -> int:
        """Weights, gradients, optimizer."""
        count, train = parameters_of(shape), self.spec.train
        kept = costs.optimizer_numbers(
            count,
            costs.block_matrices(shape),
            muon=train.optimizer.kind == "muon",
            averaged=train.average > 0,
        )
        return 4 * (2 * count + kept)

    def _least_memory(self, shape: GPTShape) -> float:
        """What training takes with as few windows at once as make sense."""
        train = self.spec.train
        batch, parts = given(train, "batch_size"), given(train, "accumulation")
        windows = -(-_MICRO_TOKENS // self.context)
        if batch is not None:
            windows = batch // (parts or 1) if parts else min(windows, batch)
        return self._state_bytes(shape) + costs.activations_bytes(shape, windows)


def _expected_parameters(spec: Spec, machine: MachineFacts) -> float:
    """About how many parameters a budget comes to, before there is a vocabulary."""
    asked = budget(spec)
    wanted = asked.get("parameters") or SIZES.get(asked.get("size", ""))
    if wanted:
        return float(wanted)
    depth: int | None = given(spec.model, "depth")
    width: int | None = given(spec.model, "width")
    if depth is not None and (width is not None or asked.get("size") == "by-depth"):
        return 12 * depth * (width or ideal_width(depth)) ** 2
    found: list[float] = []
    if "memory" in asked:
        found.append(asked["memory"] / 16 / 2)  # half of it for activations
    if "latency" in asked:
        assert machine.read_bytes_per_second is not None
        found.append(asked["latency"] * machine.read_bytes_per_second / 4)
    if "minutes" in asked:
        assert machine.flops_per_second is not None
        found.append(math.sqrt(asked["minutes"] * 60 * machine.flops_per_second / 120))
    return max(float(_SMALLEST), min(found))


def _rewritten(spec: Spec, changes: dict[str, dict[str, Any]]) -> Spec:
    """The spec with these keys as though somebody had written them; dimensions end the budget."""
    data = spec.model_dump(exclude_unset=True)
    for part, values in changes.items():
        data[part] = {**data.get(part, {}), **values}
    if "train" in changes:
        data["model"] = {k: v for k, v in data["model"].items() if k not in BUDGET}
    return Spec.model_validate(data)


def _tokens(count: float) -> str:
    return f"{format_count(count)} tokens"


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.3g}ms"


def _minutes(minutes: float) -> str:
    return f"{minutes:.3g}min"
