"""GPT shapes by their number of parameters: as many blocks as the width suggests. Pure.

The rules, in their order:

1. width / depth is near 32 + 3 x depth: 41 at 3 blocks, 68 at 12, 98 at 22, 128 at 32. Published
   models lie around it: GPT-2 has 64 at 12, TinyLlama 93 at 22, Llama 128 at 32.
2. The width is a multiple of the head size, which is 32 for widths below 256, 128 from 2048 on, and
   64 between.
3. The feed-forward has its usual size; where no such shape is near enough, the nearest multiple of
   64 that is (of 32 or 8 in small models).
4. Where even that finds none, as in models that are little more than their vocabulary, the aspect
   may be anything within a factor of 8, and heads may have another size.

For a given number of parameters a shape of the same rung is taken: rungs are 3 % apart, so that a
larger number never gives a smaller model.
"""

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass

from maquette.blueprint import costs
from maquette.blueprint.resolve import resolve_shape, standard_hidden
from maquette.shapes import GPTShape
from maquette.spec.budget import given
from maquette.spec.schema import GPTModel

TOLERANCE = 0.03
DEEPEST, WIDEST = 256, 65536
_AS_GOOD = 0.2


def ideal_width(depth: float) -> float:
    """The width that goes with a depth."""
    return depth * (32 + 3 * depth)


def ideal_depth(parameters: float) -> float:
    """The depth, as a real number, of a model of so many parameters in its blocks."""
    low, high = 0.05, float(DEEPEST)
    for _ in range(60):
        middle = (low + high) / 2
        if 12 * middle * ideal_width(middle) ** 2 < parameters:
            low = middle
        else:
            high = middle
    return low


def head_size(width: int) -> int:
    """Channels of a head."""
    return 32 if width < 256 else 64 if width < 2048 else 128


def rung_of(parameters: int) -> int:
    """The rung that a number of parameters is on."""
    return math.floor(math.log(parameters) / math.log(1 + TOLERANCE))


def parameters_of(shape: GPTShape) -> int:
    """Parameters of a shape."""
    return costs.parameters(shape)["total"]


@dataclass(frozen=True, slots=True)
class _Candidate:
    shape: GPTShape
    parameters: int
    off: float  # how far from the rules; 0 is on them


@dataclass(frozen=True, slots=True)
class _Rules:
    band: float  # how far from its rule the logarithm of the aspect may be
    tuning: float  # how far from its usual size the feed-forward may be, as a factor
    whole_heads: bool  # widths are multiples of the usual head size


_STRICT = _Rules(math.log(1.7), tuning=1.45, whole_heads=True)
_LOOSE = _Rules(math.log(8), tuning=4.0, whole_heads=False)


