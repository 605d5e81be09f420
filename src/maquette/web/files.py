"""The files of the page, by their addresses: its own, those of npm, and maquette's modules."""

import io
import subprocess
import sys
import zipfile
from importlib.resources import files
from pathlib import Path

from maquette.simulation.story import MODULES
from maquette.web.packages import PARTS, own

PAGE = ("index.html", "main.js", "worker.js", "page.css", "licences.txt")
SHARED = ("base.css", "icon.svg")  # with the pages of `maquette serve`
ARCHIVE = "maquette.zip"
_ENTRY = "maquette.simulation.terminal"
_FETCHED = (
    "pyodide/pyodide.asm.wasm",
    "pyodide/python_stdlib.zip",
    "pyodide/pyodide-lock.json",
    ARCHIVE,
)
_DATE = (1980, 1, 1, 0, 0, 0)  # the same modules make the same bytes


def page_files(packages: Path) -> dict[str, bytes]:
    """Address -> content of everything that the page needs; no other address is served."""
    found = {name: own(f"page/{name}") for name in PAGE}
    shared = files("maquette.serving") / "page"
    found |= {name: (shared / name).read_bytes() for name in SHARED}
    found |= {name: (packages / name).read_bytes() for name in PARTS}
    found[ARCHIVE] = archive()
    size = sum(len(found[name]) for name in _FETCHED)
    modules = "".join(f"<option>{name}</option>" for name in MODULES)
    page = found["index.html"].decode()
    found["index.html"] = page.replace("{bytes}", f"{size}").replace("{modules}", modules).encode()
    return found


def archive() -> bytes:
    """A zip with the simulation and what it imports, laid out as in a wheel."""
    package = files("maquette")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in _names():
            packed.writestr(
                zipfile.ZipInfo(f"maquette/{name}", _DATE),
                package.joinpath(name).read_bytes(),
                zipfile.ZIP_DEFLATED,
            )
    return content.getvalue()


def _names() -> list[str]:
    """Modules as Python finds them, in a process that has none yet; and the data files."""
    ask = f"import sys, {_ENTRY}; print(*(m for m in sys.modules if m.startswith('maquette')))"
    told = subprocess.run(
        [sys.executable, "-c", ask], check=True, capture_output=True, text=True
    ).stdout
    names = []
    for module in told.split():
        path = Path(*module.split(".")[1:])
        is_package = files("maquette").joinpath(str(path), "__init__.py").is_file()
        names.append((path / "__init__.py" if is_package else path.with_suffix(".py")).as_posix())
    data = files("maquette.simulation") / "data"
    return sorted([*names, *(f"simulation/data/{file.name}" for file in data.iterdir())])
