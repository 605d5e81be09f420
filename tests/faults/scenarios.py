"""What is done to a disk while the power may go, and what must be true of all that is found."""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from maquette.errors import MaquetteError
from maquette.events import CheckpointDue, CheckpointSaved, Started, StepDone, to_row
from maquette.runs import durable
from maquette.runs.manifest import MANIFEST, verify_folder
from maquette.runs.recorder import Recorder
from maquette.runs.store import Run, Store
from tests.faults.crash_states import Site, Tape, crash_states, materialise
from tests.faults.saving import Mark, save, save_and_prune, save_in_between


@dataclass(frozen=True)
class Scenario:
    """`prepare` a folder, `act` on it while it is recorded, `check` each state with its marks.

    A check fails by an AssertionError, or by whatever the code under test raises.
    """

    prepare: Callable[[Path], object]
    act: Callable[[Path, Mark], object]
    check: Callable[[Path, frozenset[str]], object]


def record(scenario: Scenario, folder: Path, *, skip: Site | None = None) -> Tape:
    """Carry a scenario out in a new folder."""
    folder.mkdir()
    with mock.patch.object(os, "fsync"):
        scenario.prepare(folder)
    tape = Tape(folder, skip=skip)
    with tape.recording() as mark:
        scenario.act(folder, mark)
    return tape


def violations(scenario: Scenario, tape: Tape, folder: Path) -> Iterator[str | None]:
    """For each state that a power cut may leave: what is wrong with it, or None."""
    for number, (tree, marks) in enumerate(crash_states(tape)):
        place = folder / str(number)
        place.mkdir(parents=True)
        materialise(tree, place)
        found = None
        try:
            with mock.patch.object(os, "fsync"):
                scenario.check(place, marks)
        except (AssertionError, MaquetteError, OSError, LookupError, ValueError) as error:
            after = ", ".join(sorted(marks)) or "nothing promised"
            found = f"{type(error).__name__}: {error} ({after}; {tree})"
        yield found


def make_run(folder: Path, *, steps: tuple[int, ...] = ()) -> Run:
    """A run in `folder`/run with checkpoints of these steps, the first of them the best."""
    run = Run(folder / "run")
    run.path.mkdir()
    (run.path / "spec.yaml").write_text("name: tiny\n")
    durable.write_json(run.path / "meta.json", {"id": "run", "created_at": 1.0, "device": "cpu"})
    run.checkpoints_path.mkdir()
    run.samples_path.mkdir()
    with durable.Appender(run.metrics_path) as rows:
        for step in range(1, (steps or (0,))[-1] + 1):
            rows.append(_row(step))
    for step in steps:
        save(run, step, best=step == steps[0])
    return run


def _row(step: int) -> dict[str, object]:
    return to_row(StepDone(step, 0.1, 1, 2.0, 0.1, 1.0, 0.1))


def _sound(run: Run, latest: set[int]) -> None:
    """The run is readable, each checkpoint is whole, and the latest is one of these steps.

    And the next save works.
    """
    run.state()
    list(run.events())
    for entry in run.checkpoints_path.glob("step-*"):
        verify_folder(entry)
    assert run.checkpoint("latest").step in latest
    assert run.checkpoint("best").best
    for name in ("latest", "best"):
        hint = (run.checkpoints_path / name).read_text()
        assert (run.checkpoints_path / hint.strip() / MANIFEST).exists(), (name, hint)
    durable.clear_temporaries(run.checkpoints_path)
    save(run, 90)
    run.prune(1)
    assert Run(run.path).checkpoint("latest").step == 90
    assert len(run.checkpoints()) >= 2
    assert not list(run.checkpoints_path.glob(".tmp-*"))


def check_saved(folder: Path, marks: frozenset[str]) -> None:
    """What must be true while step 6 is being saved, and after it is."""
    run = Run(folder / "run")
    found = {checkpoint.step for checkpoint in run.checkpoints()}
    assert 4 in found, "the second sound one is gone"
    assert "saved" in marks or 2 in found
    assert "pruned" not in marks or 2 not in found
    if "saved" in marks:
        assert (run.checkpoints_path / "latest").read_text() == "step-00000006\n"
    _sound(run, {6} if "saved" in marks else {4, 6})


def _first_save(folder: Path, mark: Mark) -> None:
    save(Run(folder / "run"), 1)
    mark("saved")


