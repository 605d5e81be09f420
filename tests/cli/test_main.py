"""The frame: exit codes, errors for people, and output that nobody reads."""

import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from maquette.cli import common, main
from maquette.errors import MaquetteError, SpecError
from maquette.runs.store import Store

Output = pytest.CaptureFixture[str]
ROOT = Path(__file__).parents[2]


def failing(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(common, "open_store", fail)
    return main(["ps"])


def run(*arguments: str, **settings: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [sys.executable, "-m", "maquette", *arguments],
        text=True,
        timeout=60,
        check=False,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        **settings,
    )


def test_help_has_every_command_in_a_panel(capsys: Output) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for word in ("Begin:", "Runs:", "Look closer:", "Options:", "  ps ", "  doctor "):
        assert word in out
    assert "Commands:" not in out
    assert main([]) == 0
    assert capsys.readouterr().out == out
    assert main(["data"]) == 0
    assert "Usage: maquette data " in capsys.readouterr().out


def test_every_command_has_help(capsys: Output) -> None:
    from maquette.cli.app import app

    names = [c.name for c in app.registered_commands] + [g.name for g in app.registered_groups]
    assert len(names) == len(set(names)) >= 4
    for name in names:
        assert name is not None
        assert main([name, "--help"]) == 0
        assert f"Usage: maquette {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["statu"], "error: No such command 'statu'. Did you mean 'status'?"),
        (["ps", "--bad"], "error: No such option: --bad"),
        (["rm"], "error: Missing argument 'RUN...'."),
    ],
)
def test_wrong_use(arguments: list[str], message: str, capsys: Output) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(message)
    assert "--help`" in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (MaquetteError("it broke", hint="mend it"), 1, "error: it broke\n  mend it\n"),
        (SpecError("a.yaml:3: wrong"), 2, "error: a.yaml:3: wrong\n"),
        (
            OSError(28, "No space left on device", "/x"),
            1,
            "error: /x: no space left on device\n  free some space on that disk, then try again\n",
        ),
        (
            IsADirectoryError(21, "Is a directory", "/x"),
            1,
            "error: /x: is a directory\n  a folder is where a file belongs; move it away\n",
        ),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(), 1, ""),
    ],
)
def test_errors(
    error: BaseException, code: int, message: str, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    assert failing(error, monkeypatch) == code
    assert capsys.readouterr().err == message


def test_a_defect_of_ours_keeps_its_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert failing(KeyError("x"), monkeypatch) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: unexpected KeyError: 'x'\n")
    (saved,) = tmp_path.iterdir()
    assert str(saved) in err
    assert "Traceback" in saved.read_text()
    monkeypatch.setenv("MAQUETTE_DEBUG", "1")
    assert failing(KeyError("x"), monkeypatch) == 1
    assert "Traceback" in capsys.readouterr().err


def test_version(capsys: Output) -> None:
    import importlib.metadata

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"maquette {importlib.metadata.version('maquette')}\n"


@pytest.fixture
def runs_folder(tmp_path: Path) -> Path:
    store = Store(tmp_path / "runs")
    for _ in range(3):
        store.create("some", spec_text="")
    return store.root


def test_a_reader_that_has_gone(runs_folder: Path) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = run("ps", "--runs-dir", str(runs_folder), stdout=write_end)
    os.close(write_end)
    assert done.returncode == 1
    assert done.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_behind_stdout(runs_folder: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = run("ps", "--runs-dir", str(runs_folder), stdout=full)
    assert done.returncode == 1
    assert done.stderr.startswith("error: no space left on device\n  free some space")


@pytest.mark.skipif(os.name == "nt", reason="needs a way to close a stream beforehand")
@pytest.mark.parametrize("stream", [1, 2])
def test_a_stream_that_is_closed_from_the_start(runs_folder: Path, stream: int) -> None:
    arguments = ("ps", "--runs-dir", str(runs_folder))
    done = run(*arguments, stdout=subprocess.PIPE, preexec_fn=lambda: os.close(stream))
    assert done.returncode == 0
    assert done.stderr == ""
    assert bool(done.stdout) == (stream != 1)


def test_a_stdout_without_unicode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    (tmp_path / "é.yaml").write_text("name: some\n", encoding="utf-8")
    done = run("check", str(tmp_path / "é.yaml"), stdout=subprocess.PIPE)
    assert done.returncode == 0, done.stderr
    assert r"\xe9.yaml: ok" in done.stdout


def test_messages_that_nobody_reads_end_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Gone())
    console = common.err()
    console.print("step 1")
    console.print("step 2")
