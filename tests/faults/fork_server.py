"""`python -m tests.faults.fork_server FOLDER`: workers without the seconds that importing takes.

It imports everything, and forks a child for each worker that is asked for: the child calls what
`python -m maquette.worker` calls, in a session of its own, and is killed, watched and waited for
like any process. Requests and answers are lines of JSON.
"""

import contextlib
import ctypes
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from maquette.data.cache import cache_folder, lock_path
from maquette.data.prepare import data_key
from maquette.reading import run_spec
from maquette.runs.store import Run, Store
from maquette.spec.schema import Spec
from maquette.spec.task import language
from maquette.worker import __main__ as worker
from maquette.worker import work
from maquette.worker.training import create_run
from tests.faults import inside
from tests.training.tiny import tiny_spec

_PR_SET_PDEATHSIG = 1


class Server:
    """Makes runs, forks workers, waits for them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._children: set[int] = set()
        self._spec = tiny_spec(folder, model={"depth": 1, "dropout": 0.1}).model_dump(mode="json")

    def serve(self) -> None:
        """Answer until nobody asks any more; then no child is left."""
        try:
            for line in sys.stdin:
                request = json.loads(line)
                try:
                    answer = {"value": getattr(self, request.pop("do"))(**request)}
                except Exception:
                    answer = {"error": traceback.format_exc()}
                print(json.dumps(answer), flush=True)
        finally:
            for pid in self._children:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def create(self, store: str, prepared: bool = True, **train: Any) -> str:
        """Make a run of the tiny spec; answers its path."""
        spec = Spec.model_validate({**self._spec, "train": {**self._spec["train"], **train}})
        if prepared:
            return str(create_run(spec, Store(store), spec_text="name: tiny\n", device="cpu").path)
        values = spec.model_dump(mode="json")
        run = Store(store).create(spec.name, spec_text="name: tiny\n", spec=values, device="cpu")
        return str(run.path)

    def hold_data(self, run: str) -> None:
        """Take the lock on a run's data, as though it were being prepared; see `free_data`."""
        os.utime(self._spec["data"]["sources"]["text"]["path"])  # what is in the cache is too old
        folder = cache_folder() / data_key(language(run_spec(Run(Path(run)))))
        assert not folder.exists()
        self._data_lock = FileLock(lock_path(folder))
        self._data_lock.acquire()

    def free_data(self) -> None:
        """Give the lock back."""
        self._data_lock.release()

    def start(self, arguments: list[str], words: str, fault: dict[str, Any]) -> int:
        """Fork a worker, whose stdout and stderr go to the file `words`; answers its id."""
        assert len(list(Path("/proc/self/task").iterdir())) == 1, (
            "a fork has none of the other threads"
        )
        pid = os.fork()
        if pid == 0:
            _work(arguments, words, fault)
        self._children.add(pid)
        return pid

    def ended(self, pid: int) -> int | None:
        """The exit code of a worker, negative for a signal; null while it runs."""
        found, status = os.waitpid(pid, os.WNOHANG)
        if found == 0:
            return None
        self._children.discard(pid)
        return os.waitstatus_to_exitcode(status)


def _work(arguments: list[str], words: str, fault: dict[str, Any]) -> None:
    code = 70
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # where no worker listens, nobody talks of it
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # should the server be killed
        handle = os.open(words, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        for number in (1, 2):
            os.dup2(handle, number)
        with inside.faults(**fault):
            code = worker.main(arguments)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        code = 1  # as Python itself ends
        with contextlib.suppress(Exception):
            traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """Warm up with a whole training, then serve."""
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    server = Server(folder)
    list(work(Run(Path(server.create(str(folder / "warm"), steps=1)))))
    print(json.dumps({"value": "ready"}), flush=True)
    server.serve()


if __name__ == "__main__":
    main()
