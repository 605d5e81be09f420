"""A training of an image classifier, from its data to what is learned."""

import dataclasses
from pathlib import Path
from typing import Any

from maquette.blueprint.blueprint import ImageBlueprint
from maquette.build import Training
from maquette.events import Evaluated, Note, StepDone
from maquette.preparation import prepare_data, resolve_any
from maquette.spec.image import ImageSpec
from maquette.training.optimizer import Muon
from tests.data.image.making import picture, save


def training(folder: Path, **train: Any) -> Training:
    """Of sixteen pictures in four classes, which share nothing, by a model of four blocks."""
    for split, count in (("train", 16), ("val", 4)):
        for i in range(count):
            save(folder / "set" / split / "abcd"[i % 4] / f"{i}.png", picture(i))
    spec = ImageSpec.model_validate(
        {
            "model": {"image_size": 8, "drop_path": 0},
            "data": {"sources": {"x": {"kind": "imagefolder", "path": str(folder / "set")}}},
            "train": {
                "batch_size": 16,
                "learning_rate": 3e-3,
                "precision": "float32",
                "compile": False,
                "augment": {"flip": False, "pad_crop": 0},
                "label_smoothing": 0,
                "evaluate": {"every": 40},
                "schedule": {"kind": "constant", "warmup_steps": 0},
                **train,
            },
        }
    )
    data = prepare_data(spec, cache=folder / "cache")
    blueprint = resolve_any(spec, data.facts)
    assert isinstance(blueprint, ImageBlueprint)
    shape = dataclasses.replace(blueprint.shape, depths=(1, 1, 1, 1), widths=(16, 24, 32, 48))
    return Training(dataclasses.replace(blueprint, shape=shape), data, device="cpu")


def test_one_batch_is_learned_by_heart(tmp_path: Path) -> None:
    """What is judged is among what was learned: without the one there is not the other."""
    events = list(training(tmp_path, steps=80).events())
    losses = [event.loss for event in events if isinstance(event, StepDone)]
    assert losses[0] > 1.2  # four classes: 1.39 where nothing is known
    assert losses[-1] < 0.01
    judged = [event for event in events if isinstance(event, Evaluated)]
    assert (judged[-1].accuracy, judged[-1].top5) == (1.0, 1.0)
    assert judged[-1].loss < 0.01


def test_the_decay_of_layers_reaches_the_optimizers(tmp_path: Path) -> None:
    made = training(tmp_path, steps=2, layer_decay=0.5, optimizer={"kind": "muon"})
    peaks = [group["peak"] for optimizer in made.optimizers for group in optimizer.param_groups]
    assert peaks[0] == 3e-3
    assert min(peaks) == 3e-3 * 0.5**5  # the stem, below four blocks and the head
    [muon] = [optimizer for optimizer in made.optimizers if isinstance(optimizer, Muon)]
    assert len(muon.param_groups) == 4
    events = list(made.events())
    [first, _] = [event for event in events if isinstance(event, StepDone)]
    assert first.learning_rate == 3e-3
    assert any("stem: 1 pixels" in event.text for event in events if isinstance(event, Note))