def _check_first_save(folder: Path, marks: frozenset[str]) -> None:
    run = Run(folder / "run")
    with contextlib.suppress(FileNotFoundError):
        for entry in run.checkpoints_path.glob("step-*"):
            verify_folder(entry)
    assert "saved" not in marks or run.checkpoint().step == 1
    durable.make_folder(run.checkpoints_path)
    durable.clear_temporaries(run.checkpoints_path)
    save(run, 2)
    assert run.checkpoint().step == 2


def _save_in_between(folder: Path, mark: Mark) -> None:
    run = Run(folder / "run")
    save_in_between(run, 6)
    mark("saved")
    assert run.prune(1) == []  # 2 and 4 last


def _check_saved_in_between(folder: Path, marks: frozenset[str]) -> None:
    """Whatever became of it, those that last are there, and the next save works."""
    run = Run(folder / "run")
    assert run.checkpoint("latest").step in {4, 6}
    for step in (2, 4):
        verify_folder(run.checkpoints_path / f"step-0000000{step}")
    assert run.checkpoint("best").best
    durable.clear_temporaries(run.checkpoints_path)
    save(run, 90)
    run.prune(1)
    assert Run(run.path).checkpoint("latest").step == 90


def _damage_the_last(folder: Path) -> None:
    run = make_run(folder, steps=(2, 4))
    (run.checkpoints_path / "step-00000004" / "model.safetensors").write_bytes(b"no")


def _save_again(folder: Path, mark: Mark) -> None:
    save(Run(folder / "run"), 4)
    mark("saved")


def _check_saved_again(folder: Path, marks: frozenset[str]) -> None:
    run = Run(folder / "run")
    assert run.checkpoint("latest").step in ({4} if "saved" in marks else {2, 4})
    place = run.checkpoints_path / "step-00000004"
    if place.exists() and (place / "model.safetensors").read_bytes() != b"no":
        verify_folder(place)


def _work(folder: Path, mark: Mark) -> None:
    """A worker's life from its lock to a checkpoint, over a run that has one of step 2."""
    run = Run(folder / "run")
    with Recorder(run) as recorder:
        recorder.begin(steps=9, tokens_per_step=1, after_step=2)
        recorder.record(Started(2, 9, 1, "cpu", "float32", False))
        recorder.record(StepDone(3, 0.3, 3, 2.0, 0.1, 1.0, 0.1))
        recorder.record(CheckpointDue(3, False))
        save(run, 3)
        mark("saved")
        recorder.record(CheckpointSaved(3, False, 1, 0.1))
    mark("stopped")


def _check_work(folder: Path, marks: frozenset[str]) -> None:
    run = Run(folder / "run")
    step = run.checkpoint("latest").step
    assert step in ({3} if "saved" in marks else {2, 3})
    rows = [event.step for _, event in run.events() if isinstance(event, StepDone)]
    assert rows[:step] == list(range(1, step + 1)), "a checkpoint without the rows before it"
    status = run.state().status
    assert status == "stopped" if "stopped" in marks else status in ("queued", "lost", "stopped")
    with Recorder(run) as recorder:
        recorder.begin(steps=9, tokens_per_step=1, after_step=step)
    assert [event.step for _, event in run.events() if isinstance(event, StepDone)] == rows[:step]


def _rewind(folder: Path, mark: Mark) -> None:
    Run(folder / "run").rewind(2)
    mark("rewound")


def _check_rewound(folder: Path, marks: frozenset[str]) -> None:
    run = Run(folder / "run")
    latest = run.checkpoint("latest").step
    kept = [row["step"] for row in durable.read_rows(run.metrics_path)]
    aside = [row["step"] for row in durable.read_rows(run.path / "metrics-aside.jsonl")]
    assert kept[:latest] == list(range(1, latest + 1)), "a checkpoint without the rows before it"
    assert {*kept, *aside} == set(range(1, 7)), "rows are lost"
    checkpoints = {*run.checkpoints_path.glob("step-*")} | {
        *run.checkpoints_path.glob("aside/step-*")
    }
    assert len(checkpoints) == 3
    for checkpoint in checkpoints:
        verify_folder(checkpoint)
    if "rewound" in marks:
        assert latest == 2
        assert kept == [1, 2]
    run.rewind(latest)
    assert [row["step"] for row in durable.read_rows(run.metrics_path)] == kept[:latest]


def _create(folder: Path, mark: Mark) -> None:
    Store(folder / "home" / "runs").create("tiny", spec_text="name: tiny\n", blueprint_text="{}\n")
    mark("created")


