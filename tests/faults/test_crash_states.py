"""Whatever moment the power goes: the old or the new, and every fsync is needed for that."""

import ast
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from maquette.runs import durable, store, tail
from tests.faults.crash_states import SYNCING, Site, Tape, Tree, crash_states
from tests.faults.scenarios import SCENARIOS, record, violations


def sync_calls() -> set[Site]:
    """Every line that syncs in the modules that write, read from their source."""
    sites = set()
    for module in (durable, store, tail):
        path = Path(str(module.__file__))
        tree = ast.parse(path.read_text(encoding="utf-8"))
        inside = {
            call
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef) and function.name in SYNCING
            for call in ast.walk(function)
        }
        sites |= {
            (path.name, call.lineno)
            for call in ast.walk(tree)
            if isinstance(call, ast.Call)
            and call not in inside
            and ast.unparse(call.func).removeprefix("durable.") in ("os.fsync", *SYNCING)
        }
    return sites


def found_after(folder: Path, act: Callable[[Path], object], *, old: bytes) -> set[Tree]:
    (folder / "a").write_bytes(old)
    tape = Tape(folder)
    with tape.recording() as mark:
        act(folder)
        mark("done")
    return {tree for tree, marks in crash_states(tape) if marks}


def test_the_states_are_those_worked_out_by_hand(tmp_path: Path) -> None:
    """What may be there after a file was replaced, with more and more of it synced."""

    def write(folder: Path) -> None:
        (folder / "b").write_bytes(b"xyz")

    def rename(folder: Path) -> None:
        (folder / "b").replace(folder / "a")

    def sync(folder: Path, name: str) -> None:
        handle = os.open(folder / name, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)

    def states(*steps: Callable[[Path], object]) -> set[Tree]:
        (folder := tmp_path / f"{len(list(tmp_path.iterdir()))}").mkdir()
        return found_after(folder, lambda folder: [step(folder) for step in steps], old=b"old")

    old, new = ("a", b"old"), ("a", b"xyz")
    torn = (b"", b"x", b"xy", b"\0\0\0", b"xyz")
    assert states(write) == {(old,), *((old, ("b", data)) for data in torn)}
    assert states(write, lambda f: sync(f, "b")) == {(old,), (old, ("b", b"xyz"))}
    assert states(write, lambda f: sync(f, ".")) == {(old, ("b", data)) for data in torn}
    renamed = states(write, rename)
    assert renamed == {(old,), *((old, ("b", data)) for data in torn), *((("a", d),) for d in torn)}
    assert states(write, lambda f: sync(f, "b"), rename) == {(old,), (old, ("b", b"xyz")), (new,)}
    assert states(write, lambda f: sync(f, "b"), rename, lambda f: sync(f, ".")) == {(new,)}


def test_a_rename_between_folders_lasts_once_both_are_synced(tmp_path: Path) -> None:
    def move(*synced: str) -> Callable[[Path], None]:
        def act(folder: Path) -> None:
            (folder / "c").mkdir(exist_ok=True)
            durable.sync_folder(folder)
            (folder / "a").rename(folder / "c" / "a")
            for name in synced:
                durable.sync_folder(folder / name)

        return act

    moved = (("c", (("a", b"old"),)),)
    stayed = (("a", b"old"), ("c", ()))
    for number, (synced, found) in enumerate(
        [(("c",), {moved, stayed}), ((".",), {moved, stayed}), (("c", "."), {moved})]
    ):
        (folder := tmp_path / str(number)).mkdir()
        assert found_after(folder, move(*synced), old=b"old") == found


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_crash_state_is_the_old_or_the_new(tmp_path: Path, name: str) -> None:
    tape = record(SCENARIOS[name], tmp_path / "recorded")
    found = list(violations(SCENARIOS[name], tape, tmp_path / "states"))
    assert len(found) >= 4
    assert [wrong for wrong in found if wrong] == []


def first_violation(folder: Path, site: Site) -> str | None:
    for number, scenario in enumerate(SCENARIOS.values()):
        tape = record(scenario, folder / f"{number}", skip=site)
        if site in tape.sites:
            for wrong in violations(scenario, tape, folder / f"{number}-states"):
                if wrong:
                    return wrong
    return None


@pytest.mark.parametrize("site", sorted(sync_calls()), ids=lambda site: f"{site[0]}:{site[1]}")
def test_without_any_one_fsync_some_state_is_wrong(tmp_path: Path, site: Site) -> None:
    assert first_violation(tmp_path, site)
