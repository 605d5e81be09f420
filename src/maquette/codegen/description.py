"""What a standalone project is made of."""

import hashlib
import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from maquette.blueprint import serial
from maquette.blueprint.blueprint import AnyBlueprint, OptimizerPlan, TrainPlan
from maquette.codegen import render
from maquette.codegen.lift import Choices, Place, lift
from maquette.spec.parts import TrainPart

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
        "seed_text": str(blueprint.seed),
        "parameters": f"{blueprint.parameters['total']:,}",
    }


def training_values(part: TrainPart, plan: TrainPlan) -> dict[str, Any]:
    """How any of them is trained, by the spec's part and the plan that became of it."""
    schedule = part.schedule
    return {
        **_optimizer_values(plan.optimizer),
        "steps": plan.steps,
        "steps_text": f"{plan.steps:,}",
        "batch_size": plan.batch_size,
        "accumulation": plan.accumulation,
        "learning_rate": plan.optimizer.learning_rate,
        "schedule": {
            "kind": schedule.kind,
            "warmup_steps": schedule.warmup_steps,
            "final_fraction": float(schedule.final_fraction),
            "decay_fraction": float(schedule.decay_fraction),
        },
        "evaluate_every": plan.evaluate_every,
        "checkpoint_every": plan.checkpoint_every or plan.evaluate_every,
        "average": plan.average,
        "gradient_clip": plan.gradient_clip,
        "patience": plan.patience,
        "precision": plan.precision,
        "inherited": part.from_run is not None,
    }


def _optimizer_values(plan: OptimizerPlan) -> dict[str, Any]:
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