def _check_created(folder: Path, marks: frozenset[str]) -> None:
    store = Store(folder / "home" / "runs")
    names = [path.name for path in store.root.glob("[!.]*")]
    assert len(names) == 1 if "created" in marks else len(names) <= 1
    for name in names:
        run = store.find(name)
        assert run.meta.versions
        assert run.spec_path.read_text() == "name: tiny\n"
        assert run.blueprint_path.read_text() == "{}\n"
        assert '"queued"' in run.state_path.read_text()
        assert run.stored_state().history
        assert run.checkpoints_path.is_dir()
        assert run.samples_path.is_dir()


def _remove(folder: Path, mark: Mark) -> None:
    Run(folder / "run").remove()
    mark("removed")


def _check_removed(folder: Path, marks: frozenset[str]) -> None:
    run = Run(folder / "run")
    assert not run.path.exists() or "removed" not in marks
    if run.path.exists():
        assert sorted(path.name for path in run.path.iterdir() if path != run.lock_path) == [
            "checkpoints", "meta.json", "metrics.jsonl", "samples", "spec.yaml",
        ]  # fmt: skip
        assert run.meta.device == "cpu"
        assert [checkpoint.step for checkpoint in run.checkpoints()] == [2]


def _replace(folder: Path, mark: Mark) -> None:
    durable.write_text(folder / "state.json", "new content\n")
    mark("written")
    durable.write_text(folder / "fresh.json", "first content\n")
    mark("fresh")
    durable.write_file(folder / "whole.json", lambda path: bool(path.write_text("by another\n")))
    mark("whole")


def _check_replaced(folder: Path, marks: frozenset[str]) -> None:
    def text(name: str) -> str | None:
        return (folder / name).read_text() if (folder / name).exists() else None

    assert text("state.json") in ({"new content\n"} | (set() if "written" in marks else {"old\n"}))
    assert text("fresh.json") in ({"first content\n"} | (set() if "fresh" in marks else {None}))
    assert text("whole.json") in ({"by another\n"} | (set() if "whole" in marks else {None}))


def _append(folder: Path, mark: Mark) -> None:
    with durable.Appender(folder / "rows.jsonl") as rows:
        for number in (2, 3):
            rows.append({"row": number})
        rows.flush(sync=True)
        mark("synced")
        rows.append({"row": 4})


def _append_to_the_killed_ones(folder: Path, mark: Mark) -> None:
    (folder / "rows.jsonl").touch()  # and no sync
    _append(folder, mark)


def _check_appended(folder: Path, marks: frozenset[str], *, had: int) -> None:
    path = folder / "rows.jsonl"
    found = [row["row"] for row in durable.read_rows(path)]
    everything = list(range(2 - had, 5))
    assert found == everything[: len(found)]
    assert len(found) >= (had + 2 if "synced" in marks else had)
    with durable.Appender(path) as rows:
        rows.append({"row": 9})
    assert [row["row"] for row in durable.read_rows(path)] == [*found, 9]
    rows_left = "".join(f'{{"row": {row}}}\n' for row in [*found, 9])
    assert path.read_text() == rows_left, "something torn is left"


SCENARIOS = {
    "save and prune": Scenario(
        lambda folder: make_run(folder, steps=(2, 4)), save_and_prune, check_saved
    ),
    "save the first": Scenario(
        lambda folder: make_run(folder).checkpoints_path.rmdir(), _first_save, _check_first_save
    ),
    "save over a damaged one": Scenario(_damage_the_last, _save_again, _check_saved_again),
    "rewind": Scenario(lambda folder: make_run(folder, steps=(2, 4, 6)), _rewind, _check_rewound),
    "create a run": Scenario(lambda folder: None, _create, _check_created),
    "remove a run": Scenario(lambda folder: make_run(folder, steps=(2,)), _remove, _check_removed),
    "replace files": Scenario(
        lambda folder: (folder / "state.json").write_text("old\n"), _replace, _check_replaced
    ),
    "append to nothing": Scenario(
        lambda folder: None,
        _append,
        lambda folder, marks: _check_appended(folder, marks, had=0),
    ),
    "append to what a killed one made": Scenario(
        lambda folder: None,
        _append_to_the_killed_ones,
        lambda folder, marks: _check_appended(folder, marks, had=0),
    ),
    "append to a torn file": Scenario(
        lambda folder: (folder / "rows.jsonl").write_text('{"row": 1}\n{"row": 2, "lo'),
        _append,
        lambda folder, marks: _check_appended(folder, marks, had=1),
    ),
    "work": Scenario(lambda folder: make_run(folder, steps=(2,)), _work, _check_work),
    "save in between": Scenario(
        lambda folder: make_run(folder, steps=(2, 4)), _save_in_between, _check_saved_in_between
    ),
}
