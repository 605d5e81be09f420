"""The project's own papers agree with each other."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TEXT_ENDINGS = {".py", ".md", ".toml", ".txt", ".yaml", ".yml", ".json", ""}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements() -> list[str]:
    lists = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    names = [re.split(r"[\s<>=!~\[;(]", text)[0] for part in lists for text in part]
    return sorted({normal(name) for name in names} - {"maquette"})


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    parts = [line.partition("==") for line in lines if line and not line.startswith("#")]
    return {normal(name): version for name, _, version in parts}


def files() -> list[Path]:
    """The files of the project: what git has, or would take."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is not a git checkout")
    paths = [ROOT / name for name in done.stdout.splitlines()]
    return [path for path in paths if path.is_file() and path.suffix in TEXT_ENDINGS]


@pytest.mark.parametrize("name", requirements())
def test_every_dependency_is_pinned(name: str) -> None:
    assert name in pins(), f"constraints.txt has no line for {name}"


def test_pins_are_exact_sorted_and_portable() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = [line for line in lines if not line.startswith("#")]
    assert pinned == sorted(pinned, key=str.lower)
    for line in pinned:
        assert re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][A-Za-z0-9.]*", line), line
    assert pins()["torch"] == "2.13.0"


def test_the_version_is_in_the_changelog() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{PROJECT['version']}]" in changelog


def test_nothing_belongs_to_one_machine() -> None:
    """No paths of a developer's machine, no addresses of a private registry."""
    pattern = re.compile(r"/(?:work|home|root|Users)/\w|/tmp/\w|file:///")
    for path in files():
        if path == Path(__file__):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(), start=1):
            found = pattern.search(line)
            assert not found, f"{path.relative_to(ROOT)}:{number}: {found[0]}"


def test_files_end_with_one_newline() -> None:
    for path in files():
        text = path.read_text(encoding="utf-8", errors="replace")
        assert not text or (text.endswith("\n") and not text.endswith("\n\n")), path
