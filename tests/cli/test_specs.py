import json
from pathlib import Path

import pytest
import torch

from maquette.cli import main
from maquette.errors import UsageError
from maquette.spec.load import load_spec
from maquette.spec.starter import SCHEMA_FILE, starter_text
from maquette.training import device


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAQUETTE_CACHE", str(tmp_path / "cache"))


def test_new_writes_a_sound_commented_spec(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "notes-chat"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "notes-chat.yaml\n"
    assert "maquette plan notes-chat.yaml" in shown.err
    text = Path("notes-chat.yaml").read_text()
    assert text.startswith(f"# yaml-language-server: $schema={SCHEMA_FILE}\n")
    assert load_spec("notes-chat.yaml").name == "notes-chat"
    assert json.loads(Path(SCHEMA_FILE).read_text())["title"] == "A spec of maquette"
    assert main(["check", "notes-chat.yaml"]) == 0
    assert capsys.readouterr().out.startswith("notes-chat.yaml: ok (")


def test_new_copies_a_preset(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "mine", "--preset", "llama"]) == 0
    assert load_spec("mine.yaml") == load_spec("llama", ["name=mine"])
    assert main(["new", "other", "--preset", "lama"]) == 2
    assert "did you mean llama?" in capsys.readouterr().err
    assert not Path("other.yaml").exists()


def test_new_overwrites_nothing_unasked(capsys: pytest.CaptureFixture[str]) -> None:
    Path("my-model.yaml").write_text("name: precious\n")
    Path(SCHEMA_FILE).write_text("{}")
    assert main(["new"]) == 2
    assert "my-model.yaml is there already" in capsys.readouterr().err
    assert Path("my-model.yaml").read_text() == "name: precious\n"
    assert main(["new", "--force"]) == 0
    assert load_spec("my-model.yaml").name == "my-model"
    assert Path(SCHEMA_FILE).read_text() == "{}"


@pytest.mark.parametrize("name", ["My Model", "9lives", "-x", "a" * 65, "é"])
def test_new_refuses_names_that_cannot_become_paths(name: str) -> None:
    with pytest.raises(UsageError, match="can't name a model"):
        starter_text(name)


def test_new_needs_its_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "specs/a"]) == 2
    assert "there is no folder specs" in capsys.readouterr().err
    Path("specs").mkdir()
    assert main(["new", "specs/a.yaml"]) == 0
    assert Path("specs/a.yaml").exists()


def test_check_tells_every_error_and_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.yaml").write_text("seed: x\nmodel:\n  heads: 0\n")
    assert main(["check", "a.yaml", "--set", "train.steps=abc"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "a.yaml:1: seed=x" in shown.err
    assert "a.yaml:3: model.heads=0" in shown.err
    assert "--set train.steps=abc: train.steps=abc must be a whole number" in shown.err
    assert main(["check", "missing.yaml"]) == 2


def test_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    train = schema["$defs"]["Train"]["properties"]
    assert train["learning_rate"]["description"] == "Peak learning rate."
    assert {kind["$ref"] for kind in schema["anyOf"]} == {"#/$defs/Spec", "#/$defs/ImageSpec"}
    assert all(part["additionalProperties"] is False for part in schema["$defs"].values())


@pytest.fixture
def _known_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    def rates(_: torch.device, budget_seconds: float = 1.5) -> dict[str, float]:
        return {"float32": 1e11, "bf16": 4e10, "fp16": 4e10}

    monkeypatch.setattr(device, "measure_rates", rates)


SMALL = ["--set", "data.sources.stories.stories=100", "--set", "train.steps=50"]


@pytest.mark.usefixtures("_known_rate")
def test_plan_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "stories", "--json", *SMALL, "--set", "train.precision=float32"]) == 0
    plan = json.loads(capsys.readouterr().out)
    blueprint, estimate = plan["blueprint"], plan["estimate"]
    assert blueprint["train"]["steps"] == 50
    assert estimate["precision"] == "float32"
    assert estimate["seconds"] == pytest.approx(blueprint["costs"]["flops"] / (1e11 * 0.5))
    assert estimate["disk_bytes"] == 4 * blueprint["costs"]["checkpoint_bytes"]
    assert plan["data"]["reused"] is False
    main(["plan", "stories", "--json", *SMALL])
    assert json.loads(capsys.readouterr().out)["data"]["reused"] is True


@pytest.mark.usefixtures("_known_rate")
def test_plan_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "stories", *SMALL, "--json"]) == 0
    total = json.loads(capsys.readouterr().out)["blueprint"]["parameters"]["total"]
    assert main(["plan", "stories", *SMALL]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    for words in ("parameters", f"{total:,}", "steps", "memory", "disk", "50% of the 100 GFLOP/s"):
        assert words in shown


def test_plan_of_a_context_longer_than_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    Path("short.txt").write_text("A short text.\n" * 20)
    Path("a.yaml").write_text("data: {sources: {mine: {kind: files, path: short.txt}}}\n")
    assert main(["plan", "a.yaml"]) == 2
    shown = capsys.readouterr().err
    assert "source mine" in shown or "validation text" in shown
    assert "try model.context=" in shown
