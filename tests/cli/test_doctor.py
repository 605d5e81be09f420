"""doctor: the report has everything, and tells what is missing."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from maquette.cli import doctor, main


@pytest.fixture
def report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Any:
    from maquette.training import device

    monkeypatch.setattr(device, "measure_rates", lambda *_, **__: {"float32": 2e11, "bf16": 1e9})
    monkeypatch.setenv("MAQUETTE_CACHE", str(tmp_path / "not" / "there" / "yet"))
    assert main(["doctor", "--json", "--runs-dir", str(tmp_path)]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_report(report: Any, tmp_path: Path) -> None:
    assert report["versions"]["torch"].startswith(torch.__version__.partition("+")[0])
    assert report["flops_per_second"] == {"float32": 2e11, "bf16": 1e9}
    assert report["cpu"]["model"]
    assert 1 <= report["cpu"]["threads"] <= (os.cpu_count() or 1)
    assert report["memory"]["total_bytes"] > 2**28
    assert report["disk"]["runs"] == {
        "path": str(tmp_path),
        "free_bytes": report["disk"]["runs"]["free_bytes"],
        "writable": True,
    }
    assert report["disk"]["cache"]["free_bytes"] > 0
    names = {entry["name"].partition(":")[0]: entry["usable"] for entry in report["devices"]}
    assert names["cpu"] is True
    assert names["cuda"] is torch.cuda.is_available()
    assert report["precision"] in ("float32", "bf16", "fp16")


def test_the_rows_and_problems(report: Any) -> None:
    rows = dict(doctor._rows(report))
    assert "float32 200 GFLOP/s" in rows["matrix products"]
    report["compile"] = {"works": False, "why_not": "no C++ compiler was found"}
    report["disk"]["runs"]["writable"] = False
    report["disk"]["cache"]["free_bytes"] = 1000
    problems = doctor._problems(report)
    assert len(problems) == 3
    assert "no C++ compiler was found" in problems[0]
    assert "can't be written" in problems[1]
    assert "only 1000 B are free" in problems[2]
