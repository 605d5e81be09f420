"""An ejected classifier trains, judges and classifies as maquette does, and does it alone."""

import ast
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from maquette.base import inherit
from maquette.blueprint.resolve_images import resolve_images
from maquette.build import Training
from maquette.codegen.folder import write_project
from maquette.data.image.collection import read_images
from maquette.data.image.prepare import PreparedImages
from maquette.data.image.sources import open_images_source
from maquette.ejecting import eject_run, eject_spec, project_files
from maquette.errors import DataError
from maquette.events import Evaluated, StepDone
from maquette.models.convnext import ConvNeXt
from maquette.runs.store import Run, Store
from maquette.spec.image import ImageSpec
from tests.codegen.alone import run_alone
from tests.data.image.making import picture, save
from tests.trained_images import prepared, shapes_spec, trained_classifier

STEPS = {"shapes": 20, "folder": 4}
CLASSES = ('a "quote', "b{{ 7 * 7 }}", "c\\n'''", "d\u2028e")


def shapes(_: Path) -> ImageSpec:
    return shapes_spec(
        steps=STEPS["shapes"],
        batch_size=4,
        accumulation=2,
        optimizer={"kind": "muon"},
        average=0.9,
        augment={
            "flip": True,
            "crop_scale": 0.5,
            "policy": "trivial",
            "mixup": 0.2,
            "cutmix": 0.5,
            "erase": 0.3,
        },
        evaluate={"every": 5, "images": 40},
    )


def folder(place: Path) -> ImageSpec:
    """Names that mean something in Python and templates, odd sizes, and a broken image."""
    for number, name in enumerate(CLASSES):
        for i in range(30):
            save(place / "images" / name / f"{i}.png", picture(40 * number + i, 40, 36 + i % 3))
    save(place / "images" / CLASSES[0] / "broken.png", b"no image")
    spec = shapes_spec(steps=4).model_dump(mode="json")
    source = {"kind": "imagefolder", "path": str(place / "images"), "validation_fraction": 0.2}
    model = {"variant": "atto", "image_size": 32, "drop_path": 0.3}
    return ImageSpec.model_validate(spec | {"data": {"sources": {"own": source}}, "model": model})


class Ejected:
    """A spec, its images and blueprint here, and its project: of a model smaller than any."""

    def __init__(self, place: Path, spec: ImageSpec) -> None:
        self.spec = spec
        self.data: PreparedImages = prepared(place, spec)
        blueprint = resolve_images(spec, self.data.facts)
        shape = replace(blueprint.shape, depths=(1, 1, 2, 1), widths=(8, 12, 16, 24))
        self.blueprint = replace(blueprint, shape=shape)
        self.folder = place / "project"
        self.files = project_files(spec, self.blueprint, spec_text="name: tiny\n")
        write_project(self.folder, self.files)

    @property
    def code(self) -> str:
        return "".join(self.files[name].decode() for name in self.files if name.endswith(".py"))

    def losses(self) -> list[str]:
        """What maquette's own training says of losses, as the project's does."""
        lines, steps = [], self.blueprint.train.steps
        for event in Training(self.blueprint, self.data, device="cpu").events():
            if isinstance(event, StepDone):
                lines.append(f"step {event.step}/{steps} loss {event.loss!r}")
            elif isinstance(event, Evaluated):
                accuracy = f"accuracy {event.accuracy:.2%}"
                lines.append(f"step {event.step}/{steps} validation loss {event.loss!r} {accuracy}")
        return lines


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ejected]:
    made = {}
    for make in (shapes, folder):
        place = tmp_path_factory.mktemp(make.__name__)
        made[make.__name__] = Ejected(place, make(place))
    return made


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run to look at."""
    return trained_classifier(tmp_path_factory.mktemp("base"))


def tuned_spec(base: Run) -> dict[str, Any]:
    spec: dict[str, Any] = json.loads(shapes_spec(steps=2).model_dump_json(exclude_unset=True))
    spec["train"] |= {"from": base.id, "layer_decay": 0.7}
    return spec


@pytest.fixture(scope="module")
def tuned(base: Run) -> Path:
    """The project of a training that begins from the run, beside its images."""
    place = base.path.parents[1]
    (place / "spec.yaml").write_text(json.dumps(tuned_spec(base)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAQUETTE_CACHE", str(place / "cache"))
        eject_spec(place / "spec.yaml", place / "project", Store(base.path.parent))
    return place / "project"


@pytest.fixture(scope="module")
def told(projects: dict[str, Ejected], tuned: Path) -> dict[str, str]:
    """What the projects' programs print."""
    drawn, own = projects["shapes"].folder, projects["folder"].folder
    images = own.parent / "images"
    (drawn.parent / "half.py").write_text(HALF)
    (drawn.parent / "logits.py").write_text(LOGITS)
    (drawn.parent / "own_tests.py").write_text(OWN_TESTS)
    some = images / CLASSES[0]
    classify = [str(some / "0.png"), str(some / "broken.png"), "--top", "2"]
    given = ["--data", str(images), "--steps", "1", "--out", "given"]
    programs = {
        "shapes": (drawn, "../half.py", []),
        "rest": (drawn, "train.py", ["--device", "cpu", "--resume"]),
        "folder": (own, "train.py", ["--device", "cpu"]),
        "eval": (drawn, "eval.py", ["--flip", "--split", "test"]),
        "classify": (own, "classify.py", classify),
        "logits": (drawn, "../logits.py", []),
        "tuned": (tuned, "train.py", ["--device", "cpu"]),
        "given": (drawn, "train.py", given),
        "eval given": (drawn, "eval.py", [*given[:2], "--weights", "given/weights.pt"]),
        "tests": (drawn, "../own_tests.py", []),
    }
    return dict(zip(programs, run_alone(*programs.values()), strict=True))


