"""What becomes of a run whose worker can't begin."""

from pathlib import Path

import pytest

from maquette.errors import RunError
from maquette.runs.process import is_held
from maquette.runs.store import Store
from maquette.worker import queue_folder, work


def test_a_run_that_finds_no_place_in_the_queue_has_failed_for_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAQUETTE_CACHE", str(tmp_path / "cache" / "data"))
    run = Store(tmp_path / "runs").create("tiny", spec_text="")
    queue_folder().parent.parent.mkdir(parents=True)
    queue_folder().parent.write_text("a file is in the way")
    with pytest.raises(RunError, match="can't create") as caught:
        next(work(run))
    state = run.state()
    assert [change.status for change in state.history] == ["queued", "failed"]
    assert state.error is not None
    assert state.error.message == caught.value.message
    assert not is_held(run.lock_path)
