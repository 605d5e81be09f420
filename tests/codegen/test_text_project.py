"""What is ejected trains, judges and writes as maquette does, and does it alone."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from maquette.blueprint.blueprint import Blueprint
from maquette.blueprint.resolve import resolve
from maquette.build import Training
from maquette.codegen.folder import write_project
from maquette.data.prepare import Prepared
from maquette.ejecting import project_files
from maquette.events import Evaluated, StepDone
from maquette.models.gpt import GPT
from maquette.spec.schema import Spec
from tests.codegen.alone import run_alone
from tests.training.tiny import prepared, tiny_spec

STEPS = 20
NOTES = {
    "one.md": "# One\n\nA [[link]] and **more** of it.\n" * 9,
    "two.md": "- an outline\n  - of *lines*\n" * 9,
    "three.md": "Plain.\n" * 30,
}


def bytes_spec(folder: Path) -> Spec:
    train = {"optimizer": {"kind": "muon"}, "average": 0.9, "evaluate": {"every": 6, "windows": 4}}
    schedule = {"warmup_steps": 3}
    model = {"norm": "layer", "mlp": "relu2"}
    return tiny_spec(folder, model=model, steps=STEPS, schedule=schedule, **train)


def bpe_spec(folder: Path) -> Spec:
    model = {"position": "learned", "mlp": "gelu", "bias": True, "dropout": 0.1}
    spec = tiny_spec(folder, model=model, steps=STEPS, accumulation=2).model_dump()
    return Spec.model_validate(spec | {"tokenizer": {"kind": "bpe", "vocabulary": 280}})


def mixture_spec(folder: Path) -> Spec:
    notes = folder / "notes"
    notes.mkdir()
    for name, text in NOTES.items():
        (notes / name).write_text(text)
    sources = {
        "notes": {"kind": "notes", "path": str(notes), "weight": 0.5},
        "primer": {"kind": "dialogues", "weight": 0.3},
        "stories": {"kind": "stories", "stories": 100, "weight": 0.2},
    }
    model = {"kv_heads": 1, "qk_norm": True, "tie_embeddings": False}
    spec = tiny_spec(folder, model=model, steps=STEPS).model_dump()
    return Spec.model_validate(spec | {"data": {"sources": sources}})


SPECS = {"bytes": bytes_spec, "bpe": bpe_spec, "mixture": mixture_spec}


class Ejected:
    """A spec, its data and blueprint here, and its project."""

    def __init__(self, place: Path, spec: Spec) -> None:
        self.spec = spec
        self.data: Prepared = prepared(place, spec)
        self.blueprint: Blueprint = resolve(spec, self.data.facts)
        self.folder = place / "project"
        self.files = project_files(spec, self.blueprint, spec_text="name: tiny\n")
        write_project(self.folder, self.files)

    def text(self, file: str) -> str:
        return self.files[file].decode()

    @property
    def code(self) -> str:
        return "".join(self.text(name) for name in self.files if name.endswith(".py"))

    def losses(self) -> list[str]:
        """What maquette's own training says of losses, as the project's does."""
        lines = []
        for event in Training(self.blueprint, self.data, device="cpu").events():
            if isinstance(event, StepDone):
                lines.append(f"step {event.step}/{STEPS} loss {event.loss!r}")
            elif isinstance(event, Evaluated):
                lines.append(f"step {event.step}/{STEPS} validation loss {event.loss!r}")
        return lines


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ejected]:
    made = {}
    for name, make in SPECS.items():
        place = tmp_path_factory.mktemp(name)
        made[name] = Ejected(place, make(place))
    return made


@pytest.fixture(scope="module")
def told(projects: dict[str, Ejected]) -> dict[str, str]:
    """What the projects' programs print."""
    folders = {name: project.folder for name, project in projects.items()}
    resumed = folders["bytes"].parent / "resumed"
    over = folders["bytes"].parent / "over"
    over.mkdir()
    torch.save({"of": "an earlier training"}, over / "weights.pt")
    programs = {
        **{name: (folder, "train.py", ["--device", "cpu"]) for name, folder in folders.items()},
        "half": (folders["bytes"], "../half.py", [str(resumed), "9"]),
        "rest": (folders["bytes"], "train.py", ["--out", str(resumed), "--resume"]),
        "over": (folders["bytes"], "../half.py", [str(over), "2"]),
        "few steps": (folders["bytes"], "train.py", ["--steps", "2", "--out", "few"]),
        **{
            " ".join(wrong): (folders["bytes"], program, wrong)
            for program, found in MISTAKES.items()
            for wrong, _, _ in found
        },
        "eval": (folders["bytes"], "eval.py", []),
        "eval bpe": (folders["bpe"], "eval.py", ["--split", "train"]),
        "eval nothing": (folders["bytes"], "eval.py", ["--weights", "nowhere.pt"]),
        "short": (folders["bytes"], "train.py", ["--data", str(resumed.parent / "short.txt")]),
        "other text": (folders["mixture"], "train.py", ["--data", "../text.txt", "--steps", "2"]),
        "generate": (folders["bpe"], "generate.py", ["--prompt", "the", "--max-new-tokens", "5"]),
        "tests": (folders["bpe"], "../own_tests.py", []),
        "logits": (folders["bytes"], "../logits.py", []),
    }
    (resumed.parent / "half.py").write_text(HALF)
    (resumed.parent / "short.txt").write_text("a few\nwords")
    (resumed.parent / "logits.py").write_text(LOGITS)
    (folders["bpe"].parent / "own_tests.py").write_text(OWN_TESTS)
    return dict(zip(programs, run_alone(*programs.values()), strict=True))


