"""A run made of weights that somebody else trained."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from maquette.blueprint import serial
from maquette.blueprint.blueprint import ImageBlueprint
from maquette.blueprint.resolve_images import resolve_imported
from maquette.errors import CheckpointError, DataError, UsageError
from maquette.events import CheckpointSaved, Finished, Note, Started
from maquette.facts import ImageFacts, unnamed_classes
from maquette.models.convnext import ConvNeXt
from maquette.models.convnext_layouts import Layout
from maquette.runs.recorder import Recorder
from maquette.runs.store import Run, Store
from maquette.shapes import Variant
from maquette.spec.image import ImageSpec
from maquette.training.checkpoint import MODEL
from maquette.training.pretrained import ends_of, load_pretrained, read_weights, variant_of
from maquette.training.timm_config import TimmConfig, read_config

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of each colour, as nearly all published weights expect."""
IMAGE_SIZES = {4: 224, 2: 64, 1: 32}
"""Pixels of a stem -> the size of images that it is made for."""


def import_convnext(
    file: Path,
    store: Store,
    *,
    layout: Layout | None = None,
    variant: Variant | None = None,
    name: str | None = None,
    classes: Sequence[str] | None = None,
    image_size: int | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    command: Sequence[str] = (),
) -> Run:
    """Make a completed run of no steps, whose one checkpoint has the weights in a file.

    What isn't given is found: layout and variant from the weights, the rest from timm's config.json
    where that lies beside them, else classes are numbered, images have IMAGE_SIZES' size and
    ImageNet's colours. Nothing is made unless every weight fits. Raises CheckpointError, DataError,
    UsageError.
    """
    weights = read_weights(file)
    count, stem_stride = ends_of(weights, source=str(file))
    config = read_config(file)
    known = _variant(weights, variant, config, file)
    if config is not None:
        config.check(known, count)
    if classes is not None and len(classes) != count:
        raise DataError(
            f"{len(classes):,} classes have names, and {file} tells {count:,} apart",
            hint="each has a name, a line each, in the order that the weights have them",
        )
    facts = ImageFacts(
        classes=tuple(classes or (config and config.names) or unnamed_classes(count)),
        image_size=image_size or (config and config.image_size) or IMAGE_SIZES[stem_stride],
        mean=mean or (config and config.mean) or IMAGENET_MEAN,
        std=std or (config and config.std) or IMAGENET_STD,
        splits={},
    )
    shape = {"variant": known, "image_size": facts.image_size, "stem_stride": stem_stride}
    spec = ImageSpec.model_validate(
        {"name": name or f"convnext-{known}", "task": "image-classification", "model": shape}
    )
    blueprint = resolve_imported(spec, facts)
    with torch.random.fork_rng(devices=[]):
        model = ConvNeXt(blueprint.shape)
    load_pretrained(model, weights, source=str(file), layout=layout)
    run = _create(store, spec, blueprint, f"Imported from {json.dumps(str(file))}.", command)
    _record(run, model, blueprint.parameters["total"], _notes(file, known, facts, config))
    return run


def _variant(
    weights: Mapping[str, Tensor], asked: Variant | None, config: TimmConfig | None, file: Path
) -> Variant:
    if asked is not None and config is not None and config.variant != asked:
        raise UsageError(
            f"--variant {asked} contradicts {config.path}, which says {config.architecture}",
            hint="leave --variant out, or move that file away if it belongs to other weights",
        )
    known = asked or variant_of(weights)
    if known is None:
        raise CheckpointError(
            f"{file} holds no ConvNeXt of a known variant",
            hint="--variant NAME tells what doesn't fit",
        )
    return known


def _notes(file: Path, variant: Variant, facts: ImageFacts, config: TimmConfig | None) -> list[str]:
    """What was imported, and what its images are taken to be."""
    mean, std = (", ".join(f"{value:.4g}" for value in each) for each in (facts.mean, facts.std))
    found = [
        f"imported from {file}: a ConvNeXt {variant} that tells {len(facts.classes):,} classes"
        f" apart",
        f"images are brought to {facts.image_size} pixels and normalised by mean {mean} and"
        f" deviation {std}",
    ]
    if config is not None and (differences := config.differences()):
        found.append(f"{config.path} asks for {' and '.join(differences)}")
    return found


def _create(
    store: Store, spec: ImageSpec, blueprint: ImageBlueprint, about: str, command: Sequence[str]
) -> Run:
    written = spec.model_dump(mode="json", exclude_unset=True)
    return store.create(
        spec.name,
        spec_text=f"# {about}\n{json.dumps(written, indent=2)}\n",
        spec=written,
        blueprint_text=serial.to_json(blueprint),
        command=command,
        device="cpu",
        kind="imported",
    )


def _record(run: Run, model: ConvNeXt, parameters: int, notes: Sequence[str]) -> None:
    """Write down that the run is complete, with its one checkpoint."""
    with Recorder(run) as recorder:
        recorder.begin(steps=0, tokens_per_step=0)
        recorder.record(
            Started(
                step=0,
                steps=0,
                parameters=parameters,
                device="cpu",
                precision="float32",
                compiled=False,
            )
        )
        for note in notes:
            recorder.record(Note(0, note))
        saved = run.commit_checkpoint(
            0, lambda folder: save_file(model.state_dict(), folder / MODEL), best=True
        )
        recorder.record(CheckpointSaved(0, best=True, bytes=saved.bytes, seconds=0.0))
        recorder.record(Finished(0, "completed"))


def read_classes(file: Path) -> list[str]:
    """The names of classes in a file, one a line, in order. Raises DataError."""
    try:
        lines = file.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except OSError as error:
        raise DataError(f"{file}: can't be read: {(error.strerror or '').lower()}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: byte {error.start} is not UTF-8") from None
    names = [line.strip() for line in lines]
    if not names or "" in names:
        raise DataError(
            f"{file}:{names.index('') + 1}: there is no name" if names else f"{file} is empty",
            hint="a class a line, in the order that the weights have them",
        )
    return names


def parse_colours(option: str, text: str) -> tuple[float, float, float]:
    """`0.485,0.456,0.406` -> three numbers in 0..1. Raises UsageError, which names the option."""
    try:
        red, green, blue = (float(part) for part in text.split(","))
    except ValueError:
        red = green = blue = -1.0
    least = 0.0 if option == "--mean" else 1e-6  # deviations are divided by
    if not all(least <= value <= 1 for value in (red, green, blue)):
        raise UsageError(
            f"{option} {text!r} is no mean or deviation of red, green and blue",
            hint="write three numbers from 0 to 1, such as 0.485,0.456,0.406",
        )
    return red, green, blue
