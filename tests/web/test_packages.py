"""What npm fetches: once, whole, of the locked versions; and what is said where it can't."""

import json
from pathlib import Path

import pytest

from maquette.errors import MaquetteError
from maquette.web.packages import LOCK, PARTS, is_whole, own, packages
from tests.web.fake import Npm


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Npm:
    return Npm(tmp_path / "bin", monkeypatch)


def test_packages_are_fetched_once(tmp_path: Path, npm: Npm) -> None:
    said: list[str] = []
    folder = packages(said.append, tmp_path / "cache")
    for name, source in PARTS.items():
        assert (folder / name).read_text() == f"this is {source}"
    assert packages(said.append, tmp_path / "cache") == folder
    assert npm.calls == 1
    assert len(said) == 1
    assert list((tmp_path / "cache").iterdir()) == [folder]


def test_what_was_damaged_is_fetched_anew(tmp_path: Path, npm: Npm) -> None:
    folder = packages(print, tmp_path)
    (folder / "pyodide" / "pyodide.mjs").write_text("half")
    assert not is_whole(folder)
    assert packages(print, tmp_path) == folder
    assert is_whole(folder)
    assert npm.calls == 2


def test_without_npm_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MaquetteError, match="needs npm") as caught:
        packages(print, tmp_path)
    assert "apt install npm" in str(caught.value.hint)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("names", [(), tuple(PARTS.values())[:3]])
def test_where_npm_fails_nothing_is_left_and_its_reason_is_told(
    tmp_path: Path, npm: Npm, names: tuple[str, ...]
) -> None:
    says = (
        "npm warn Unknown user config\nnpm error code ENOTFOUND\nnpm error syscall getaddrinfo\n"
        "npm error request to https://somewhere.example/pyodide failed\nnpm error more"
    )
    npm.does(names, code=1, says=says)
    with pytest.raises(MaquetteError) as caught:
        packages(print, tmp_path / "cache")
    assert caught.value.message == (
        "npm couldn't fetch Pyodide and xterm.js:"
        " request to https://somewhere.example/pyodide failed"
    )
    assert "network" in str(caught.value.hint)
    assert list((tmp_path / "cache").iterdir()) == []


def test_half_of_the_packages_is_none(tmp_path: Path, npm: Npm) -> None:
    npm.does(tuple(PARTS.values())[:3])
    with pytest.raises(MaquetteError, match="can't write"):
        packages(print, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_versions_are_locked_by_hashes_and_by_no_registry() -> None:
    wanted = json.loads(own("package.json"))["dependencies"]
    locked = json.loads(own(LOCK))["packages"]
    found = {name.removeprefix("node_modules/"): row for name, row in locked.items() if name}
    assert wanted.items() <= {name: row["version"] for name, row in found.items()}.items()
    assert all(row["integrity"].startswith("sha512-") for row in found.values())
    assert b"resolved" not in own(LOCK)
    assert b"://" not in own(LOCK).replace(b"https://opencollective.com", b"")
