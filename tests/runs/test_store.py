"""Runs on disk: made, found, listed, read when damaged, rewound, pruned, removed."""

import contextlib
import dataclasses
import json
import os
import shutil
import stat
import time
from pathlib import Path

import pytest

from maquette.errors import CheckpointError, RunError
from maquette.runs.process import describe, this_process
from maquette.runs.recorder import Recorder
from maquette.runs.store import Run, Store
from tests.faults.saving import save_in_between
from tests.runs.conftest import save, train


def steps(run: Run) -> list[int]:
    return [checkpoint.step for checkpoint in run.checkpoints()]


def damage(run: Run, step: int) -> None:
    path = run.checkpoints_path / f"step-{step:08d}" / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[500] ^= 1
    path.write_bytes(content)


def test_a_new_run_has_its_layout(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.umask(0o022)
    try:
        run = store.create("tiny", spec_text="name: tiny\n", command=["maquette", "train"])
    finally:
        os.umask(before)
    assert sorted(path.name for path in run.path.iterdir()) == [
        "checkpoints", "meta.json", "samples", "spec.yaml", "state.json", "worker.lock",
    ]  # fmt: skip
    assert stat.S_IMODE(run.path.stat().st_mode) == 0o755
    assert stat.S_IMODE(run.state_path.stat().st_mode) == 0o644
    assert run.id.startswith("tiny-")
    meta = json.loads((run.path / "meta.json").read_text())
    assert meta["id"] == run.id
    assert meta["command"] == ["maquette", "train"]
    assert meta["kind"] == "training"
    assert meta["versions"]["python"]
    assert meta["created"].endswith("Z")
    assert run.state().status == "queued"
    assert list(store.root.iterdir()) == [run.path]


def test_ids_are_unique_and_two_words_long(store: Store) -> None:
    ids = {store.create("a", spec_text="").id for _ in range(20)}
    assert len(ids) == 20
    assert all(len(i.split("-")) == 3 for i in ids)


def test_a_run_by_its_very_id_only(store: Store) -> None:
    run = store.create("a", spec_text="")
    inner = Store(run.path).create("b", spec_text="")
    found = store.get(run.id)
    assert found is not None
    assert found.path == run.path
    for name in (
        run.id[:-1],
        f"{run.id}/{inner.id}",
        f"{run.id}/",
        f"./{run.id}",
        f"../{store.root.name}/{run.id}",
        str(run.path),
        "..",
        ".",
        "",
        "a\0b",
        "a" * 300,
    ):
        assert store.get(name) is None
    with pytest.raises(RunError, match="no run"):
        store.find("a" * 300)


@pytest.mark.parametrize("git", [5, "main", ["main"], True])
def test_what_is_no_git_state_is_none(store: Store, git: object) -> None:
    run = store.create("a", spec_text="")
    meta = json.loads((run.path / "meta.json").read_text())
    (run.path / "meta.json").write_text(json.dumps({**meta, "git": git, "device": "mps"}))
    read = store.find(run.id).meta
    assert (read.git, read.device) == (None, "mps")


def test_where_runs_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MAQUETTE_RUNS", raising=False)
    assert Store().root == tmp_path / "runs"
    monkeypatch.setenv("MAQUETTE_RUNS", str(tmp_path / "elsewhere"))
    assert Store().root == tmp_path / "elsewhere"
    assert Store(tmp_path).root == tmp_path
    assert Store().list() == []


def test_an_unwritable_runs_folder(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file is in the way")
    with pytest.raises(RunError, match="can't create"):
        Store(tmp_path / "runs").create("tiny", spec_text="")
    with pytest.raises(RunError, match="can't read"):
        Store(tmp_path / "runs").list()


def test_finding(store: Store) -> None:
    with pytest.raises(RunError, match="no runs in"):
        store.find("latest")
    paths = []
    for index, name in enumerate(["a-red-fox", "a-red-owl", "b-old-oak", "b-old-oak-2"]):
        run = store.create("x", spec_text="")
        paths.append(run.path.rename(store.root / name))
        content = json.loads((paths[-1] / "meta.json").read_text())
        (paths[-1] / "meta.json").write_text(json.dumps({**content, "created_at": float(index)}))
    (store.root / "not-a-run").mkdir()
    assert [run.id for run in store.list()] == [
        "b-old-oak-2",
        "b-old-oak",
        "a-red-owl",
        "a-red-fox",
    ]
    assert store.find("b-old-oak").path == paths[2]
    assert store.find("a-red-f").path == paths[0]
    assert store.find("latest").path == paths[3]
    assert store.find(str(paths[1])).path == paths[1]
    with pytest.raises(RunError, match="'a-' could be a-red-owl, a-red-fox"):
        store.find("a-")
    with pytest.raises(RunError, match="no run 'a-red-fax'") as caught:
        store.find("a-red-fax")
    assert caught.value.hint is not None
    assert "a-red-fox" in caught.value.hint
    with pytest.raises(RunError, match="no run 'zzz'"):
        store.find("zzz")
    for odd in ("", ".", "..", "not-a-run"):
        with pytest.raises(RunError):
            store.find(odd)


def test_a_specs_whole_name_goes_before_beginnings(store: Store) -> None:
    def make(name: str) -> None:
        store.create("x", spec_text="").path.rename(store.root / name)

    for name in ("qa-amber-wave", "qa-tune-fresh-pine", "qa2-keen-owl", "qa-tune-more-red-fox"):
        make(name)
    assert store.find("qa").id == "qa-amber-wave"
    assert store.find("qa-tune").id == "qa-tune-fresh-pine"
    with pytest.raises(RunError, match="'q' could be"):
        store.find("q")
    make("qa-amber-wave-123456")
    with pytest.raises(RunError, match=r"'qa' could be .*qa-tune-fresh-pine"):
        store.find("qa")


def test_the_longer_id_of_a_name_counts_as_its_own(store: Store) -> None:
    for name in ("qa-amber-wave-123456", "qa-tune-fresh-pine"):
        store.create("x", spec_text="").path.rename(store.root / name)
    assert store.find("qa").id == "qa-amber-wave-123456"


def test_meta_that_cannot_be_read(run: Run) -> None:
    path = run.path / "meta.json"
    for content in ("", "[]", "{", '{"device": 3, "versions": null}'):
        path.write_text(content)
        meta = Run(run.path).meta
        assert meta.id == run.id
        assert meta.device == "auto"
        assert meta.created_at > 0


def test_state_that_cannot_be_read_is_rebuilt(run: Run) -> None:
    train(run)
    whole = run.state()
    for content in (None, "", "{", "\0\0\0", '{"status": "running"}'):
        if content is None:
            run.state_path.unlink()
        else:
            run.state_path.write_text(content)
        state = run.state()
        assert (state.status, state.step, state.best_step) == ("completed", 6, 4)
        assert state.train_loss == whole.train_loss
    run.metrics_path.unlink()
    assert run.state().status in ("queued", "lost")


def test_a_worker_that_is_gone_is_lost(run: Run) -> None:
    with contextlib.ExitStack() as stack:
        recorder = stack.enter_context(Recorder(run))
        assert run.state().status == "running"
        state = run.state_path.read_text()
        stack.pop_all()
        recorder._lock.release()
    assert run.state().status == "lost"
    assert run.stored_state().status == "running"
    with run.lock():  # somebody holds the lock, but it isn't the process that the state names
        run.state_path.write_text(state.replace('"pid": ', '"pid": 9'))
        assert run.state().status == "lost"
        run.state_path.write_text(state)
        assert run.state().status == "running"


def test_a_queued_run_is_lost_once_nobody_is_there_to_begin_on_it(run: Run) -> None:
    maker = this_process()
    assert run.state().status == "queued"
    run.lock_path.write_text(describe(dataclasses.replace(maker, started="1")))
    assert run.state().status == "lost"
    with run.lock():  # whoever starts a worker holds the lock for it
        assert run.state().status == "queued"
    run.lock_path.write_text("")
    assert run.state().status == "lost"


def test_a_queued_run_of_another_machine_has_a_minute(run: Run) -> None:
    there = dataclasses.replace(this_process(), boot="another", host="elsewhere")
    run.lock_path.write_text(describe(there))
    assert run.state().status == "queued"
    for hour in (-3600, 3600):  # or a clock that was set back
        meta = json.loads((run.path / "meta.json").read_text())
        meta["created_at"] = time.time() + hour
        (run.path / "meta.json").write_text(json.dumps(meta))
        assert Run(run.path).state().status == "lost"


def test_what_a_person_types_to_name_a_run(
    run: Run, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAQUETTE_RUNS", raising=False)
    monkeypatch.chdir(store.root.parent)
    assert run.name == run.id
    monkeypatch.chdir("/")
    assert run.name == str(run.path)
    monkeypatch.setenv("MAQUETTE_RUNS", str(store.root))
    assert run.name == run.id
    assert Run(Path("/my runs/a")).name == "'/my runs/a'"


def test_checkpoints(run: Run) -> None:
    with pytest.raises(CheckpointError, match="has no checkpoint"):
        run.checkpoint()
    train(run)
    assert [(c.step, c.best) for c in run.checkpoints()] == [(2, True), (4, True), (6, False)]
    assert run.checkpoint("latest").step == 6
    assert run.checkpoint("best").step == 4
    assert run.checkpoint(2).step == run.checkpoint("2").step == 2
    assert (run.checkpoints_path / "latest").read_text() == "step-00000006\n"
    assert (run.checkpoints_path / "best").read_text() == "step-00000004\n"
    with pytest.raises(CheckpointError, match="no checkpoint of step 3") as caught:
        run.checkpoint(3)
    assert "2, 4, 6" in str(caught.value.hint)


def test_hints_do_not_decide(run: Run) -> None:
    train(run)
    (run.checkpoints_path / "latest").write_text("step-00000002")
    (run.checkpoints_path / "best").unlink()
    assert run.checkpoint("latest").step == 6
    assert run.checkpoint("best").step == 4


def test_damaged_checkpoints_give_way(run: Run) -> None:
    train(run)
    damage(run, 6)
    found = run.checkpoint()
    assert found.step == 4
    assert "step-00000006" in found.passed_over[0]
    with pytest.raises(CheckpointError, match="checksum differs"):
        run.checkpoint(6)
    damage(run, 4)
    assert run.checkpoint("best").step == 2
    shutil.rmtree(run.checkpoints_path / "step-00000002")
    with pytest.raises(CheckpointError, match=r"step-00000006.*damaged.*; .*step-00000004"):
        run.checkpoint()


def test_without_evaluations_the_latest_is_the_best(run: Run) -> None:
    save(run, 1)
    save(run, 2)
    assert run.checkpoint("best").step == 2


def test_of_a_damaged_one_that_was_asked_for_nothing_is_said_of_the_others(run: Run) -> None:
    train(run)
    (run.checkpoint(6).path / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(CheckpointError, match="step-00000006") as caught:
        run.checkpoint(6)
    assert caught.value.hint == "`latest` in its place is the newest one that is sound"
    assert run.checkpoint("latest").step == 4


def test_a_checkpoint_of_the_same_step_is_replaced(run: Run) -> None:
    save(run, 1)
    damage(run, 1)
    save(run, 1, best=True)
    assert run.checkpoint("best").step == 1


def test_pruning_keeps_the_best_and_two_sound_ones(run: Run) -> None:
    for number in range(1, 8):
        save(run, number, best=number == 2)
    assert run.prune(keep=3) == [4, 3, 1]
    assert steps(run) == [2, 5, 6, 7]
    fresh = Run(run.path)
    damage(fresh, 7)
    damage(fresh, 6)
    assert fresh.prune(keep=1) == []  # 2 and 5 are all that is sound
    assert steps(run) == [2, 5, 6, 7]
    save(fresh, 8)
    assert fresh.prune(keep=1) == []
    save(fresh, 9)
    assert fresh.prune(keep=1) == [7, 6, 5]
    assert steps(run) == [2, 8, 9]


def test_pruning_keeps_two_that_outlast_a_power_cut(run: Run) -> None:
    for number in range(1, 4):
        save(run, number)
    for number in range(4, 9):
        save_in_between(run, number)
        run.prune(keep=1)
    assert steps(run) == [2, 3, 7, 8]
    assert run.checkpoint("latest").step == 8
    fresh = Run(run.path)
    damage(fresh, 3)  # what is damaged stays, and doesn't count
    save(fresh, 9)
    assert fresh.prune(keep=1) == [7]
    assert steps(run) == [2, 3, 8, 9]


def test_one_in_between_never_waits_for_the_disk(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    save_in_between(run, 1)
    assert synced == []
    assert run.checkpoint("latest").step == 1  # for everybody who reads, and after a kill
    save(run, 2)
    assert len(synced) >= 4


def test_pruning_never_removes_the_last_two_sound_ones(run: Run) -> None:
    for number in range(1, 5):
        save(run, number)
    damage(run, 4)  # by the run's own process it had been found right
    damage(run, 3)
    assert run.prune(keep=1) == []
    assert run.checkpoint().step == 2
    save(run, 5)
    assert run.prune(keep=1) == [1]
    damage(run, 5)
    assert run.checkpoint().step == 2


def test_rewinding_keeps_what_it_takes_aside(run: Run) -> None:
    train(run)
    rows = run.metrics_path.read_text().splitlines()
    run.rewind(4)
    kept = run.metrics_path.read_text().splitlines()
    aside = (run.path / "metrics-aside.jsonl").read_text().splitlines()
    assert kept + aside == rows
    assert max(json.loads(row)["step"] for row in kept) == 4
    assert min(json.loads(row)["step"] for row in aside) == 5
    assert steps(run) == [2, 4]
    assert (run.checkpoints_path / "aside" / "step-00000006" / "manifest.json").exists()
    run.rewind(4)
    assert run.metrics_path.read_text().splitlines() == kept


def test_removing(store: Store, run: Run) -> None:
    with run.lock(), pytest.raises(RunError, match="being worked on"):
        Run(run.path).remove()
    assert run.path.exists()
    run.remove()
    assert list(store.root.iterdir()) == []


def test_the_end_of_the_log(run: Run) -> None:
    assert run.log_tail() == []
    run.log_path.write_text("".join(f"line {i}\n" for i in range(5000)))
    assert run.log_tail(2) == ["line 4998", "line 4999"]


def test_a_step_may_be_written_as_its_folder_has_it(run: Run) -> None:
    train(run, last=4)
    assert (
        run.checkpoint("00000002").step == run.checkpoint("2").step == run.checkpoint(2).step == 2
    )
    with pytest.raises(CheckpointError, match="no checkpoint of step 0"):
        run.checkpoint("0")


@pytest.mark.parametrize("created_at", ["1e300", "-1.0", "NaN", "Infinity"])
def test_a_time_that_no_calendar_has_is_none(run: Run, created_at: str) -> None:
    path = run.path / "meta.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "created_at": 0.5}).replace("0.5", created_at))
    read = Run(run.path).meta
    assert abs(read.created_at - time.time()) < 3600, "that of the folder instead"
    assert read.to_json()["created"].startswith("20")
