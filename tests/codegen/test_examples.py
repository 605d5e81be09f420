"""The projects in examples/ are what the presets give today."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.presets import IMAGES, LANGUAGE

EXAMPLES = Path(__file__).parents[2] / "examples"


def load_make() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_examples", EXAMPLES / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def is_left_by_tools(file: Path) -> bool:
    """Caches, and what trainings write."""
    return file.parts[0].startswith((".", "__pycache__", "out")) or "__pycache__" in file.parts


MADE = sorted(path.name for path in EXAMPLES.iterdir() if (path / "blueprint.json").exists())


def test_every_preset_has_one() -> None:
    assert {*LANGUAGE, *IMAGES} == {*MADE}


@pytest.mark.parametrize("preset", MADE)
def test_it_is_not_stale(preset: str) -> None:
    expected = load_make().example_files(preset)
    folder = EXAMPLES / preset
    found = {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and not is_left_by_tools(file.relative_to(folder))
    }
    assert sorted(found) == sorted(expected)
    stale = [name for name, content in expected.items() if found[name] != content]
    assert not stale, f"`make examples` makes {', '.join(stale)} anew"


def test_all_are_formatted_and_sound() -> None:
    pytest.importorskip("ruff")
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", str(EXAMPLES)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("preset", MADE)
def test_its_own_tests_pass_without_maquette(preset: str) -> None:
    run = 'import sys; sys.modules["maquette"] = None; import pytest; sys.exit(pytest.main(["-q"]))'
    done = subprocess.run(
        [sys.executable, "-c", run],
        cwd=EXAMPLES / preset,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_ADDOPTS": "-p no:cacheprovider"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("preset", MADE)
def test_its_types_are_sound(preset: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    pytest.importorskip("mypy")
    cache = tmp_path_factory.getbasetemp().parent / "mypy-of-examples"
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", str(cache), "."],
        cwd=EXAMPLES / preset,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
