"""`maquette plan --on`: a spec on a cluster that isn't here."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import psutil
import pytest

from maquette.blueprint.blueprint import Blueprint
from maquette.blueprint.resolve import resolve
from maquette.cli import here, main
from maquette.cli.rehearsal import law_fails
from maquette.facts import DataFacts, SplitFacts
from maquette.spec.schema import Spec
from maquette.training import device

_GPT = (
    "--set=tokenizer={kind: bpe, vocabulary: 300}",
    "--set=data.sources={stories: {kind: stories, stories: 200}}",
    "--set=model.depth=8",
    "--set=model.width=1024",
    "--set=model.heads=16",
    "--set=model.context=1024",
    "--set=train.batch_size=256",
)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAQUETTE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "100")


def test_a_plan_for_a_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    options = (*_GPT, "--set=train.steps=20000")
    assert main(["plan", "llama", *options, "--on", "h100x64"]) == 0
    shown = capsys.readouterr().out
    for words in (
        "NVIDIA H100 SXM, 8 servers",
        "micro-batch",
        "half recomputed",
        "  or ",
        "of the dense bf16 rate",
        "at the rate of Llama 3's training",
        "$2.95 a device and hour",
        "1.8172 + 482.01 / N^0.3478 + 2085.43 / D^0.3658",
        "for as many operations",
        "ends higher",  # 200 stories are few for so many tokens
    ):
        assert words in shown
    layout = next(line for line in shown.splitlines() if line.startswith("layout "))
    assert re.match(r"layout {,24}\S.*: ", layout)  # a narrow terminal has room for the sentence


def test_the_plan_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "llama", *_GPT, "--set=train.steps=10", "--on", "a100x8", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    told, blueprint = content["rehearsal"], content["blueprint"]
    assert told["cluster"] == {"name": "a100x8", "count": 8, "device": "NVIDIA A100 SXM 80 GB"}
    layout = told["layout"]
    devices = layout["data"] * layout["tensor"] * layout["pipeline"]
    assert devices == 8
    assert layout["data"] * layout["micro_batch"] * layout["accumulation"] == 256
    assert layout["micro_batch"] <= told["largest_micro_batch"]
    parts = sum(value for name, value in told["memory"].items() if name != "total")
    assert told["memory"]["total"] == pytest.approx(parts)
    assert told["seconds"] * told["step"]["tokens_per_second"] == pytest.approx(
        blueprint["train"]["tokens"]
    )
    for row in told["alternatives"]:
        assert sum(row["memory"].values()) == pytest.approx(row["memory_bytes"])
    kinds = [row["layout"] for row in told["alternatives"]]
    assert "FSDP 8" in kinds or layout["name"] == "FSDP 8"
    assert len(kinds) == len(set(kinds)) == 7  # DDP or FSDP, TP or not, PP or not, less this
    assert told["final_loss"] is None  # 2.6M tokens: no scaling law says anything of that


def test_images_on_a_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--set=data.sources={shapes: {kind: shapes, images: 1000}}"]
    assert main(["plan", "shapes", *small, "--on", "rtx4090"]) == 0
    shown = capsys.readouterr().out
    assert "images/s" in shown
    assert "nats" not in shown


def test_the_law_says_nothing_of_what_it_was_not_fitted_to() -> None:
    words = SplitFacts(1, 10_000, 40_000)
    facts = DataFacts(300, {"stories": {"train": words, "validation": words}})
    spec = Spec.model_validate({"name": "a", "tokenizer": {"kind": "bpe", "vocabulary": 300}})
    blueprint = resolve(spec, facts)

    def changed(**train: Any) -> Blueprint:
        plan = dataclasses.replace(blueprint.train, **{"tokens": 10**9, **train})
        return dataclasses.replace(blueprint, parameters={"total": 10**8}, train=plan)

    assert law_fails(changed()) == ""
    assert "70M" in law_fails(changed(tokens=10**7))
    assert "pretraining" in law_fails(changed(objective="chat"))
    assert "bytes" in law_fails(dataclasses.replace(changed(), tokenizer="bytes"))


@pytest.mark.parametrize(
    ("on", "told"),
    [
        ("h10x8", "did you mean h100"),
        ("h100x0", "write it like h100x64"),
        ("abacus", "there are a100-40, a100, h100"),
    ],
)
def test_unknown_hardware_is_told_before_anything_is_prepared(
    on: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "llama", "--on", on]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert "preparing" not in error


def test_a_model_that_fits_nowhere_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    huge = ("--set=model.depth=100", "--set=model.width=16384", "--set=model.heads=128")
    assert main(["plan", "llama", *_GPT, *huge, "--on", "rtx4090x2"]) == 2
    assert "don't fit on rtx4090x2" in capsys.readouterr().err


def test_this_machine_is_measured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With rates that are told to it, the time is theirs by hand."""
    matrix, bytes_per_second = 1e12, 1e11
    monkeypatch.setattr(device, "measure_rate", lambda *_: matrix)
    monkeypatch.setattr(here, "_bytes_per_second", lambda _: bytes_per_second)
    assert main(["plan", "stories", *_GPT, "--on", "This", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    told, blueprint = content["rehearsal"], content["blueprint"]
    assert told["cluster"]["name"] == "this"
    assert told["cluster"]["count"] == 1
    assert (told["kwh"], told["dollars"]) == (None, None)
    assert told["step"]["mfu"] < 0.9
    flops = blueprint["costs"]["flops"] / blueprint["train"]["steps"]
    least = flops / matrix
    assert least < told["step"]["seconds"] < 5 * least
    resident = psutil.Process().memory_info().rss
    state = 16 * blueprint["parameters"]["total"]
    assert told["memory"]["total"] > resident / 2 + state
    assert main(["plan", "stories", *_GPT, "--on", "this"]) == 0
    shown = capsys.readouterr().out
    assert "one device" in shown
    assert "kWh" not in shown


def test_nothing_measured_is_promised_for_several(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "stories", "--on", "thisx4"]) == 2
    assert "this" in capsys.readouterr().err
