"""What the page is made of, and the folder that `make web` writes."""

import io
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from maquette.runs.manifest import verify_folder
from maquette.web import __main__ as web
from maquette.web.files import archive
from maquette.web.packages import LOCK, PARTS
from tests.web import shows
from tests.web.fake import Npm


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Npm:
    monkeypatch.setenv("MAQUETTE_CACHE", str(tmp_path / "cache"))
    return Npm(tmp_path / "bin", monkeypatch)


def test_the_archive_is_all_that_the_simulation_needs(tmp_path: Path) -> None:
    """Without installed packages, as in a browser, it shows the same."""
    path = tmp_path / "maquette.zip"
    path.write_bytes(archive())
    program = (
        f"import sys; sys.path[:0] = [{str(path)!r}]\n"
        + Path(shows.__file__).read_text(encoding="utf-8")
        + "\nimport maquette; print(maquette.__file__, digest('chat_tuning', 3, 60, True))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [
        str(path / "maquette" / "__init__.py"),
        shows.digest("chat_tuning", 3, 60, True),
    ]


def test_the_archive_is_the_same_for_the_same_modules_and_has_no_others() -> None:
    content = archive()
    assert archive() == content
    names = zipfile.ZipFile(io.BytesIO(content)).namelist()
    assert "maquette/simulation/data/show.json" in names
    assert not [name for name in names if re.search("torch|serving|models|training|cli", name)]


def test_the_page_names_its_own_files_only(files: dict[str, bytes]) -> None:
    """With addresses relative to its own, so that it works below any path."""
    page = files["index.html"].decode()
    assert {*re.findall(r'(?:src|href)="([^"]*)"', page)} <= files.keys()
    for name in ("main.js", "worker.js"):
        text = files[name].decode()
        found = re.findall(r'from "([^"]*)"|(?:Worker|fetch)\("([^"]*)"', text)
        assert found
        for imported, fetched in found:
            assert (imported.removeprefix("./") or fetched) in files
    assert "{" not in page


def test_the_folder_is_written_whole_and_anew(tmp_path: Path, npm: Npm) -> None:
    folder = tmp_path / "web"
    assert web.main([str(folder)]) == 0
    manifest = verify_folder(folder)
    assert {"index.html", "maquette.zip", "worker.js", LOCK, *PARTS} <= manifest["files"].keys()
    (folder / "left-over").write_text("from before")
    assert web.main([str(folder)]) == 0
    assert not (folder / "left-over").exists()
    assert npm.calls == 1
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".tmp")] == []


def test_other_folders_are_left_alone(
    tmp_path: Path, npm: Npm, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    assert web.main([str(tmp_path / "mine")]) == 2
    assert "isn't a page that was built here" in capsys.readouterr().err
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"


def test_without_npm_nothing_is_written(
    tmp_path: Path, npm: Npm, capsys: pytest.CaptureFixture[str]
) -> None:
    npm.does((), code=1, says="npm error network is unreachable")
    assert web.main([str(tmp_path / "web")]) == 1
    assert "network is unreachable" in capsys.readouterr().err
    assert not (tmp_path / "web").exists()


def test_the_page_counts_what_it_loads(files: dict[str, bytes]) -> None:
    told = re.search(r'data-bytes="(\d+)"', files["index.html"].decode())
    assert told is not None
    fetched = [name for name in files if name.endswith((".wasm", ".zip", "lock.json"))]
    assert int(told[1]) == sum(len(files[name]) for name in fetched)
