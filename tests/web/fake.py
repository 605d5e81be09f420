"""An npm that fetches nothing: it puts down files of the right names."""

import stat
import sys
from pathlib import Path

import pytest

from maquette.web.packages import PARTS

_NPM = """#!{python}
import pathlib, sys
with open({calls!r}, "a") as calls:
    print(*sys.argv[1:], file=calls)
for name in {names!r}:
    path = pathlib.Path("node_modules", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("this is " + name)
print({says!r}, file=sys.stderr)
sys.exit({code})
"""


class Npm:
    """What it was called for, and how it goes."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._calls = folder / "calls.txt"
        folder.mkdir()
        patch.setenv("PATH", str(folder))
        self.does()

    @property
    def calls(self) -> int:
        return len(self._calls.read_text().splitlines()) if self._calls.exists() else 0

    def does(
        self, names: tuple[str, ...] = tuple(PARTS.values()), *, code: int = 0, says: str = ""
    ) -> None:
        """From now on it puts down these, says this, and ends so."""
        program = self._folder / "npm"
        text = _NPM.format(
            python=sys.executable, calls=str(self._calls), names=names, code=code, says=says
        )
        program.write_text(text)
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
