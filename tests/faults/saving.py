"""A process that saves a checkpoint, to be killed at any system call of it.

`python -m tests.faults.saving FOLDER` saves once, and writes `saved` and `pruned` to stdout.
`python -m tests.faults.saving FOLDER before|torn` forks one child after another. Each saves in a
copy of FOLDER/0 and ends, without a chance to clean up, at the next system call than the one
before it, until one survives; `torn` lets half of a write through. Prints, for each, its number
and the promises that it had made.
"""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from maquette.runs.store import Run

Mark = Callable[[str], object]  # notes a promise that was made

_CALLS = (
    "open", "write", "fsync", "mkdir", "rename", "replace", "unlink", "rmdir", "ftruncate",
)  # fmt: skip


def _write(path: Path, data: bytes) -> None:
    """By system calls, for those that count them."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
    os.write(handle, data)
    os.close(handle)


def checkpoint_files(step: int) -> Callable[[Path], None]:
    """Writes a small checkpoint's files, one of them in a folder of its own."""

    def fill(folder: Path) -> None:
        _write(folder / "model.safetensors", bytes([step]) * 40)
        (folder / "inner").mkdir()
        _write(folder / "inner" / "trainer.json", f'{{"step": {step}}}\n'.encode())

    return fill


def save(run: Run, step: int, *, best: bool = False) -> None:
    """Commit a small checkpoint."""
    run.commit_checkpoint(step, checkpoint_files(step), best=best)


def save_in_between(run: Run, step: int) -> None:
    """Commit a checkpoint of one file that needn't outlast a power cut."""

    def fill(folder: Path) -> None:
        _write(folder / "model.safetensors", bytes([step]) * 40)

    run.begin_checkpoint(step, fill, best=False, lasting=False)()


def save_and_prune(folder: Path, mark: Mark) -> None:
    """Save step 6 in a run that has 2 and 4, and remove what isn't needed any more."""
    run = Run(folder / "run")
    save(run, 6, best=True)
    mark("saved")
    assert run.prune(1) == [2]  # 4 is sound and the second
    mark("pruned")


def _end_at(number: int, code: Callable[[], int], *, torn: bool) -> None:
    """From now on, end this process at its call of this number."""
    made = 0

    def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal made
            made += 1
            if made == number:
                if torn and name == "write":
                    real(args[0], args[1][: len(args[1]) // 2])
                os._exit(code())
            return real(*args, **kwargs)

        return call

    for name in _CALLS:
        setattr(os, name, counted(name, getattr(os, name)))


def _save(folder: Path, number: int, *, torn: bool) -> None:
    promises: list[str] = []
    _end_at(number, lambda: 100 + len(promises), torn=torn)
    save_and_prune(folder, promises.append)
    os._exit(0)


def main() -> None:
    """See above."""
    folder = Path(sys.argv[1])
    if len(sys.argv) == 2:
        save_and_prune(folder, lambda name: bool(os.write(1, f"{name}\n".encode())))
        return
    code, number = -1, 0
    while code != 0:
        number += 1
        copy = shutil.copytree(folder / "0", folder / str(number))
        child = os.fork()
        if child == 0:
            try:
                _save(copy, number, torn=sys.argv[2] == "torn")
            finally:
                os._exit(1)  # it failed of its own
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (0, 100, 101, 102), f"call {number}: exit code {code}"
        print(number, 2 if code == 0 else code - 100, flush=True)


if __name__ == "__main__":
    main()
