from collections.abc import Iterator
from typing import Any

import pytest

from maquette.runs.store import Run
from tests.faults.processes import ForkServer, computed

BRIEF = {
    "steps": 4,
    "checkpoint": {"every": 1, "keep": 2},
    "evaluate": {"every": 2, "windows": 2},
    "sample": {"every": 4, "max_new_tokens": 2},
}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    with ForkServer(tmp_path_factory.mktemp("workers")) as server:
        yield server


@pytest.fixture(scope="session")
def undisturbed(server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a brief run computes when nothing goes wrong."""
    run = server.create(tmp_path_factory.mktemp("undisturbed"), **BRIEF)
    server.finish(run)
    return computed(run)


@pytest.fixture
def brief(server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of four steps that saves after each."""
    return server.create(tmp_path_factory.mktemp("brief"), **BRIEF)