# Ctrl-C after step 9: the training ends there, with a checkpoint.
HALF = """
import os, signal, sys, train
tell = train.tell
def interrupt(event, steps):
    tell(event, steps)
    if event.step == 9 and isinstance(event, train.StepDone):
        os.kill(os.getpid(), signal.SIGINT)
train.tell = interrupt
sys.argv[1:] = ["--device", "cpu"]
train.main()
"""
# As whoever has pytest and nothing besides.
OWN_TESTS = """
import os, pytest
os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
print(pytest.main(["-q", "-p", "no:cacheprovider"]))
"""
LOGITS = """
import json, torch
from model import SHAPE, WEIGHTS, ConvNeXt, load_model
model = ConvNeXt(SHAPE).eval()
load_model(WEIGHTS, model)
logits, _ = model(torch.linspace(-1, 1, 2 * 3 * 32 * 32).view(2, 3, 32, 32))
print(json.dumps([list(model.state_dict()), [x.hex() for x in logits.flatten().tolist()]]))
"""


def steps(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("step ")]


@pytest.mark.parametrize("name", STEPS)
def test_it_repeats_the_losses_bit_for_bit(
    name: str, projects: dict[str, Ejected], told: dict[str, str]
) -> None:
    """Without a break, and with one."""
    found = steps(told[name])
    if name == "shapes":
        assert found[-1].startswith("step 9/20 ")
        found += (rest := steps(told["rest"]))
        assert rest[0].startswith("step 10/20 ")
    expected = projects[name].losses()
    assert len(expected) > STEPS[name]
    assert found == expected


def test_the_same_weights_give_the_same_logits(
    projects: dict[str, Ejected], told: dict[str, str]
) -> None:
    model = ConvNeXt(projects["shapes"].blueprint.shape).eval()
    names, logits = json.loads(told["logits"])
    assert names == list(model.state_dict())
    file = projects["shapes"].folder / "out" / "weights.pt"
    model.load_state_dict(torch.load(file, weights_only=True))
    expected, _ = model(torch.linspace(-1, 1, 2 * 3 * 32 * 32).view(2, 3, 32, 32))
    assert expected is not None
    assert [x.hex() for x in expected.flatten().tolist()] == logits


def test_its_own_tests_pass(told: dict[str, str]) -> None:
    assert "4 passed" in told["tests"], told["tests"]


def test_it_judges_and_classifies(told: dict[str, str]) -> None:
    assert "accuracy" in told["eval"].splitlines()[0]
    assert len(told["eval"].splitlines()) == 1 + 12
    line, end = told["classify"].rsplit("exit ", 1)
    assert end.strip() == "1"  # of the broken one
    assert any(name in line for name in CLASSES)
    assert "%" in line


