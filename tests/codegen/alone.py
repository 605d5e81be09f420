"""Runs the programs of ejected projects in a process that has no maquette."""

import json
import os
import subprocess
import sys
from pathlib import Path

# All in one process, since importing torch takes longer than the programs. Each begins with the
# project's modules not yet imported.
_ALONE = """
import contextlib, io, json, os, runpy, sys
sys.modules["maquette"] = None  # importing it fails
before = set(sys.modules)
outputs, earlier = [], ()
for folder, file, arguments in json.loads(sys.argv[1]):
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(earlier):
            del sys.modules[name]
    earlier = (*earlier, folder)
    os.chdir(folder)
    sys.path[:0] = [folder]
    sys.argv = [file, *arguments]
    written = io.StringIO()
    with contextlib.redirect_stdout(written), contextlib.redirect_stderr(written):
        try:
            runpy.run_path(file, run_name="__main__")
        except SystemExit as end:
            print(f"exit {end.code}")
    sys.path.remove(folder)
    outputs.append(written.getvalue())
assert not [name for name in sys.modules if name.startswith("maquette.")]
print(json.dumps(outputs))
"""


def run_alone(*programs: tuple[Path, str, list[str]]) -> list[str]:
    """What each program, of a folder and with arguments, prints."""
    told = json.dumps([(str(folder), file, arguments) for folder, file, arguments in programs])
    done = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", _ALONE, told],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outputs: list[str] = json.loads(done.stdout)
    return outputs
