import io
import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from maquette.cli import main
from maquette.runs.store import Run
from tests.trained import trained_run


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAQUETTE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MAQUETTE_RUNS", raising=False)
    return trained_run(tmp_path)


Captured = pytest.CaptureFixture[str]


def call(capfd: Captured, *arguments: str) -> tuple[int, str, str]:
    code = main([*arguments, "--device", "cpu"])
    out, err = capfd.readouterr()
    return code, out, err


def test_generate_prints_the_prompt_and_what_follows(run: Run, capfd: Captured) -> None:
    base = ("generate", run.id, "--prompt", "the cat", "--max-new-tokens", "20", "--seed", "1")
    code, out, err = call(capfd, *base)
    assert (code, err) == (0, "")
    assert out.startswith("the cat")
    assert out.endswith("\n")
    assert call(capfd, *base) == (0, out, "")
    code, alone, _ = call(capfd, *base, "--no-echo")
    assert "the cat" + alone == out
    code, text, _ = call(capfd, *base, "--json")
    found = json.loads(text)
    assert found == {
        "run": run.id,
        "step": 2,
        "seed": 1,
        "prompt": "the cat",
        "text": alone.removesuffix("\n"),
    }
    again = call(capfd, *base, "--json", "--temperature", "0", "--checkpoint", "latest")
    assert json.loads(again[1])["step"] == 3


def test_generate_without_a_seed_tells_the_one_it_took(run: Run, capfd: Captured) -> None:
    base = ("generate", "latest", "--max-new-tokens", "20", "--json")
    first = json.loads(call(capfd, *base)[1])
    again = json.loads(call(capfd, *base, "--seed", str(first["seed"]))[1])
    assert again["text"] == first["text"]


def test_generate_stops_before_a_stop_text(run: Run, capfd: Captured) -> None:
    base = ("generate", run.id, "--max-new-tokens", "40", "--seed", "1", "--json", "--top-k", "20")
    text = json.loads(call(capfd, *base)[1])["text"]
    stop = text[5:7]
    cut = json.loads(call(capfd, *base, "--stop", stop, "--stop", "never there")[1])["text"]
    assert cut == text[: text.index(stop)]


def test_generate_reads_a_prompt_from_a_file_or_stdin(
    run: Run, tmp_path: Path, capfd: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "prompt.txt").write_text("the dog\nran\n", encoding="utf-8")
    base = ("generate", run.id, "--max-new-tokens", "3", "--seed", "1", "--json")
    found = json.loads(call(capfd, *base, "--prompt-file", "prompt.txt")[1])
    assert found["prompt"] == "the dog\nran"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"the dog\r\n")))
    assert json.loads(call(capfd, *base, "--prompt-file", "-")[1])["prompt"] == "the dog"


@pytest.mark.parametrize(
    ("arguments", "code", "parts"),
    [
        (["--top-p", "2"], 2, ["--top-p 2.0 must be above 0, 1 at most"]),
        (["--min-p", "-1"], 2, ["--min-p -1.0 must be 0 to 1"]),
        (["--repetition-penalty", "0"], 2, ["--repetition-penalty 0.0 must be above 0"]),
        (["--temperature", "-1"], 2, ["--temperature"]),
        (["--seed", str(2**63)], 2, ["--seed"]),
        (["--stop", ""], 2, ["--stop"]),
        (["--prompt", "a", "--prompt-file", "b"], 2, ["--prompt-file"]),
        (["--prompt", "a\udcff"], 2, ["--prompt is not UTF-8"]),
        (["--prompt-file", "gone.txt"], 1, ["gone.txt", "no such file"]),
        (["--prompt-file", "binary"], 1, ["binary: byte 1 is not UTF-8"]),
        (["--checkpoint", "77"], 1, ["no checkpoint of step 77", "step 1, 2, 3"]),
        (["--checkpoint", "newest"], 1, ["newest"]),
    ],
)
def test_generate_says_what_is_wrong(
    run: Run, tmp_path: Path, capfd: Captured, arguments: list[str], code: int, parts: list[str]
) -> None:
    (tmp_path / "binary").write_bytes(b"a\xff")
    found, out, err = call(capfd, "generate", run.id, *arguments)
    assert (found, out) == (code, "")
    assert err.startswith("error: ")
    assert all(part in err for part in parts)


@pytest.mark.parametrize("command", ["generate", "eval"])
def test_a_run_that_is_not_there_or_has_no_checkpoint(
    run: Run, capfd: Captured, command: str
) -> None:
    code, _, err = call(capfd, command, "nobody")
    assert code == 1
    assert "there is no run 'nobody'" in err
    for folder in run.checkpoints_path.glob("step-*"):
        folder.rename(run.path / folder.name)
    code, _, err = call(capfd, command, run.id)
    assert code == 1
    assert "no checkpoint" in err


@pytest.mark.parametrize("command", ["generate", "eval"])
def test_a_damaged_checkpoint_is_passed_over_aloud_or_refused(
    run: Run, capfd: Captured, command: str
) -> None:
    file = run.path / "checkpoints" / "step-00000003" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    code, out, err = call(capfd, command, run.id, "--checkpoint", "latest")
    assert (code, bool(out)) == (0, True)
    assert "warning: " in err
    assert "using step 2" in err
    code, out, err = call(capfd, command, run.id, "--checkpoint", "3")
    assert (code, out) == (1, "")
    assert "model.safetensors" in err


def test_broken_weights_are_an_error_and_no_text(run: Run, capfd: Captured) -> None:
    def fill(folder: Path) -> None:
        weights = load_file(run.checkpoint(3).path / "model.safetensors")
        broken = {name: torch.full_like(w, torch.nan) for name, w in weights.items()}
        save_file(broken, folder / "model.safetensors")

    run.commit_checkpoint(4, fill, best=True)
    code, out, err = call(capfd, "generate", run.id)
    assert (code, out) == (1, "")
    assert "weights of step 4 are broken" in err


def test_eval_tells_each_source_and_all(run: Run, capfd: Captured) -> None:
    code, out, err = call(capfd, "eval", run.id, "--split", "test")
    assert code == 0
    assert f"{run.id}, step 2, test split" in err
    lines = out.splitlines()
    assert " ".join(lines[0].split()) == "source loss perplexity bits per byte tokens bytes"
    assert [line.split()[0] for line in lines[1:]] == ["first", "second", "all"]
    code, out, _ = call(capfd, "eval", run.id, "--split", "test", "--json", "--stride", "8")
    found = json.loads(out)
    assert (found["run"], found["step"], found["split"]) == (run.id, 2, "test")
    parts = found["sources"]
    assert found["tokens"] == parts["first"]["tokens"] + parts["second"]["tokens"]
    nats = sum(part["loss"] * part["tokens"] for part in parts.values())
    assert found["loss"] == pytest.approx(nats / found["tokens"])
    assert found["word_perplexity"] is None


def test_eval_refuses_data_that_has_changed(run: Run, tmp_path: Path, capfd: Captured) -> None:
    (tmp_path / "first-train.txt").write_text("other text " * 50, encoding="utf-8")
    code, out, err = call(capfd, "eval", run.id)
    assert (code, out) == (1, "")
    assert "has changed" in err
