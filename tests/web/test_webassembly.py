"""Python in WebAssembly shows the bytes that Python shows here: by the archive, by a wheel."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from maquette.web.files import PAGE
from maquette.web.packages import LOCK
from tests.web import shows

ROOT = Path(__file__).parents[2]
QUICK = range(6)
MANY = range(1000, 1330)


@pytest.fixture(scope="module")
def archive(files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("web") / "maquette.zip"
    path.write_bytes(files["maquette.zip"])
    return path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="hatchling, which builds the wheel, isn't installed")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [*command, "--quiet", "--wheel-dir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (path,) = folder.glob("maquette-*.whl")
    return path


def in_webassembly(node: str, built: Path, archive: Path, seeds: range) -> list[str]:
    text = Path(shows.__file__).read_text(encoding="utf-8")
    done = subprocess.run(
        [node, str(Path(__file__).with_name("run.mjs")), str(built / "pyodide"), str(archive)],
        input=f"{text}\nprint(*digests({seeds}), sep='\\n')\n",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


def test_the_archive_shows_the_same_bytes(node: str, built: Path, archive: Path) -> None:
    assert in_webassembly(node, built, archive, QUICK) == shows.digests(QUICK)


def test_the_wheel_has_what_the_page_is_made_of(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in (*(f"page/{name}" for name in PAGE), "package.json", LOCK):
        assert f"maquette/web/{name}" in names


def test_the_wheel_shows_the_same_bytes(node: str, built: Path, wheel: Path) -> None:
    assert in_webassembly(node, built, wheel, QUICK[:2]) == shows.digests(QUICK[:2])


@pytest.mark.slow
def test_many_seeds_show_the_same_bytes(node: str, built: Path, archive: Path) -> None:
    assert in_webassembly(node, built, archive, MANY) == shows.digests(MANY)
