import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from maquette.training import compilation

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _compiler_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "compiler_missing", lambda device: None)


@pytest.mark.parametrize(
    ("wanted", "seconds", "expected"),
    [("auto", 20.0, False), ("auto", 36000.0, True), (True, 1.0, True), (False, 1e9, False)],
)
def test_compiles_where_it_pays_or_was_asked_for(
    wanted: Any, seconds: float, expected: bool
) -> None:
    decision, reason = compilation.decide(
        wanted, device=CPU, precision="float32", eager_seconds=seconds
    )
    assert decision is expected
    assert reason.startswith(f"compile: {'yes' if expected else 'no'}")


def test_a_missing_compiler_is_a_word_and_not_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CXX", raising=False)
    decision, reason = compilation.decide(True, device=CPU, precision="bf16", eager_seconds=1e9)
    assert not decision
    assert "no C++ compiler" in reason


@pytest.mark.skipif(sys.platform == "win32", reason="compilers are asked elsewhere")
def test_a_compiler_that_cannot_compile_is_as_good_as_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.undo()
    broken = tmp_path / "broken++"
    broken.write_text("#!/bin/sh\necho '<stdin>:1: fatal error: Python.h: gone' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    decision, reason = compilation.decide(True, device=CPU, precision="bf16", eager_seconds=1e9)
    assert not decision
    assert "Python.h: gone" in reason


def test_a_short_run_asks_for_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "compiler_missing", lambda _: pytest.fail("asked"))
    assert not compilation.decide("auto", device=CPU, precision="bf16", eager_seconds=1.0)[0]


def test_each_kind_of_block_is_compiled_by_itself() -> None:
    def decided(graphs: int) -> bool:
        return compilation.decide(
            "auto", device=CPU, precision="bf16", eager_seconds=1500.0, graphs=graphs
        )[0]

    assert decided(1)
    assert not decided(4)
