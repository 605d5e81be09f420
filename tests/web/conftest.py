"""The page as it is now, with the packages of the one that `make web` built; or else skipped."""

import shutil
from pathlib import Path

import pytest

from maquette.web.files import page_files
from maquette.web.packages import is_whole
from tests.serving.browser.conftest import browser

# Here rather than where it is used: Playwright ends with this folder's tests, and its loop too.
__all__ = ["browser"]

BUILT = Path(__file__).parents[2] / "build" / "web"


@pytest.fixture(scope="session")
def built() -> Path:
    """A folder with the packages at their places."""
    if not is_whole(BUILT):
        pytest.skip("Pyodide and xterm.js aren't here: `make web` builds build/web")
    return BUILT


@pytest.fixture(scope="session")
def files(built: Path) -> dict[str, bytes]:
    return page_files(built)


@pytest.fixture(scope="session")
def node() -> str:
    program = shutil.which("node")
    if program is None:
        pytest.skip("node isn't installed")
    return program
