"""Every screen looks as its picture in docs/images does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from maquette.runs.store import Store
from tests.tui.snapshots import SCREENS, pictures, stage


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with stage() as store:
        yield store


@pytest.mark.parametrize("name", SCREENS)
def test_a_screen_looks_as_it_is_documented(store: Store, name: str, tmp_path: Path) -> None:
    for kept, now in pictures(store, name).items():
        (tmp_path / kept.name).write_text(now, encoding="utf-8")
        assert kept.exists(), "`python -m tests.tui.snapshots` makes it"
        if now != kept.read_text(encoding="utf-8"):
            pytest.fail(
                f"{name} looks otherwise: compare {kept} with {tmp_path / kept.name};"
                " `python -m tests.tui.snapshots` takes the new look for the right one",
                pytrace=False,
            )