# What is typed -> how the program ends, and what it says.
MISTAKES: dict[str, list[tuple[list[str], int, str]]] = {
    "train.py": [
        (["--batch-size", "0"], 2, "invalid count value: '0'"),
        (["--steps", "-1"], 2, "invalid count value: '-1'"),
        (["--learning-rate", "nan"], 2, "invalid rate value: 'nan'"),
        (["--device", "abacus"], 2, "error: --device 'abacus' is not a device"),
        (["--out", "model.py"], 1, "error: model.py: File exists"),
        (["--resume", "--out", "nowhere"], 1, "checkpoint.pt: no such file"),
        (["--data", "nowhere.txt"], 1, "nowhere.txt: no such file"),
    ],
    "generate.py": [
        (["--max-new-tokens", "0"], 2, "invalid count value: '0'"),
        (["--temperature", "-1"], 2, "temperature=-1.0 must be"),
    ],
    "eval.py": [(["--split", "nothing"], 2, "there are train, validation")],
}

# Ctrl-C after a step: the training ends there, with a checkpoint.
HALF = """
import os, signal, sys, train
tell = train.tell
def interrupt(event, steps):
    tell(event, steps)
    if event.step == last and isinstance(event, train.StepDone):
        os.kill(os.getpid(), signal.SIGINT)
train.tell = interrupt
last = int(sys.argv[2])
sys.argv[1:] = ["--out", sys.argv[1]]
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
from model import GPT, SHAPE, WEIGHTS, load_model
model = GPT(SHAPE).eval()
load_model(WEIGHTS, model)
logits, _ = model(torch.arange(20)[None, :16])
print(json.dumps([list(model.state_dict()), [x.hex() for x in logits.flatten().tolist()]]))
"""


def steps(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("step ")]


@pytest.mark.parametrize("name", SPECS)
def test_it_repeats_the_losses_bit_for_bit(
    name: str, projects: dict[str, Ejected], told: dict[str, str]
) -> None:
    expected = projects[name].losses()
    assert len(expected) > STEPS
    assert steps(told[name]) == expected


def test_a_resumed_training_repeats_it_too(told: dict[str, str]) -> None:
    first, second = steps(told["half"]), steps(told["rest"])
    assert [line.split()[1] for line in first][-1] == "9/20"
    assert next(line.split()[1] for line in second) == "10/20"
    assert first + second == steps(told["bytes"])


@pytest.mark.parametrize(
    ("typed", "code", "said"), [mistake for found in MISTAKES.values() for mistake in found]
)
def test_mistakes_are_told_without_a_traceback(
    typed: list[str], code: int, said: str, told: dict[str, str]
) -> None:
    output = told[" ".join(typed)]
    assert said in output
    assert output.endswith(f"exit {code}\n")
    assert "Traceback" not in output


def test_a_short_training_warms_up_no_longer_than_it_takes(told: dict[str, str]) -> None:
    assert [line.split()[1] for line in steps(told["few steps"]) if "validation" not in line] == [
        "1/2",
        "2/2",
    ]


