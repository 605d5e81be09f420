from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from maquette.cli import main
from maquette.runs.store import Run
from tests.codegen.alone import run_alone
from tests.trained import trained_run

SPEC = """
name: plays
model: {depth: 1, width: 16, heads: 2, context: 16}
data: {sources: {plays: {kind: files, path: texts/*.txt}}}
train: {steps: 5}
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAQUETTE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MAQUETTE_RUNS", raising=False)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return trained_run(tmp_path)


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    (tmp_path / "sub" / "texts").mkdir(parents=True)
    (tmp_path / "sub" / "texts" / "a.txt").write_text("to be or not to be\n" * 99)
    (tmp_path / "sub" / "plays.yaml").write_text(SPEC)
    return tmp_path / "sub" / "plays.yaml"


def call(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main([*arguments])
    out, err = capfd.readouterr()
    return code, out, err


def test_a_run_is_ejected_with_its_weights_and_says_the_same(
    run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, out, err = call(capfd, "eject", run.name, "-o", "mine")
    assert (code, out) == (0, "mine\n")
    assert "python train.py" in err
    weights = torch.load(tmp_path / "mine" / "weights.pt", weights_only=True)
    saved = load_file(run.checkpoint("best").path / "model.safetensors")
    assert all(torch.equal(weights[name], tensor) for name, tensor in saved.items())
    asked = ["--prompt", "the cat", "--max-new-tokens", "20", "--seed", "1", "--device", "cpu"]
    same = ["--temperature", "0.8", "--top-k", "20"]
    _, written, _ = call(capfd, "generate", run.name, *asked, *same)
    _, judged, _ = call(capfd, "eval", run.name, "--device", "cpu", "--split", "test", "--json")
    project = tmp_path / "mine"
    generated, evaluated = run_alone(
        (project, "generate.py", [*asked, *same]), (project, "eval.py", ["--split", "test"])
    )
    assert generated == written
    assert f"{_loss(judged):.4f}" in evaluated.splitlines()[-1]


def _loss(text: str) -> float:
    import json

    found = json.loads(text)
    together: dict[str, float] = found.get("together", found)
    return together["loss"]


def test_weights_are_the_same_bytes_every_time(
    run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for folder in ("one", "two"):
        assert main(["eject", run.id, "-o", folder, "--checkpoint", "latest"]) == 0
    files = [
        {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}
        for folder in (tmp_path / "one", tmp_path / "two")
    ]
    assert files[0] == files[1]


def test_paths_stay_as_the_spec_has_them(
    spec: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert call(capfd, "eject", str(spec), "-o", "mine")[0] == 0
    for file in (tmp_path / "mine").rglob("*"):
        assert file.is_dir() or str(tmp_path).encode() not in file.read_bytes(), file
    assert '"texts/*.txt"' in (tmp_path / "mine" / "data.py").read_text()
    assert (tmp_path / "mine" / "spec.yaml").read_text() == SPEC
    assert not (tmp_path / "mine" / "weights.pt").exists()


def test_a_folder_in_use_is_refused(
    spec: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert call(capfd, "eject", str(spec), "-o", "mine")[0] == 0
    code, out, err = call(capfd, "eject", str(spec), "-o", "mine")
    assert (code, out) == (2, "")
    assert "mine isn't empty" in err
    assert call(capfd, "eject", str(spec), "-o", "mine", "--force")[0] == 0
    (tmp_path / "mine" / "train.py").write_text("# mine now\n")
    code, _, err = call(capfd, "eject", str(spec), "-o", "mine", "--force")
    assert code == 2
    assert "train.py: changed since" in err
    assert (tmp_path / "mine" / "train.py").read_text() == "# mine now\n"


def test_what_is_neither_spec_nor_run_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capfd, "eject", "nothing", "-o", "mine")
    assert (code, out) == (1, "")
    assert "no runs" in err
    code, out, err = call(capfd, "eject", "nothing.yaml", "-o", "mine")
    assert (code, out) == (2, "")
    assert "nothing.yaml: there is no such file" in err
    assert not Path("mine").exists()


def test_a_folder_in_use_is_refused_before_the_data_is_looked_at(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plays.yaml").write_text(SPEC)  # its texts aren't there
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "mine.txt").write_text("mine")
    code, out, err = call(capfd, "eject", "plays.yaml", "-o", "used")
    assert (code, out) == (2, "")
    assert "used isn't empty" in err


def test_what_to_type_next_can_be_typed(
    spec: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, out, err = call(capfd, "eject", str(spec), "-o", "my plays")
    assert (code, out) == (0, "my plays\n")
    assert "cd 'my plays' && python" in err
