"""`maquette simulate` as people use it."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from maquette.cli import awake, main

_FAST = ["--speed-factor", "1e9"]


def test_a_module_runs_to_its_end_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["simulate", "-m", "chat_tuning", "--seed", "3", "--exit-after-modules", "1", *_FAST])
        == 0
    )
    shown = capsys.readouterr().out
    for phase in ("data", "cluster", "training", "export", "summary"):
        assert re.search(rf"^{phase} ─", shown, re.MULTILINE)
    assert "\x1b" not in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_the_width_is_that_of_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "44")
    assert main(["simulate", "--seed", "3", "--exit-after-modules", "1", *_FAST]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) == 44


def test_modules_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--list-modules"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names == ["llm_training", "image_training", "chat_tuning"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["-m", "image"], "did you mean image_training?"),
        (["--speed-factor", "0"], "more than 0"),
        (["--exit-after-time", "soon"], "'soon' is not a duration"),
        (["--exit-after-modules", "0"], "--exit-after-modules"),
    ],
)
def test_mistakes_are_told(
    options: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", *options]) == 2
    assert told in capsys.readouterr().err


def test_two_modules_follow_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--seed", "1", "--exit-after-modules", "2", *_FAST]) == 0
    assert capsys.readouterr().out.count("\nsummary ") == 2


def test_it_ends_when_its_time_is_over(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    assert main(["simulate", "--seed", "1", "--exit-after-time", "1min"]) == 0
    assert now[0] == pytest.approx(60.0)
    shown = capsys.readouterr().out
    assert "training" in shown
    assert "summary" not in shown


def test_speed_and_instant_lines_shorten_the_waits(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def waited(*options: str) -> float:
        waits: list[float] = []
        monkeypatch.setattr(time, "sleep", waits.append)
        main(["simulate", "--seed", "1", "--exit-after-modules", "1", *options])
        return sum(waits)

    whole = waited()
    assert waited("--speed-factor", "10") == pytest.approx(whole / 10)
    assert whole - 30 < waited("--instant-print-lines", "40") < whole
    assert waited("--instant-print-lines", "100000") == 0
    capsys.readouterr()


def test_ctrl_c_ends_it_at_once_and_leaves_the_terminal_in_order() -> None:
    """In a terminal of its own: colours, bars that give way, and one last line."""
    controller, terminal = pty.openpty()
    program = [sys.executable, "-m", "maquette", "simulate", "--seed", "1", "--speed-factor", "5"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(
        program, stdin=terminal, stdout=terminal, stderr=terminal, env=environment
    )
    os.close(terminal)
    try:
        seen = _read_until(controller, b"\r\x1b[2K")
        assert b"\x1b[" in seen
        process.send_signal(signal.SIGINT)
        seen = _read_until(controller, b"Saving work to disk...\r\n")
        assert process.wait(timeout=60) == 0
        assert b"Traceback" not in seen
    finally:
        process.kill()
        process.wait()
        os.close(controller)


def _read_until(handle: int, wanted: bytes) -> bytes:
    seen = b""
    deadline = time.monotonic() + 60
    while wanted not in seen:
        ready, _, _ = select.select([handle], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, seen
        try:
            seen += os.read(handle, 65536)
        except OSError:  # the other end is closed
            break
    assert wanted in seen, seen
    return seen


def test_nothing_heavy_is_imported() -> None:
    program = (
        "import sys; from maquette.cli import main; main(['simulate', '--seed', '1', "
        "'--exit-after-modules', '1', '--speed-factor', '1e9']); "
        "print([m for m in ('torch', 'numpy', 'pydantic', 'rich') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_machine_is_kept_awake_by_a_process_that_ends_with_the_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(awake, "helper", lambda: [sys.executable, "-c", "input()"])
    started: list[subprocess.Popen[bytes]] = []
    original = subprocess.Popen

    def note(*args: object, **options: object) -> subprocess.Popen[bytes]:
        process = original(*args, **options)  # type: ignore[call-overload]
        started.append(process)
        return process  # type: ignore[no-any-return]

    monkeypatch.setattr(subprocess, "Popen", note)
    with awake.awake():
        assert len(started) == 1
    assert started[0].poll() is not None


def test_where_nothing_keeps_it_awake_that_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(awake, "helper", lambda: None)
    assert main(["simulate", "--inhibit", "--seed", "1", "--exit-after-modules", "1", *_FAST]) == 0
    assert "can't keep this machine awake" in capsys.readouterr().err
