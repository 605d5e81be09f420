"""Real workers for tests: started, killed, waited for, and compared with an undisturbed one."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from maquette.runs import durable
from maquette.runs.manifest import verify_folder
from maquette.runs.store import Run

MAQUETTE = ("-m", "maquette")
REPOSITORY = Path(__file__).parents[2]
_PATIENCE_SECONDS = 120.0  # for what ends in a moment on an idle machine


@dataclass(frozen=True)
class Worker:
    """A forked worker process."""

    server: "ForkServer"
    pid: int
    words_path: Path

    def signal(self, number: signal.Signals) -> None:
        """Send a signal. It can't reach another process: the server hasn't waited for this one."""
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Its exit code, negative for a signal."""
        return self.server.wait(self.pid)

    def kill(self) -> int:
        """Kill it at once, and wait."""
        self.signal(signal.SIGKILL)
        return self.wait()

    @property
    def words(self) -> str:
        """What it said to stdout and stderr."""
        return self.words_path.read_text(encoding="utf-8")


class ForkServer:
    """Runs `tests.faults.fork_server`; see there. Use it as a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = environment(folder)
        self._names = iter(range(10**6))

    def __enter__(self) -> "ForkServer":
        command = [sys.executable, "-m", "tests.faults.fork_server", str(self.folder)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            env=self.environment,
        )
        assert self._answer() == "ready"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(_PATIENCE_SECONDS)
        self._process.stdout.close()

    @property
    def pid(self) -> int:
        """The server's own process id."""
        return self._process.pid

    def create(self, store: Path, **train: Any) -> Run:
        """A run of the tiny spec, queued. `prepared=False` leaves its data to the worker."""
        return Run(Path(self._ask("create", store=str(store), **train)))

    def start(self, run: Run, *arguments: str, **fault: Any) -> Worker:
        """Start a worker on a run, with something going wrong in it; see `inside.faults`."""
        words = self.folder / f"words-{next(self._names)}.txt"
        if fault:
            fault["folder"] = str(run.path)
        full = [str(run.path), *arguments]
        return Worker(
            self, self._ask("start", arguments=full, words=str(words), fault=fault), words
        )

    def wait(self, pid: int) -> int:
        """The exit code of a worker that was started here."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while (code := self._ask("ended", pid=pid)) is None:
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                pytest.fail(f"worker {pid} did not end")
            time.sleep(0.002)
        return int(code)

    def finish(self, run: Run) -> None:
        """Work on a run until it is completed, undisturbed."""
        worker = self.start(run)
        assert worker.wait() == 0, worker.words
        assert run.state().status == "completed"

    @contextlib.contextmanager
    def data_held(self, run: Run) -> Iterator[None]:
        """As long as this lasts, the preparation of the run's data doesn't get on."""
        self._ask("hold_data", run=str(run.path))
        try:
            yield
        finally:
            self._ask("free_data")

    def become(self, arguments: Sequence[str | Path]) -> None:
        """Turn this process into Python with these arguments."""
        os.chdir(self.folder)
        os.execve(sys.executable, [sys.executable, *map(str, arguments)], self.environment)

    def _ask(self, do: str, **request: Any) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **request}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        answer = json.loads(self._process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer["value"]


def environment(folder: Path) -> dict[str, str]:
    """For processes of a test: a cache of their own, one thread, this source tree."""
    paths = [str(REPOSITORY / "src"), str(REPOSITORY)]
    return {
        **os.environ,
        "MAQUETTE_CACHE": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(paths),
        "NO_COLOR": "1",
    }


@contextlib.contextmanager
def command(
    *arguments: str | Path, folder: Path, **options: Any
) -> Iterator["subprocess.Popen[str]"]:
    """Python with these arguments, in a session of its own; whatever of it is left is killed."""
    options = {"text": True, "start_new_session": True, **options}
    process = subprocess.Popen(
        [sys.executable, *map(str, arguments)], env=environment(folder), cwd=folder, **options
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(_PATIENCE_SECONDS)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def until(condition: Any, what: str) -> None:
    """Wait until `condition()` holds; fails if it never does."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"never came: {what}")
        time.sleep(0.005)


def session_members(session: int) -> list[int]:
    """Live processes of a session."""
    members = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            if fields[0] not in "ZX" and int(fields[3]) == session:
                members.append(int(path.parent.name))
    return members


def computed(run: Run) -> dict[str, Any]:
    """What a run has computed, to be compared bit by bit: its rows' numbers and its last weights.

    The numbers are the text of metrics.jsonl, so that no reader of ours stands between.
    """
    rows = [json.loads(line) for line in run.metrics_path.read_text("utf-8").splitlines()]
    last = sorted(run.checkpoints_path.glob("step-*"))[-1]
    return {
        "steps": [
            (row["step"], repr(row["loss"]), repr(row["gradient_norm"]), row["tokens"])
            for row in rows
            if row["event"] == "step"
        ],
        "evaluations": [
            (row["step"], repr(row["loss"])) for row in rows if row["event"] == "evaluated"
        ],
        "samples": [(row["step"], row["text"]) for row in rows if row["event"] == "sampled"],
        "last": last.name,
        "weights": (last / "model.safetensors").read_bytes(),
        "optimizer": (last / "optimizer.safetensors").read_bytes(),
    }


def assert_readable(run: Run) -> None:
    """Whatever happened to its worker, everything in a run can be read and is whole."""
    state = run.state()
    assert state.status in ("queued", "running", "stopped", "failed", "lost", "completed")
    assert json.loads(run.state_path.read_text("utf-8"))["status"] == run.stored_state().status
    for folder in run.checkpoints_path.glob("step-*"):
        verify_folder(folder)
    steps = [row["step"] for row in durable.read_rows(run.metrics_path) if row["event"] == "step"]
    assert steps == list(range(1, len(steps) + 1))
