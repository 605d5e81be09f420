import resource
from pathlib import Path

import pytest
import torch

from maquette.errors import CheckpointError
from maquette.training.weights import read_file, write_file


def test_a_full_disk_is_told_of_and_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    write_file(file, {"a": torch.ones(3)})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(CheckpointError, match=r"weights\.pt can't be written"):
            write_file(file, {"a": torch.ones(30_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert read_file(file)["a"].tolist() == [1, 1, 1]
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_in_the_place_of_the_folder_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(CheckpointError, match="can't be written"):
        write_file(tmp_path / "out" / "weights.pt", {})
