"""A resumed training is the uninterrupted one bit by bit; without a part of its state it is not.

Compared are all events of every step, the repeated ones included, and the bytes of the files that
the last state is saved in: weights, averaged weights, optimizers, scaler, counters, generators.
"""

import dataclasses
import functools
import itertools
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from maquette.blueprint.blueprint import AnyBlueprint, ImageBlueprint
from maquette.blueprint.extend import extend
from maquette.build import Training
from maquette.events import CheckpointDue, Evaluated, Event, Sampled, StepDone
from maquette.preparation import prepare_data, resolve_any
from maquette.spec.image import ImageSpec
from maquette.spec.schema import BPETokenizer, Data, DialoguesSource, Spec
from maquette.spec.task import AnySpec
from maquette.training.checkpoint import MODEL, OPTIMIZER, TRAINER
from maquette.training.loop import TrainState
from tests.data.image.making import picture
from tests.data.image.making import save as save_image
from tests.training.tiny import tiny_spec, write_text

STEPS, MORE = 14, 4
BPE = BPETokenizer(kind="bpe", vocabulary=270)


def gpt(folder: Path, **train: Any) -> Spec:
    return tiny_spec(folder, model={"dropout": 0.1}, **train)


def gpt_of_bpe(folder: Path, **train: Any) -> Spec:
    return gpt(folder, **train).model_copy(update={"tokenizer": BPE})


def gpt_of_chat(folder: Path, **train: Any) -> Spec:
    file = folder / "dialogues.txt"
    blocks = [f"<dialogue>\nuser: and {i}?\nassistant: no {i}\n</dialogue>\n" for i in range(24)]
    file.write_text("".join(blocks), encoding="utf-8")
    talk = DialoguesSource(kind="dialogues", path=str(file), validation_fraction=0.2)
    spec = gpt(folder, objective="chat", **train)
    return spec.model_copy(update={"data": Data(sources={"talk": talk})})


def convnext(folder: Path, **train: Any) -> ImageSpec:
    for i in range(40):
        save_image(folder / "images" / "ab"[i % 2] / f"{i}.png", picture(i))
    train.pop("sample")
    train["evaluate"] = {"every": 3, "images": 4}
    train["augment"] = {"pad_crop": 2, "policy": "trivial", "erase": 0.5, "mixup": 0.4, "cutmix": 1}
    return ImageSpec.model_validate(
        {
            "seed": 3,
            "model": {"drop_path": 0.5, "image_size": 8},
            "data": {
                "sources": {"x": {"kind": "imagefolder", "path": str(folder / "images")}},
            },
            "train": {"batch_size": 4, "compile": False, "layer_decay": 0.8, **train},
        }
    )


# What is trained. Each takes the keys of `train` and has dropout, or blocks that are skipped.
FAMILIES: dict[str, Callable[..., AnySpec]] = {
    "bytes": gpt,
    "bpe": gpt_of_bpe,
    "chat": gpt_of_chat,
    "images": convnext,
}

ACCUMULATIONS = (1, 4)
PRECISIONS = ("float32", "bf16")
OPTIMIZERS = ("adamw", "muon")
AVERAGES = (0.0, 0.9)
Combination = tuple[str, int, str, str, float]
EVERY = tuple(itertools.product(FAMILIES, ACCUMULATIONS, PRECISIONS, OPTIMIZERS, AVERAGES))
QUICK = (
    ("bytes", 1, "float32", "adamw", 0.0),
    ("bpe", 4, "bf16", "muon", 0.9),
    ("chat", 4, "float32", "adamw", 0.9),
    ("images", 1, "float32", "adamw", 0.0),
    ("images", 4, "bf16", "muon", 0.9),
)


class Outcome(NamedTuple):
    """What a training computed: its events, without times, and the files of its last state."""

    events: frozenset[Event]
    files: dict[str, bytes]


def make_spec(folder: Path, combination: Combination) -> AnySpec:
    family, accumulation, precision, optimizer, average = combination
    spec = FAMILIES[family](
        folder,
        steps=STEPS,
        accumulation=accumulation,
        precision=precision,
        optimizer={"kind": optimizer},
        average=average,
        evaluate={"every": 3, "windows": 4},
        sample={"every": 5, "max_new_tokens": 4},
    )
    if isinstance(spec, Spec):
        write_text(folder, words=40)  # an epoch of less than these steps
    return spec


def training_of(folder: Path, spec: AnySpec, blueprint: AnyBlueprint | None = None) -> Training:
    """At step 0. The smallest published ConvNeXt would take most of the time to write down."""
    data = prepare_data(spec, cache=folder / "cache")
    if blueprint is None:
        blueprint = resolve_any(spec, data.facts)
        if isinstance(blueprint, ImageBlueprint):
            small = dataclasses.replace(
                blueprint.shape, depths=(1, 1, 2, 1), widths=(8, 12, 16, 24)
            )
            blueprint = dataclasses.replace(blueprint, shape=small)
    return Training(blueprint, data, device="cpu")


