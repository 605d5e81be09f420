"""Budgets on the command line: --size, --depth, --set, and what plan says of them."""

import json
from pathlib import Path

import pytest
import torch

from maquette.cli import main
from maquette.reading import RESOLVED, read_blueprint, run_spec
from maquette.runs.store import Store
from maquette.spec.budget import budget
from maquette.spec.dump import to_yaml
from maquette.spec.load import load_spec, parse_spec
from maquette.spec.schema import Spec
from maquette.training import device
from tests.training.tiny import tiny_spec

Output = pytest.CaptureFixture[str]
SMALL = ["--set", "data.sources.stories.stories=100"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def rates(_: torch.device, budget_seconds: float = 1.5) -> dict[str, float]:
        return {"float32": 1e11, "bf16": 4e10, "fp16": 4e10}

    monkeypatch.setattr(device, "measure_rates", rates)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAQUETTE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MAQUETTE_RUNS", str(tmp_path / "runs"))


def test_plan_says_why(capsys: Output) -> None:
    assert main(["plan", "stories", "--size", "tiny", "--json", *SMALL]) == 0
    plan = json.loads(capsys.readouterr().out)
    shape = plan["blueprint"]["shape"]
    assert abs(plan["blueprint"]["parameters"]["total"] / 1e6 - 1) <= 0.03
    chosen = {choice["key"]: choice for choice in plan["choices"]}
    assert chosen["model.depth"]["value"] == shape["depth"]
    assert chosen["model.parameters"]["why"].startswith("model.size=tiny, 1.00M")
    assert "passes over the text" in chosen["train.steps"]["why"]
    assert main(["plan", "stories", "--size", "tiny", *SMALL]) == 0
    shown = capsys.readouterr().out
    for choice in plan["choices"]:
        assert choice["why"] in shown


def test_plan_resolved_is_the_same_plan(capsys: Output) -> None:
    asked = ["--set", "model.minutes=0.1", *SMALL]
    assert main(["plan", "stories", "--json", *asked]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["estimate"]["seconds"] <= 6
    assert main(["plan", "stories", "--resolved", *asked]) == 0
    Path("resolved.yaml").write_text(capsys.readouterr().out)
    assert main(["plan", "resolved.yaml", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["blueprint"] == plan["blueprint"]
    assert again["choices"] == []


def test_a_depth_chooses_everything_else(capsys: Output) -> None:
    assert main(["plan", "stories", "--depth", "3", "--json", *SMALL]) == 0
    shape = json.loads(capsys.readouterr().out)["blueprint"]["shape"]
    assert (shape["depth"], shape["width"]) == (3, 128)
    assert main(["plan", "stories", "--depth", "3", "--size", "tiny", "--json", *SMALL]) == 0
    plan = json.loads(capsys.readouterr().out)["blueprint"]
    assert plan["shape"]["depth"] == 3
    assert abs(plan["parameters"]["total"] / 1e6 - 1) <= 0.03


def test_the_command_line_replaces_what_a_file_says() -> None:
    spec = load_spec("stories", ["train.steps=7", "model.size=small"])
    assert isinstance(spec, Spec)
    assert budget(spec) == {"size": "small"}
    assert "depth" not in spec.model.model_fields_set
    assert "vocabulary" not in spec.tokenizer.model_fields_set
    assert "learning_rate" not in spec.train.model_fields_set
    assert spec.train.steps == 7  # another option's
    assert spec.model.context == 192  # nothing that a budget chooses
    text = "model: {parameters: 3M, depth: 4}"
    for override, left in (("model.parameters=5M", 5_000_000), ("model.size=small", None)):
        changed = parse_spec(text, origin="a", overrides=[override])
        assert getattr(changed.model, "parameters", None) == left
        assert "depth" not in changed.model.model_fields_set
    same = parse_spec(text, origin="a", overrides=["model.parameters=null"])
    assert "depth" in same.model.model_fields_set


def test_check_tells_the_budget(capsys: Output) -> None:
    assert main(["check", "stories", "--size", "large"]) == 0
    assert "large, sources stories; `maquette plan` says" in capsys.readouterr().out
    Path("a.yaml").write_text("model: {memory: 2GiB, latency: 20ms, minutes: 3}\n")
    assert main(["check", "a.yaml"]) == 0
    assert "2.00 GiB of memory, 0.02s a token, 3 minutes" in capsys.readouterr().out
    Path("b.yaml").write_text("model:\n  parameters: ten\n")
    assert main(["check", "b.yaml"]) == 2
    assert "b.yaml:2: model.parameters: 'ten' is not a number" in capsys.readouterr().err


@pytest.mark.parametrize("how", [[], ["--detach"]])
def test_train_keeps_what_was_chosen(
    how: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    from maquette.cli import train

    spec = tiny_spec(tmp_path, steps=3).model_dump(exclude_unset=True)
    for key in ("depth", "width", "heads"):
        del spec["model"][key]
    spec["model"]["parameters"] = 20_000
    Path("a.yaml").write_text(to_yaml(Spec.model_validate(spec)))
    if how:  # the worker works here
        from maquette.worker import work

        monkeypatch.setattr(train, "_start", lambda run, **_: list(work(run)))
    assert main(["train", "a.yaml", "--device", "cpu", *how]) == 0
    run = Store().find("latest")
    assert "parameters: 20000" in run.spec_path.read_text()
    resolved = load_spec(run.path / RESOLVED)
    assert resolved == run_spec(run)
    assert not budget(resolved)
    total = read_blueprint(run).parameters["total"]
    assert abs(total / 20_000 - 1) <= 0.03
    assert run.state().status == "completed"
    capsys.readouterr()
    assert main(["plan", str(run.path / RESOLVED), "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["blueprint"]["parameters"]["total"] == total
    assert plan["choices"] == []


def test_a_run_with_a_budget_is_extended_and_begun_from(tmp_path: Path, capsys: Output) -> None:
    spec = tiny_spec(tmp_path, steps=3).model_dump(exclude_unset=True)
    spec["model"] = {"context": 16, "parameters": 20_000}
    Path("a.yaml").write_text(to_yaml(Spec.model_validate(spec)))
    assert main(["train", "a.yaml", "--device", "cpu"]) == 0
    first = Store().find("latest")
    assert main(["resume", first.id, "--more-steps", "2"]) == 0
    assert first.state().step == 5
    Path("b.yaml").write_text(
        f"name: second\ndata: {json.dumps(spec['data'])}\ntrain: {{from: {first.id}, steps: 2}}\n"
    )
    assert main(["train", "b.yaml", "--device", "cpu"]) == 0
    second = Store().find("latest")
    assert read_blueprint(second).shape == read_blueprint(first).shape
    capsys.readouterr()
    assert main(["train", "b.yaml", "--size", "tiny"]) == 2
    assert "model.size=tiny chooses dimensions" in capsys.readouterr().err
