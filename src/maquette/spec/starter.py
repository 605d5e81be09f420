"""The text of a new spec, and the JSON Schema that lets editors complete it."""

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

from maquette.errors import UsageError
from maquette.spec import task
from maquette.spec.load import preset_text

SCHEMA_FILE = "maquette.schema.json"
SCHEMA_COMMENT = "Written by `maquette schema`; it is safe to delete and to write again."


def starter_text(name: str, preset: str | None = None) -> str:
    """A commented spec of that name: the starter, or a preset to change. Raises UsageError."""
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,63}", name):
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-").lstrip("0123456789-")[:64]
        raise UsageError(
            f"{name!r} can't name a model: lower case letters, digits and hyphens, at most 64",
            hint=f"try {slug or 'my-model'}",
        )
    if preset is None:
        starter = resources.files("maquette.spec") / "starter.yaml"
        text = starter.read_text(encoding="utf-8").replace("my-model", name)
    else:
        text = re.sub(r"(?m)^name: [a-z0-9-]+", f"name: {name}", preset_text(preset), count=1)
    return f"# yaml-language-server: $schema={SCHEMA_FILE}\n{text}"


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a spec (draft 2020-12), with a description of every key."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": SCHEMA_COMMENT,
        "title": "A spec of maquette",
        **task.json_schema(),
    }


def schema_text() -> str:
    """The JSON Schema as a file's text."""
    return json.dumps(json_schema(), indent=2) + "\n"


def is_ours(file: Path) -> bool:
    """Whether a schema file was written by us, so that it may be brought up to date."""
    try:
        return SCHEMA_COMMENT in file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
