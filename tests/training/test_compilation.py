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
