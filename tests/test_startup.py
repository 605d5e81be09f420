"""The command line starts light: what is heavy is imported by the command that needs it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    *("torch", "transformers", "fastapi", "textual", "datasets", "numpy", "pydantic", "rich"),
    "prompt_toolkit",
)
SOURCE = Path(__file__).parents[1] / "src"


def loaded_after(code: str, folder: Path) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint('\\n'.join(sys.modules))"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(SOURCE), "MAQUETTE_RUNS": str(folder / "runs")},
    )
    assert done.returncode == 0, done.stderr
    return {name for name in done.stdout.split() if name in HEAVY}


@pytest.mark.parametrize(
    "code",
    [
        "import maquette",
        "import maquette.cli.app",
        "from maquette.cli import main; main(['--help'])",
        "from maquette.cli import main; main(['train', '--help'])",
        "from maquette.cli import main; main(['ps'])",
        "from maquette.cli import main; main(['status'])",
        "import maquette.runs.store, maquette.runs.recorder",
    ],
)
def test_nothing_heavy_is_imported(code: str, tmp_path: Path) -> None:
    assert loaded_after(code, tmp_path) == set()


def test_the_blueprint_needs_no_torch(tmp_path: Path) -> None:
    code = "import maquette.blueprint.resolve, maquette.spec.load"
    assert loaded_after(code, tmp_path) <= {"pydantic"}