def start(folder: Path, spec: AnySpec, blueprint: AnyBlueprint | None = None) -> Training:
    """A new training, as a new process would build it: nothing of what was drawn before is left."""
    training = training_of(folder, spec, blueprint)
    random.seed(99)
    np.random.seed(99)
    torch.manual_seed(99)
    return training


def compute(
    training: Training, *, stop: int | None = None, save: Path | None = None, after: int = 2
) -> set[Event]:
    """Train to the end, or save after a step and be cut off a little later: the events."""
    found: set[Event] = set()
    for event in training.events(checkpoint_due=lambda step: step == stop):
        if isinstance(event, StepDone):
            found.add(dataclasses.replace(event, step_seconds=0.0))
            if stop is not None and event.step == stop + after:
                break
        elif isinstance(event, Evaluated):
            found.add(dataclasses.replace(event, seconds=0.0))
        elif isinstance(event, Sampled):
            found.add(event)
        elif isinstance(event, CheckpointDue) and event.step == stop and save is not None:
            save.mkdir()
            training.save(save)
    return found


def files(training: Training, folder: Path) -> dict[str, bytes]:
    folder.mkdir()
    training.save(folder)
    return {name: (folder / name).read_bytes() for name in (MODEL, OPTIMIZER, TRAINER)}


class Reference(NamedTuple):
    """A whole training, and the same with more steps, all of it in the memory of one process."""

    folder: Path
    spec: AnySpec
    whole: Outcome
    extended: Outcome
    longer: AnyBlueprint


@functools.cache
def uninterrupted(folder: Path, combination: Combination) -> Reference:
    spec = make_spec(folder, combination)
    training = training_of(folder, spec)
    found = compute(training)
    whole = Outcome(frozenset(found), files(training, folder / "whole"))
    longer = extend(training.blueprint, after_step=STEPS, more_steps=MORE)
    training.blueprint = longer
    found |= compute(training)
    extended = Outcome(frozenset(found), files(training, folder / "longer"))
    return Reference(folder, spec, whole, extended, longer)


def resume_at(reference: Reference, stops: Sequence[int], folder: Path) -> Outcome:
    """Cut a training off after each of these steps, and resume it; once it has ended, with more."""
    found: set[Event] = set()
    training = training_of(reference.folder, reference.spec)
    for stop in stops:
        saved = folder / f"after-{stop}"
        found |= compute(training, stop=stop, save=saved)
        longer = reference.longer if stop >= STEPS else None
        training = start(reference.folder, reference.spec, longer)
        training.load(saved)
        assert training.state.step == stop
    found |= compute(training)
    return Outcome(frozenset(found), files(training, folder / "last"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Combination], Path]:
    @functools.cache
    def of(combination: Combination) -> Path:
        return tmp_path_factory.mktemp("-".join(map(str, combination)))

    return of


@pytest.mark.parametrize("interruption", ["three-in-an-epoch", "epoch-boundary", "end"])
@pytest.mark.parametrize(
    "combination",
    [pytest.param(c, marks=() if c in QUICK else pytest.mark.slow) for c in EVERY],
    ids=lambda c: "-".join(map(str, c)),
)
def test_a_resumed_training_is_the_uninterrupted_one(
    combination: Combination,
    interruption: str,
    place: Callable[[Combination], Path],
    tmp_path: Path,
) -> None:
    reference = uninterrupted(place(combination), combination)
    plan = reference.longer.train
    epoch = plan.windows_per_epoch / plan.batch_size
    assert 4 <= epoch < STEPS - 1, "the training is to enter its second epoch"
    expected = reference.whole
    if interruption == "three-in-an-epoch":
        stops = [round(epoch * part) for part in (0.25, 0.5, 0.75)]
        assert len(set(stops)) == 3
    elif interruption == "epoch-boundary":
        stops = [math.floor(epoch), math.floor(epoch) + 1]
    else:
        stops, expected = [STEPS, STEPS + 2], reference.extended
    assert resume_at(reference, stops, tmp_path) == expected


def test_every_value_of_the_matrix_is_in_the_quick_slice() -> None:
    for position in range(5):
        assert {c[position] for c in QUICK} == {c[position] for c in EVERY}


def forget_optimizer(key: str) -> Callable[[Training], None]:
    def forget(training: Training) -> None:
        entries = [e for o in training.optimizers for e in o.state.values() if key in e]
        assert entries
        for entry in entries:
            entry[key].zero_()

    return forget


def forget_state(key: str) -> Callable[[Training], None]:
    return lambda training: setattr(training.state, key, getattr(TrainState(), key))


