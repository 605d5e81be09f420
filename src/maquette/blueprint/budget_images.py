"""An image classifier from a budget: the published variant that comes nearest to it. Pure.

Other widths would come nearer, but no weights of others would fit them.
"""

import math
from typing import Any, NamedTuple

from maquette.blueprint import costs, costs_image
from maquette.blueprint.choices import Choice
from maquette.blueprint.resolve_images import resolve_convnext
from maquette.errors import SpecError
from maquette.facts import ImageFacts, MachineFacts
from maquette.quantities import format_bytes, format_count
from maquette.shapes import CONVNEXT_VARIANTS, ConvNeXtShape, Variant
from maquette.spec.budget import BUDGET, budget, given
from maquette.spec.image import ImageSpec

_FARTHEST = math.log(1.5)  # from a variant, as a factor
_FEWEST_PASSES, _MOST_PASSES = 10, 300


class SettledImages(NamedTuple):
    """A spec without a budget, and what was chosen for it."""

    spec: ImageSpec
    choices: tuple[Choice, ...]


def settle_images(spec: ImageSpec, facts: ImageFacts, machine: MachineFacts) -> SettledImages:
    """The spec with a variant, and of `minutes` the steps. Raises SpecError for contradictions."""
    asked = budget(spec)
    if not asked:
        return SettledImages(spec, ())
    sizes = {variant: _shape(spec, facts, variant) for variant in CONVNEXT_VARIANTS}
    variant, why = _variant(spec, facts, machine, sizes)
    choices = [Choice("model.variant", variant, why)]
    train: dict[str, Any] = {}
    minutes = asked.get("minutes")
    if minutes is not None:
        images = facts.splits["train"].images
        fitting = 60 * minutes / _image_seconds(sizes[variant], machine)
        if spec.train.steps is None and spec.train.epochs is None:
            seen = min(fitting, _MOST_PASSES * images)
            train["steps"] = max(1, int(seen / spec.train.batch_size))
            passes = f"{seen / images:.3g} passes over the images"
            choices.append(Choice("train.steps", train["steps"], f"minutes={minutes:g}: {passes}"))
        elif _images(spec, facts) > 1.03 * fitting:
            raise SpecError(
                f"{_length(spec)} and model.minutes={minutes:g} contradict each other: a ConvNeXt "
                f"{variant} sees {format_count(fitting)} images in that time; drop one of them"
            )
    data = spec.model_dump(exclude_unset=True)
    data["model"] = {k: v for k, v in data["model"].items() if k not in BUDGET}
    data["model"]["variant"] = variant
    data["train"] = {**data.get("train", {}), **train}
    return SettledImages(ImageSpec.model_validate(data), tuple(choices))


def _shape(spec: ImageSpec, facts: ImageFacts, variant: Variant) -> ConvNeXtShape:
    model = spec.model.model_copy(update={"variant": variant})
    return resolve_convnext(model, classes=len(facts.classes), image_size=facts.image_size)


def _variant(
    spec: ImageSpec, facts: ImageFacts, machine: MachineFacts, sizes: dict[Variant, ConvNeXtShape]
) -> tuple[Variant, str]:
    """The variant, and why it is this one."""
    asked, counts = budget(spec), {v: _count(shape) for v, shape in sizes.items()}
    memory, minutes = asked.get("memory"), asked.get("minutes")
    fixed: Variant | None = given(spec.model, "variant")
    if (wanted := asked.get("parameters")) is not None:
        near = min(counts, key=lambda v: abs(math.log(counts[v] / wanted)))
        if abs(math.log(counts[near] / wanted)) > _FARTHEST or fixed not in (None, near):
            there = f"model.variant={fixed}" if fixed else "every variant"
            listed = ", ".join(f"{v} {format_count(count)}" for v, count in counts.items())
            raise SpecError(
                f"model.parameters={wanted} and {there} contradict each other; these are there: "
                f"{listed}"
            )
        why = f"of the published ones the nearest to {format_count(wanted)} parameters: "
        fixed, why = near, why + format_count(counts[near])
    else:
        why = "the largest that fits: "
    if fixed is not None:
        if memory is not None and (takes := _memory(spec, sizes[fixed])) > memory:
            raise SpecError(
                f"a ConvNeXt {fixed} takes {format_bytes(takes)} to train and model.memory="
                f"{format_bytes(memory)} contradicts that; give more, or raise train.accumulation"
            )
        return fixed, why
    images = facts.splits["train"].images
    seen = _images(spec, facts) if _length(spec) else _FEWEST_PASSES * images
    fitting = [
        variant
        for variant, shape in sizes.items()
        if (memory is None or _memory(spec, shape) <= memory)
        and (minutes is None or seen * _image_seconds(shape, machine) <= 60 * minutes)
    ]
    if fitting:
        told = [f"{format_bytes(memory)} of memory"] if memory is not None else []
        told += [f"{seen / images:.3g} passes in {minutes:g} minutes"] if minutes else []
        return fitting[-1], why + " and ".join(told)
    smallest: Variant = next(iter(sizes))
    if memory is not None and (takes := _memory(spec, sizes[smallest])) > memory:
        raise SpecError(
            f"model.memory={format_bytes(memory)} is too little: the smallest variant, {smallest}, "
            f"takes {format_bytes(takes)}; give more, or raise train.accumulation"
        )
    return smallest, f"the smallest: no other has {seen / images:.3g} passes in {minutes:g} minutes"


def _length(spec: ImageSpec) -> str:
    """The length that a spec gives, in words; empty where it doesn't."""
    train = spec.train
    if train.steps is not None:
        return f"train.steps={train.steps}"
    return "" if train.epochs is None else f"train.epochs={train.epochs:g}"


def _images(spec: ImageSpec, facts: ImageFacts) -> float:
    train = spec.train
    if train.steps is not None:
        return train.steps * train.batch_size
    return (train.epochs or 0.0) * facts.splits["train"].images


def _count(shape: ConvNeXtShape) -> int:
    return costs_image.parameters(shape)["total"]


def _image_seconds(shape: ConvNeXtShape, machine: MachineFacts) -> float:
    assert machine.flops_per_second is not None
    return costs_image.flops_per_image(shape) / machine.flops_per_second


def _memory(spec: ImageSpec, shape: ConvNeXtShape) -> int:
    """Bytes at the peak of training."""
    train, count = spec.train, _count(shape)
    kept = costs.optimizer_numbers(
        count,
        costs_image.block_matrices(shape),
        muon=train.optimizer.kind == "muon",
        averaged=train.average > 0,
    )
    windows = train.batch_size // train.accumulation
    return 4 * (2 * count + kept) + costs_image.activations_bytes(shape, windows)