def test_weights_of_an_earlier_training_give_way(
    projects: dict[str, Ejected], told: dict[str, str]
) -> None:
    assert steps(told["over"])[-1].startswith("step 2/")
    over = projects["bytes"].folder.parent / "over"
    kept = torch.load(over / "weights.pt", weights_only=True)
    average = torch.load(over / "checkpoint.pt", weights_only=True)["average"]
    assert kept.keys() == average.keys()
    assert all(torch.equal(kept[name], average[name]) for name in kept)


def test_the_same_weights_give_the_same_logits(
    projects: dict[str, Ejected], told: dict[str, str]
) -> None:
    model = GPT(projects["bytes"].blueprint.shape).eval()
    names, logits = json.loads(told["logits"])
    assert names == list(model.state_dict())
    file = projects["bytes"].folder / "out" / "weights.pt"
    model.load_state_dict(torch.load(file, weights_only=True))
    expected, _ = model(torch.arange(20)[None, :16])
    assert expected is not None
    assert [x.hex() for x in expected.flatten().tolist()] == logits


def test_eval_and_generate_use_what_was_trained(
    projects: dict[str, Ejected], told: dict[str, str]
) -> None:
    best = min(float(line.split()[-1]) for line in steps(told["bytes"]) if "validation" in line)
    word, loss = told["eval"].split(",")[0].split(": loss ")
    assert word == "text"
    assert float(loss) == pytest.approx(best, abs=0.2)  # of all windows, not of a few
    assert "bits per byte" in told["eval bpe"]
    assert told["generate"].startswith("the")
    assert len(told["generate"]) > 4
    assert "nowhere.pt: no such file" in told["eval nothing"]


def test_other_text_can_be_given(told: dict[str, str]) -> None:
    assert len([line for line in steps(told["other text"]) if "validation" not in line]) == 2
    assert "error: text has" in told["short"]
    assert "give it more text" in told["short"]


def test_its_own_tests_pass(told: dict[str, str]) -> None:
    assert "4 passed" in told["tests"], told["tests"]


def test_a_project_has_only_what_it_needs(projects: dict[str, Ejected]) -> None:
    rope, learned = projects["bytes"].code, projects["bpe"].code
    for word in ("RotaryPositions", "relu2", "Muon", "BytesTokenizer"):
        assert word in rope
        assert word not in learned.replace('"relu2"', "")
    for word in ("LearnedPositions", "gelu", "BPETokenizer", "import tokenizers"):
        assert (word in learned) or word == "import tokenizers"
        assert word not in rope.replace('"gelu"', "")
    assert "turn_mask" in projects["mixture"].code
    for code in (rope, learned):
        for word in ("turn_mask", "Notes", "ConvNeXt", "Image", "Pillow", "PIL", "convolution"):
            assert word not in code
    for project in projects.values():
        assert "import maquette" not in project.code
        assert "from maquette" not in project.code
    assert "tokenizers" in projects["bpe"].text("requirements.txt")
    assert "tokenizers" not in projects["bytes"].text("requirements.txt")


@pytest.mark.parametrize("name", SPECS)
def test_nothing_is_defined_twice_and_everything_is_used(
    name: str, projects: dict[str, Ejected]
) -> None:
    project = projects[name]
    defined: dict[str, str] = {}
    for file in project.files:
        if file.endswith(".py") and not file.startswith("tests/"):
            for node in ast.parse(project.text(file)).body:
                if isinstance(node, ast.FunctionDef | ast.ClassDef):
                    if node.name not in ("main", "tell"):
                        assert node.name not in defined, (file, defined.get(node.name))
                    defined[node.name] = file
    for word in defined:
        assert project.code.count(word) > 1, word


def test_the_same_spec_gives_the_same_bytes(projects: dict[str, Ejected]) -> None:
    for project in projects.values():
        again = project_files(project.spec, project.blueprint, spec_text="name: tiny\n")
        assert again == project.files


def test_it_is_formatted_and_sound(projects: dict[str, Ejected]) -> None:
    pytest.importorskip("ruff")
    folders = [str(project.folder) for project in projects.values()]
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", *folders],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_file_names_its_origin(projects: dict[str, Ejected]) -> None:
    blueprint: dict[str, Any] = json.loads(projects["bytes"].text("blueprint.json"))
    assert blueprint["name"] == "tiny"
    for file in projects["bytes"].files:
        if file.endswith(".py") and not file.startswith("tests/"):
            assert "Made by `maquette eject` (maquette " in projects["bytes"].text(file), file