class Ladder:
    """The shapes of a model that a spec leaves open; what it gives stays."""

    def __init__(self, model: GPTModel, vocabulary: int) -> None:
        self.model = model
        self.depth: int | None = given(model, "depth")
        self.width: int | None = given(model, "width")
        self.heads: int | None = given(model, "heads")
        self.hidden: int | None = given(model, "hidden")
        self.kv_heads = model.kv_heads
        plain = model.model_copy(update={"depth": 1, "width": 64, "heads": 1, "kv_heads": 1})
        self._base = resolve_shape(plain.model_copy(update={"hidden": 64}), vocabulary)

    def shape(self, depth: int, width: int, hidden: int | None = None) -> GPTShape | None:
        """A shape; None where no number of heads divides the width."""
        heads = self._heads(width)
        if heads is None:
            return None
        usual = standard_hidden(self.model.mlp, width)
        return self._with(depth, width, heads, self.hidden or hidden or usual)

    def by_depth(self, depth: int) -> GPTShape | None:
        """The shape that a depth suggests."""
        if self.width is not None:
            return self.shape(depth, self.width)
        unit = self._unit(round(ideal_width(depth)), _STRICT)
        width = max(unit, round(ideal_width(depth) / unit) * unit)
        return self.shape(depth, min(width, WIDEST))

    def on_rung(self, rung: int) -> list[GPTShape]:
        """The best shape of a rung, and after it those that are nearly as good; maybe none."""
        low, high = (1 + TOLERANCE) ** rung, (1 + TOLERANCE) ** (rung + 1)
        for rules in (_STRICT, _LOOSE):
            near = self._near(math.sqrt(low * high), rules)
            there = sorted(
                (c for c in near if low <= c.parameters < high), key=lambda c: (c.off, c.parameters)
            )
            if there:
                return [c.shape for c in there if c.off <= there[0].off + _AS_GOOD]
        return []

    def near(self, parameters: int) -> GPTShape | None:
        """The best shape of the number's rung, else the nearest to it, however far; or None."""
        if shapes := self.on_rung(rung_of(parameters)):
            return shapes[0]
        found = list(self._near(parameters, _LOOSE))
        return min(found, key=lambda c: abs(c.parameters - parameters)).shape if found else None

    def _near(self, parameters: float, rules: _Rules) -> Iterator[_Candidate]:
        """Shapes around a number of parameters, for each depth that suits them."""
        for depth, width in self._sides(parameters, rules):
            unit = self._unit(width, rules)
            for each in [self.width] if self.width is not None else [width, width + unit]:
                usual = self.shape(depth, each)
                if usual is None:
                    continue
                yield self._candidate(usual, usual.hidden)
                tuned = self._tuned(usual, parameters, rules)
                if tuned is not None:
                    yield self._candidate(tuned, usual.hidden)

    def _sides(self, parameters: float, rules: _Rules) -> list[tuple[int, int]]:
        """Depths, each with the width that it takes for at most so many parameters."""
        if self.depth is not None:
            return [(self.depth, self.width or self._widest(self.depth, parameters, rules))]
        if self.width is not None:
            return [(depth, self.width) for depth in self._depths(self.width, parameters)]
        found: list[tuple[int, int]] = []
        for depth in range(1, DEEPEST + 1):
            width = self._widest(depth, parameters, rules)
            off = math.log(width / ideal_width(depth))
            if off < -rules.band:  # deeper ones are thinner still
                break
            if off <= rules.band:
                found.append((depth, width))
        return found

    def _depths(self, width: int, parameters: float) -> range:
        """Depths at which a width may come to so many parameters, its feed-forward being free."""
        one, two = self.shape(1, width), self.shape(2, width)
        if one is None or two is None:
            return range(0)
        block = parameters_of(two) - parameters_of(one)
        depth = 1 + (parameters - parameters_of(one)) / block
        return range(max(1, int(depth / 1.5)), max(1, min(DEEPEST, int(1.5 * depth) + 1)) + 1)

    def _tuned(self, usual: GPTShape, parameters: float, rules: _Rules) -> GPTShape | None:
        """The shape with another feed-forward, so that it has about so many parameters."""
        if self.hidden is not None:
            return None
        unit = 64 if usual.width >= 1024 else 32 if usual.width >= 512 else 8
        more = parameters_of(dataclasses.replace(usual, hidden=usual.hidden + unit))
        slope = (more - parameters_of(usual)) / unit
        wanted = usual.hidden + (parameters - parameters_of(usual)) / slope
        hidden = max(unit, round(wanted / unit) * unit)
        if not 1 / rules.tuning <= hidden / usual.hidden <= rules.tuning:
            return None
        return dataclasses.replace(usual, hidden=hidden)

    def _candidate(self, shape: GPTShape, usual: int) -> _Candidate:
        off = abs(math.log(shape.width / ideal_width(shape.depth)))
        if shape.hidden != usual:
            off += 0.1 + abs(math.log(shape.hidden / usual))
        if self.heads is None and shape.head_dim != head_size(shape.width):
            off += 0.1
        return _Candidate(shape, parameters_of(shape), off)

    def _widest(self, depth: int, parameters: float, rules: _Rules) -> int:
        """The widest that has at most so many parameters; else the narrowest there is."""
        low, high = 1, WIDEST // 8
        while low < high:
            middle = (low + high + 1) // 2
            if parameters_of(self._rough(depth, 8 * middle)) <= parameters:
                low = middle
            else:
                high = middle - 1
        unit = self._unit(8 * low, rules)
        return max(unit, 8 * low // unit * unit)

    def _rough(self, depth: int, width: int) -> GPTShape:
        """A shape to count with: its heads may not divide its width."""
        heads = self.heads or max(1, width // head_size(width))
        return self._with(
            depth, width, heads, self.hidden or standard_hidden(self.model.mlp, width)
        )

    def _with(self, depth: int, width: int, heads: int, hidden: int) -> GPTShape:
        return dataclasses.replace(
            self._base,
            depth=depth,
            width=width,
            heads=heads,
            kv_heads=self.kv_heads or heads,
            head_dim=max(1, width // heads),
            hidden=hidden,
        )

    def _unit(self, width: int, rules: _Rules) -> int:
        """Widths near this one are multiples of it."""
        if self.heads is not None:
            return self.heads * (8 if rules.whole_heads else 2)
        return (head_size(width) if rules.whole_heads else 8) * (self.kv_heads or 1)

    def _heads(self, width: int) -> int | None:
        """The number of heads whose size is nearest to the usual one."""
        pairs = self.model.position == "rope"

        def fits(heads: int) -> bool:
            whole = width % heads == 0 and not (pairs and width // heads % 2)
            return whole and heads % (self.kv_heads or 1) == 0

        if self.heads is not None:
            return self.heads if fits(self.heads) else None
        size = head_size(width)
        if fits(width // size or 1) and width % size == 0:
            return width // size
        options = [heads for heads in range(1, min(width, 1024) + 1) if fits(heads)]
        return min(options, key=lambda h: abs(math.log(width / h / size)), default=None)
