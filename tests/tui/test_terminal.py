"""The real thing: a real training in the background, and the real application in a terminal."""

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from maquette.runs.control import stop
from maquette.runs.store import Run, Store
from tests.training.tiny import write_text

pytestmark = pytest.mark.skipif(
    shutil.which("tmux") is None, reason="tmux isn't installed: apt-get install tmux"
)
MAQUETTE = (sys.executable, "-m", "maquette")
PATIENCE_SECONDS = 120.0
SPEC = """\
name: tiny
model: {{depth: 1, width: 16, heads: 2, context: 16}}
data: {{sources: {{text: {{kind: files, path: {path}}}}}}}
train:
  steps: 200000
  batch_size: 2
  precision: float32
  compile: false
  evaluate: {{every: 100, windows: 4}}
  sample: {{max_new_tokens: 4}}
"""


class Terminal:
    """A terminal of 100 x 30 in a tmux server of its own."""

    def __init__(self, folder: Path) -> None:
        self._tmux = ["tmux", "-S", str(folder / "tmux"), "-f", "/dev/null"]
        self._folder = folder

    def start(self, *command: str) -> None:
        shell = f"{shlex.join(command)}; echo ended with $?; exec cat"
        self.run("new-session", "-d", "-x", "100", "-y", "30", "-c", str(self._folder), shell)

    def run(self, *arguments: str) -> str:
        process = subprocess.run(
            [*self._tmux, *arguments], capture_output=True, text=True, timeout=60, check=True
        )
        return process.stdout

    def press(self, *keys: str) -> None:
        self.run("send-keys", *keys)

    def screen(self) -> str:
        return self.run("capture-pane", "-p")

    def shows(self, pattern: str) -> str:
        """Wait until this is on the screen; returns what it matched."""
        until(lambda: re.search(pattern, self.screen()), lambda: f"{pattern}:\n{self.screen()}")
        found = re.search(pattern, self.screen())
        return found[0] if found else ""

    def end(self) -> None:
        with contextlib.suppress(subprocess.SubprocessError):
            self.run("kill-server")


def until(condition: Callable[[], object], what: Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"never came: {what()}"
        time.sleep(0.1)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("MAQUETTE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MAQUETTE_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return Store(tmp_path / "runs")


@pytest.fixture
def run(store: Store, tmp_path: Path) -> Iterator[Run]:
    """A run in the background, that would go on for long."""
    spec = tmp_path / "tiny.yaml"
    spec.write_text(SPEC.format(path=write_text(tmp_path)))
    command = [*MAQUETTE, "train", str(spec), "--detach", "--device", "cpu"]
    process = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    run = store.find(process.stdout.strip())
    yield run
    if run.path.is_dir() and run.state().status in ("queued", "running"):
        stop(run, now=True)


@pytest.fixture
def pseudo_terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path)
    yield terminal
    terminal.end()


def step_of(line: str) -> int:
    return int(re.sub(r"\D", "", line.partition("of")[0]))


def test_a_run_is_seen_moving_stopped_and_resumed(run: Run, pseudo_terminal: Terminal) -> None:
    terminal = pseudo_terminal
    terminal.start(*MAQUETTE, "tui")
    terminal.shows(rf"{run.id}.*● running")
    terminal.press("Enter")
    first = step_of(terminal.shows(r"step [\d,]+ of 200,000"))
    until(lambda: step_of(terminal.shows(r"step [\d,]+ of 200,000")) > first + 20, terminal.screen)
    terminal.shows("training .*validation")
    terminal.press("s")
    terminal.shows("■ stopped")
    state = json.loads(run.state_path.read_text())
    assert state["status"] == "stopped"
    process = run.state().process
    assert process is not None
    until(lambda: not process.lives(), lambda: f"the end of {process}")
    shown = step_of(terminal.shows(rf"step {state['step']:,} of 200,000"))
    assert shown == state["step"] == run.checkpoints()[-1].step
    terminal.press("r")
    terminal.shows("● running")
    until(
        lambda: step_of(terminal.shows(r"step [\d,]+ of 200,000")) > state["step"] + 20,
        terminal.screen,
    )
    assert run.state().status == "running"
    assert [change.status for change in run.state().history][-3:] == [
        "running",
        "stopped",
        "running",
    ]
    terminal.press("q", "q")
    terminal.shows("ended with 0")
    assert run.state().status == "running", "leaving it ends nothing"


def test_watch_is_that_screen_and_ends_with_the_run(run: Run, pseudo_terminal: Terminal) -> None:
    terminal = pseudo_terminal
    terminal.start(*MAQUETTE, "watch", run.id)
    terminal.shows(r"step [\d,]+ of 200,000")
    assert "1 Curves" in terminal.screen()
    stop(run)
    terminal.shows("ended with 0")
    text = terminal.screen()
    assert "■ stopped" in text, "its last picture stays"


def test_sixteen_colours(run: Run, pseudo_terminal: Terminal) -> None:
    """TERM and COLORTERM as a Linux console has them: no sequence asks for more colours."""
    terminal = pseudo_terminal
    keep = {k: v for k, v in os.environ.items() if k in ("PATH", "MAQUETTE_RUNS", "HOME")}
    environment = [f"{k}={v}" for k, v in {**keep, "TERM": "linux", "LANG": "C.UTF-8"}.items()]
    terminal.start("env", "-i", *environment, *MAQUETTE, "tui")
    terminal.shows(rf"{run.id}.*running")
    colours = terminal.run("capture-pane", "-p", "-e")
    assert "\x1b[" in colours
    assert not re.search(r"\x1b\[[\d;]*[34]8;[25]", colours), "256 colours or more"
    terminal.press("q")
    terminal.shows("ended with 0")
