"""A workshop of runs of every kind, made once."""

from collections.abc import Iterator

import pytest

from maquette.runs.store import Store
from tests.tui.scenes import workshop


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The store of the workshop: to look at, not to change."""
    with workshop(tmp_path_factory.mktemp("workshop") / "runs") as store:
        yield store
