import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from maquette.cli import main
from maquette.runs.store import Run
from tests.data.image.making import file_bytes, picture
from tests.trained import trained_run
from tests.trained_images import trained_classifier

Captured = pytest.CaptureFixture[str]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAQUETTE_CACHE", str(tmp_path / "cache"))
    for name in ("MAQUETTE_RUNS", "MAQUETTE_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return trained_run(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--host", "0.0.0.0"], ["listening on 0.0.0.0 needs a token", "--token"]),
        (["--host", "0.0.0.0", "--no-auth"], ["--no-auth on 0.0.0.0 would let anyone in"]),
        (["--no-auth", "--token", "x" * 20], ["--no-auth and --token contradict"]),
        (["--token", "short"], ["--token needs 16 to 256"]),
        (["--token", "with spaces and more"], ["--token needs 16 to 256"]),
    ],
)
def test_what_would_let_strangers_in_is_refused(
    run: Run, capfd: Captured, arguments: list[str], parts: list[str]
) -> None:
    assert main(["serve", run.id, *arguments]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert all(part in err for part in parts)


def test_a_port_that_is_taken_is_told(run: Run, capfd: Captured) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", run.id, "--port", str(port)]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert f"can't listen on 127.0.0.1, port {port}: address already in use" in err
    assert "--port" in err


def test_without_the_extra_it_says_what_to_install(
    run: Run, capfd: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "uvicorn" else find(name)
    )
    assert main(["serve", run.id]) == 2
    err = capfd.readouterr().err
    assert "serving needs uvicorn" in err
    assert "pip install 'maquette[serve]'" in err


def serving(run: Run) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "maquette", "serve", run.id, "--port", "0", "--device", "cpu"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 0), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)],
)
def test_it_prints_a_link_that_opens_and_ends_on_a_signal(
    run: Run, number: signal.Signals, code: int
) -> None:
    process = serving(run)
    try:
        assert process.stdout is not None
        link = process.stdout.readline().strip()
        assert link.startswith("http://127.0.0.1:")
        address, _, token = link.partition("/?token=")
        assert len(token) >= 24
        request = urllib.request.Request(
            f"{address}/v1/models", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert run.id in answer.read().decode()
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out) == (code, "")
        assert f"serving {run.id}, step 2" in err
        assert "Traceback" not in err
    finally:
        process.kill()
        process.communicate()


def test_an_image_run_says_what_the_command_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MAQUETTE_RUNS", raising=False)
    run = trained_classifier(tmp_path)
    file = tmp_path / "one.jpg"
    file.write_bytes(file_bytes(picture(1, 50, 40), "jpeg"))
    assert main(["classify", run.id, str(file), "--json", "--device", "cpu"]) == 0
    (told,) = json.loads(capfd.readouterr().out)
    process = serving(run)
    try:
        assert process.stdout is not None
        address, _, token = process.stdout.readline().strip().partition("/?token=")
        headers = {"Authorization": f"Bearer {token}"}
        request = urllib.request.Request(f"{address}/v1/classify", file.read_bytes(), headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            found = json.load(answer)
        assert found["model"] == run.id
        said = {one["name"]: one["probability"] for one in found["classes"]}
        assert said == pytest.approx({one["class"]: one["probability"] for one in told["classes"]})
        request = urllib.request.Request(f"{address}/", headers=headers)
        with urllib.request.urlopen(request, timeout=20) as page:
            assert "What is in the picture?" in page.read().decode()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out) == (0, "")
        assert f"serving {run.id}, step 2" in err
    finally:
        process.kill()
        process.communicate()
