from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from maquette.errors import CheckpointError, DamagedError, DataError, DeviceError, RunError
from maquette.loading import load_run_model
from maquette.tokenizers.bpe import train_bpe
from tests.trained import trained_run


@pytest.mark.parametrize(("which", "step"), [("best", 2), ("latest", 3), (1, 1), ("1", 1)], ids=str)
def test_the_model_has_the_weights_of_the_checkpoint(
    tmp_path: Path, which: int | str, step: int
) -> None:
    run = trained_run(tmp_path)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    model, tokenizer, blueprint = load_run_model(run, checkpoint=which, device="cpu")
    assert torch.equal(torch.get_rng_state(), state)
    assert not model.training
    assert tokenizer.kind == "bytes"
    assert model.shape == blueprint.shape
    saved = load_file(run.path / "checkpoints" / f"step-{step:08d}" / "model.safetensors")
    for name, p in model.named_parameters():
        assert torch.equal(p, saved[name]), name


def test_a_damaged_checkpoint_is_found_out(tmp_path: Path) -> None:
    run = trained_run(tmp_path)
    file = run.path / "checkpoints" / "step-00000003" / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-5] ^= 1
    file.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"step-00000003.*model\.safetensors"):
        load_run_model(run, checkpoint=3, device="cpu")
    found = run.checkpoint("latest")
    assert found.step == 2
    assert "model.safetensors" in found.passed_over[0]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    run = trained_run(tmp_path, steps=(1,), best=1)
    with pytest.raises(CheckpointError, match="no checkpoint of step 7"):
        load_run_model(run, checkpoint=7, device="cpu")
    with pytest.raises(DeviceError, match="toaster"):
        load_run_model(run, device="toaster")
    run.tokenizer_path.unlink()
    with pytest.raises(DataError, match=r"tokenizer\.json"):
        load_run_model(run, device="cpu")
    train_bpe(["some text, some more text, some text"], 262).save(run.tokenizer_path)
    with pytest.raises(DamagedError, match=r"262 ids.* 256"):
        load_run_model(run, device="cpu")
    run.blueprint_path.unlink()
    with pytest.raises(RunError, match=r"blueprint\.json"):
        load_run_model(run, device="cpu")