def test_other_images_make_another_model(told: dict[str, str]) -> None:
    assert "left out 1 of 121 images of train" in told["given"]
    assert len(steps(told["given"])) == 3
    assert [name for name in CLASSES if f"{name}: " in told["eval given"]] == list(CLASSES)


def test_a_run_takes_its_weights_along(base: Run, tmp_path: Path) -> None:
    eject_run(base, tmp_path / "project")
    images = prepared(base.path.parents[1], shapes_spec())
    model = ConvNeXt(shape := resolve_images(shapes_spec(), images.facts).shape)
    assert shape.classes == 12
    model.load_state_dict(torch.load(tmp_path / "project" / "weights.pt", weights_only=True))


def test_a_project_has_only_what_it_needs(projects: dict[str, Ejected]) -> None:
    drawn, own = projects["shapes"].code, projects["folder"].code
    for word in ("posterize", "make_muon", "follow", "layer_scales"):
        assert (word in drawn) is (word not in ("layer_scales",))
    for word in ("posterize", "Muon", "layer_scales", "import pickle", "CIFAR"):
        assert word not in own
    for code in (drawn, own):
        for word in ("tokenizer", "GPT", "rotary", "parquet", "import maquette", "from maquette"):
            assert word not in code
    assert "pillow" in projects["shapes"].files["requirements.txt"].decode()


@pytest.mark.parametrize("name", STEPS)
def test_nothing_is_defined_twice_and_everything_is_used(
    name: str, projects: dict[str, Ejected]
) -> None:
    project = projects[name]
    defined: dict[str, str] = {}
    for file in project.files:
        if file.endswith(".py") and not file.startswith("tests/"):
            for node in ast.parse(project.files[file].decode()).body:
                if isinstance(node, ast.FunctionDef | ast.ClassDef):
                    if node.name not in ("main", "tell"):
                        assert node.name not in defined, (file, defined.get(node.name))
                    defined[node.name] = file
    for word in defined:
        assert project.code.count(word) > 1, word


def test_it_is_formatted_and_sound(projects: dict[str, Ejected]) -> None:
    folders = [str(project.folder) for project in projects.values()]
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", *folders],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_cifar_is_read_as_published(base: Run) -> None:
    """Its reader and nothing else; what was given for a path stays."""
    spec = shapes_spec().model_dump(mode="json")
    spec["data"]["sources"] = {"c": {"kind": "cifar100", "path": "somewhere"}}
    facts = prepared(base.path.parents[1], shapes_spec()).facts
    files = project_files(
        cifar := ImageSpec.model_validate(spec), resolve_images(cifar, facts), spec_text="{}"
    )
    assert b'CIFAR100,\n        path="somewhere",' in files["data.py"]
    assert b"CIFAR10 =" not in files["cifar.py"]
    assert b"pyarrow" not in files["cifar.py"]


def test_images_in_memory_are_those_of_the_cache(projects: dict[str, Ejected]) -> None:
    for project in projects.values():
        [(name, source)] = project.spec.data.sources.items()
        seed, size = project.blueprint.seed, project.data.facts.image_size
        read = read_images(open_images_source(name, source), size=size, seed=seed)
        assert list(read.classes) == list(project.data.facts.classes)
        assert {*read.images} == {*project.data.facts.splits}
        for split, images in read.images.items():
            kept = project.data.images(split)
            assert images.labels.tolist() == kept.labels.tolist()
            rows = range(len(images))
            assert torch.equal(images.batch(rows), kept.batch(rows))


def test_too_many_images_for_the_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maquette.data.image.collection.MOST_BYTES", 1 << 20)
    [(name, source)] = shapes_spec().data.sources.items()
    with pytest.raises(DataError, match="1,200 images of 32 x 32 pixels are more"):
        read_images(open_images_source(name, source), size=32, seed=0)


def test_fine_tuning_takes_the_weights_that_it_begins_from(
    base: Run, tuned: Path, told: dict[str, str]
) -> None:
    spec = inherit(ImageSpec.model_validate(tuned_spec(base)), Store(base.path.parent))
    assert spec.train.from_run == str(base.path)
    images = prepared(tuned.parent, spec)
    training = Training(resolve_images(spec, images.facts), images, device="cpu")
    training.begin_from(base.checkpoint("best").path)
    expected = [repr(e.loss) for e in training.events() if isinstance(e, StepDone)]
    found = [line.split()[-1] for line in steps(told["tuned"]) if "validation" not in line]
    assert found == expected
