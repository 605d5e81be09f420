"""What a standalone project is made of."""

import hashlib
import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from maquette.blueprint import serial
from maquette.blueprint.blueprint import AnyBlueprint, OptimizerPlan
from maquette.codegen import render
from maquette.codegen.lift import Choices, Place, lift

NAMES = {"MaquetteError": "ReadableError"}
"""What a project that doesn't know the library calls its definitions."""


@dataclass(frozen=True, slots=True)
class CodeFile:
    """A Python file of a project: its template, and the modules of the library that it takes."""

    file: str
    takes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Description:
    """A kind of project: its code, what of the library's tables it uses, prose, and the values.

    `folder` holds its templates. The files of `prose` have words alone for values.
    """

    folder: str
    code: tuple[CodeFile, ...]
    choices: Choices
    prose: tuple[str, ...]
    values: Mapping[str, Any]


def write_code(description: Description) -> dict[str, str]:
    """File -> its text, of everything but the data that goes with it."""
    values = {**description.values, "files": [code.file for code in description.code]}
    places = [
        Place(code.file, render.python(f"{description.folder}/{code.file}", values), code.takes)
        for code in description.code
    ]
    files = lift(places, description.choices, NAMES)
    for name in description.prose:
        files[name] = render.prose(f"{description.folder}/{name}", values)
    for name in ("pyproject.toml", "requirements.txt"):
        files[name] = render.prose(name, values)
    return files


def common_values(blueprint: AnyBlueprint) -> dict[str, Any]:
    """What every project says of itself."""
    text = serial.to_json(blueprint)
    return {
        "version": importlib.metadata.version("maquette"),
        "name": blueprint.name,
        "checksum": hashlib.sha256(text.encode()).hexdigest()[:16],
        "seed": blueprint.seed,
        "parameters": f"{blueprint.parameters['total']:,}",
    }


def optimizer_values(plan: OptimizerPlan) -> dict[str, Any]:
    """The optimizer's function, and its arguments but for the rates that the command line sets."""
    arguments: list[tuple[str, float | None]] = [
        ("weight_decay", plan.weight_decay),
        ("beta1", plan.beta1),
        ("beta2", plan.beta2),
        ("epsilon", plan.epsilon),
    ]
    muon = plan.kind == "muon"
    if muon:
        arguments += [
            ("muon_learning_rate", plan.muon_learning_rate),
            ("momentum", plan.momentum),
        ]
    return {"optimizer": arguments, "muon": muon, "make_optimizers": f"make_{plan.kind}"}
