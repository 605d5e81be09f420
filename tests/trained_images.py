"""A finished run of a small image classifier, made without training it."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from maquette.blueprint import serial
from maquette.blueprint.resolve_images import resolve_images
from maquette.data.image.prepare import PreparedImages
from maquette.models.convnext import ConvNeXt
from maquette.preparation import prepare_data
from maquette.runs.store import Run, Store
from maquette.spec.image import ImageSpec
from tests.models.small_images import enliven


def shapes_spec(**train: Any) -> ImageSpec:
    """The smallest model on the fewest drawn shapes."""
    return ImageSpec.model_validate(
        {
            "name": "tiny",
            "task": "image-classification",
            "model": {"variant": "atto", "stem_stride": 4},
            "data": {"sources": {"shapes": {"kind": "shapes", "images": 1000}}},
            "train": {"steps": 3, "batch_size": 4, "precision": "float32", **train},
        }
    )


def prepared(folder: Path, spec: ImageSpec) -> PreparedImages:
    """The images of a spec, in a cache inside the folder."""
    images = prepare_data(spec, cache=folder / "cache")
    assert isinstance(images, PreparedImages)
    return images


def trained_classifier(folder: Path) -> Run:
    """A run in `folder`/runs with a checkpoint of step 2, which says this and that."""
    spec = shapes_spec()
    blueprint = resolve_images(spec, prepared(folder, spec).facts)
    run = Store(folder / "runs").create(
        spec.name,
        spec_text=spec.model_dump_json(),
        spec=spec.model_dump(mode="json"),
        blueprint_text=serial.to_json(blueprint),
    )
    with torch.random.fork_rng(devices=[]):
        model = ConvNeXt(blueprint.shape)
    enliven(model)
    run.commit_checkpoint(
        2, lambda place: save_file(model.state_dict(), place / "model.safetensors"), best=True
    )
    return run
