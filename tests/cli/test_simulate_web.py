"""`maquette simulate --web`: a server on this machine, until Ctrl-C."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from maquette.cli import main
from tests.web.fake import Npm

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Npm:
    monkeypatch.setenv("MAQUETTE_CACHE", str(tmp_path / "cache"))
    return Npm(tmp_path / "bin", monkeypatch)


def test_it_prints_an_address_with_the_options_and_ends_by_ctrl_c(npm: Npm) -> None:
    options = ["-m", "llm_training", "-s", "5", "--seed", "20"]
    process = subprocess.Popen(
        [sys.executable, "-m", "maquette", "simulate", "--web", "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    try:
        assert process.stdout is not None
        address, _, query = process.stdout.readline().strip().partition("?")
        assert address.startswith("http://127.0.0.1:")
        assert query == "module=llm_training&speed-factor=5&seed=20"
        with urllib.request.urlopen(f"{address}?{query}", timeout=60) as answer:
            assert b"<title>Simulation - maquette</title>" in answer.read()
        with urllib.request.urlopen(f"{address}pyodide/pyodide.asm.wasm", timeout=60) as answer:
            assert answer.headers["Content-Type"] == "application/wasm"
            assert answer.read() == b"this is pyodide/pyodide.asm.wasm"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, "")
        assert "fetching Pyodide" in err
        assert "Ctrl-C ends it" in err
        assert "Traceback" not in err
    finally:
        process.kill()
        process.communicate()


def test_a_port_that_is_taken_is_told(npm: Npm, capfd: Captured) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["simulate", "--web", "--port", str(port)]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert f"can't listen on 127.0.0.1, port {port}: address already in use" in err
    assert "--port" in err
    assert npm.calls == 0


def test_without_npm_it_says_what_to_install(
    npm: Npm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Captured
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["simulate", "--web", "--port", "0"]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert "the page needs npm" in err


def test_without_a_network_it_says_so(npm: Npm, capfd: Captured) -> None:
    npm.does((), code=1, says="npm error code EAI_AGAIN\nnpm error request to X failed")
    assert main(["simulate", "--web", "--port", "0"]) == 1
    err = capfd.readouterr().err
    assert "npm couldn't fetch Pyodide and xterm.js: request to X failed" in err
    assert "it needs the network" in err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["stories", "--web"], "SPEC: not with --web"),
        (["--web", "--on", "h100", "--set", "seed=1"], "--on, --set: not with --web"),
        (["--web", "--run", "live"], "--run: not with --web"),
        (["--web", "--inhibit"], "--inhibit: not with --web"),
        (["--web", "-m", "image"], "did you mean image_training?"),
        (["--web", "--speed-factor", "0"], "more than 0"),
        (["--web", "--port", "65536"], "--port"),
        (["--port", "0"], "--port: only with --web"),
        (["--open"], "--open: only with --web"),
        (["--on", "h100"], "--on: only with a SPEC"),
        (["stories", "--on", "h100", "-m", "llm_training"], "--module: not with a SPEC"),
    ],
)
def test_options_that_make_no_sense_together_are_refused(
    npm: Npm, options: list[str], told: str, capfd: Captured
) -> None:
    assert main(["simulate", *options]) == 2
    assert told in capfd.readouterr().err
    assert npm.calls == 0