def forget_weights(training: Training) -> None:
    torch.manual_seed(7)
    state = torch.get_rng_state()
    for p in training.model.parameters():
        torch.nn.init.normal_(p, std=0.02)
    torch.set_rng_state(state)


def forget_average(training: Training) -> None:
    assert training.average is not None
    training.average.module.load_state_dict(training.model.state_dict())


def forget_count_of_average(training: Training) -> None:
    assert training.average is not None
    training.average.n_averaged.zero_()


def forget_scaler(training: Training) -> None:
    training.scaler.load_state_dict(torch.amp.GradScaler("cpu").state_dict())


def forget_torch(training: Training) -> None:
    torch.manual_seed(99)


# What a new training has in place of each part of the state: after load(), as if it had been left
# out there. Those that change what is computed must show in the events, not only in the files.
FORGET: dict[str, tuple[Callable[[Training], None], bool]] = {
    "weights": (forget_weights, True),
    "averaged weights": (forget_average, True),
    "steps averaged": (forget_count_of_average, True),
    "exp_avg": (forget_optimizer("exp_avg"), True),
    "exp_avg_sq": (forget_optimizer("exp_avg_sq"), True),
    "adamw's step": (forget_optimizer("step"), True),
    "momentum_buffer": (forget_optimizer("momentum_buffer"), True),
    "scaler": (forget_scaler, False),
    "step": (forget_state("step"), True),
    "tokens": (forget_state("tokens"), True),
    "best_loss": (forget_state("best_loss"), True),
    "best_step": (forget_state("best_step"), False),
    "stale_evaluations": (forget_state("stale_evaluations"), False),
    "Python's generator": (lambda _: random.seed(99), False),
    "NumPy's generator": (lambda _: np.random.seed(99), False),
    "torch's generator": (forget_torch, True),
}


class Saved(NamedTuple):
    folder: Path
    spec: AnySpec
    checkpoint: Path
    outcome: Outcome


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """A training with every part of state that there is, saved on its way, and its outcome."""
    folder = tmp_path_factory.mktemp("controls")
    return saved_on_its_way(folder, ("bytes", 1, "fp16", "muon", 0.9))


def saved_on_its_way(folder: Path, combination: Combination) -> Saved:
    spec = make_spec(folder, combination)
    training = training_of(folder, spec)
    training.state.best_loss, training.state.best_step = 0.0, 1  # no later evaluation is better
    checkpoint = folder / "checkpoint"
    found = compute(training, stop=8, save=checkpoint, after=STEPS)
    rest = frozenset(event for event in found if event.step > 8)
    outcome = Outcome(rest, files(training, folder / "whole"))
    return Saved(folder, spec, checkpoint, outcome)


def resumed_without(saved: Saved, folder: Path, forget: Callable[[Training], None]) -> Outcome:
    training = start(saved.folder, saved.spec)
    training.load(saved.checkpoint)
    forget(training)
    return Outcome(frozenset(compute(training)), files(training, folder / "last"))


def test_with_all_of_its_state_it_is_exact(saved: Saved, tmp_path: Path) -> None:
    assert resumed_without(saved, tmp_path, lambda _: None) == saved.outcome


@pytest.mark.parametrize("part", FORGET)
def test_without_a_part_of_its_state_it_is_not(saved: Saved, tmp_path: Path, part: str) -> None:
    forget, changes_events = FORGET[part]
    outcome = resumed_without(saved, tmp_path, forget)
    assert outcome.files != saved.outcome.files
    assert (outcome.events != saved.outcome.events) == changes_events


def test_skipped_blocks_hang_on_torchs_generator_and_augmentation_on_the_step(
    tmp_path: Path,
) -> None:
    images = saved_on_its_way(tmp_path, ("images", 1, "float32", "adamw", 0.0))

    def drawn(_: Training) -> None:
        random.seed(7)
        np.random.seed(7)

    def without(name: str, forget: Callable[[Training], None]) -> Outcome:
        folder = tmp_path / name
        folder.mkdir()
        return resumed_without(images, folder, forget)

    exact = without("nothing", drawn)
    assert exact.events == images.outcome.events
    assert exact.files[MODEL] == images.outcome.files[MODEL]
    for part in ("torch's generator", "step", "exp_avg"):
        assert without(part, FORGET[part][0]).events != images.outcome.events, part


def test_every_part_of_the_state_is_left_out_once(saved: Saved) -> None:
    from safetensors.torch import load_file

    kinds = {name.rpartition(":")[2] for name in load_file(saved.checkpoint / OPTIMIZER)}
    kinds = {kind for kind in kinds if "." not in kind}  # the others are weights
    counters = {field.name for field in dataclasses.fields(TrainState)}
    assert kinds == {"exp_avg", "exp_avg_sq", "step", "momentum_buffer"}
    assert counters | kinds - {"step"} <= set(FORGET)
