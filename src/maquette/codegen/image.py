"""The standalone project of an image classifier."""

import dataclasses
from typing import Any

from maquette.blueprint.blueprint import ImageBlueprint
from maquette.codegen.description import (
    CodeFile,
    Description,
    common_values,
    training_values,
)
from maquette.spec.image import CifarPart, ImageSource, ImageSpec

CODE = (
    CodeFile("errors.py", ("errors",)),
    CodeFile("device.py", ("training.device",)),
    CodeFile("model.py", ("models", "shapes", "training.weights")),
    CodeFile("images.py", ("augmentation", "data.image", "data.text.reading")),
    CodeFile("shapes.py", ("data.image.shapes",)),
)
CIFAR = CodeFile("cifar.py", ("data.image.cifar_batches",))
BATCHES = ("data.batches", "data.image.batches", "data.image.augment", "data.image.operations")
REST = (
    CodeFile("data.py", (*BATCHES, "data.image.given")),
    CodeFile("eval.py", ("training.classify",)),
    CodeFile("classify.py"),
    CodeFile("train.py", ("training", "build", "blueprint", "events")),
    CodeFile("tests/test_project.py"),
)
EDITIONS = {"cifar10": "CIFAR10", "cifar100": "CIFAR100"}


def image_project(
    spec: ImageSpec,
    blueprint: ImageBlueprint,
    *,
    has_weights: bool = False,
    result: float | None = None,
) -> Description:
    """The project of a spec without a budget, whose blueprint this is.

    `has_weights` and `result`, a validation loss, are for a run's.
    """
    [(name, source)] = spec.data.sources.items()
    cifar = (CIFAR,) if source.kind in EDITIONS else ()
    return Description(
        folder="image",
        code=(*CODE, *cifar, *REST),
        choices={
            "maquette.data.image.augment.POLICIES": {blueprint.train.augmentation.policy},
        },
        prose=("README.md", "model_card.md"),
        values={
            **common_values(blueprint),
            **training_values(spec.train, blueprint.train),
            **_model_values(blueprint),
            **_data_values(name, source, blueprint),
            **_training_values(blueprint),
            "has_weights": has_weights,
            "result": None if result is None else f"{result:.4f}",
        },
    )


def _model_values(blueprint: ImageBlueprint) -> dict[str, Any]:
    shape = blueprint.shape
    return {
        "shape": [(f.name, getattr(shape, f.name)) for f in dataclasses.fields(shape)],
        "image_size": str(shape.image_size),
        "class_count": f"{shape.classes:,}",
        "tokenizers": False,
        "pillow": True,
    }


def _data_values(name: str, source: ImageSource, blueprint: ImageBlueprint) -> dict[str, Any]:
    facts = blueprint.facts
    written = source.model_dump(exclude={"kind"}, exclude_none=True)
    first: list[str] = []
    if source.kind == "shapes":
        module, reader = "data.image.shapes", "Shapes"
    elif isinstance(source, CifarPart):
        module, reader = "data.image.cifar_batches", "published_cifar"
        first = [EDITIONS[source.kind]]
        written.setdefault("path", f"data/{name}")
    else:
        module, reader = "data.image.folder", "ImageFolder"
        if source.kind != "imagefolder":  # what reads it isn't in the project
            fraction = source.validation_fraction
            written = {"path": f"data/{name}", "validation_fraction": fraction}
    return {
        "source": {"made_by": reader, "first": first, "arguments": list(written.items())},
        "imports": [(module, part) for part in (*first, reader)],
        "source_kind": source.kind,
        "images_are_here": source.kind == "shapes",
        "needs_images": source.kind in ("parquet", "hub"),
        "classes": list(facts.classes),
        "mean": facts.mean,
        "std": facts.std,
    }


def _training_values(blueprint: ImageBlueprint) -> dict[str, Any]:
    plan = blueprint.train
    rule = plan.augmentation
    return {
        "seen": f"{plan.steps * plan.batch_size:,}",
        "augmentation": [(f.name, getattr(rule, f.name)) for f in dataclasses.fields(rule)],
        "evaluate_images": plan.evaluate_windows,
        "flip": plan.evaluate_flip,
        "layer_decay": None if plan.layer_decay == 1 else plan.layer_decay,
    }
