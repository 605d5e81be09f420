import re
from pathlib import Path

import pytest

from maquette.spec.fields import keys
from maquette.spec.load import load_spec, parse_spec, preset_names
from maquette.spec.parts import Part
from maquette.spec.reference import render_reference
from maquette.spec.starter import json_schema, starter_text

ROOT = Path(__file__).parents[2]
PAGES = [page for page in [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))] if page.exists()]


def test_the_reference_is_up_to_date() -> None:
    page = ROOT / "docs" / "spec.md"
    assert page.read_text(encoding="utf-8") == render_reference(), (
        "docs/spec.md is stale: python -m maquette.spec.reference > docs/spec.md"
    )


def test_the_reference_has_every_key() -> None:
    page = render_reference()

    def every(part: type[Part]) -> list[type[Part]]:
        return [part, *(p for child in part.__subclasses__() for p in every(child))]

    for part in every(Part):
        for name, field in keys(part).items():
            assert f"| `{name}` |" in page
            assert field.description, f"{part.__name__}.{name} has no docstring"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_spec_shown_is_valid(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for match in re.finditer(r"```ya?ml\n(.*?)```", text, re.DOTALL):
        line = text.count("\n", 0, match.start()) + 2
        parse_spec("\n" * (line - 1) + match[1], origin=page.name)


@pytest.mark.parametrize("preset", [None, *preset_names()])
def test_every_starter_is_valid(preset: str | None) -> None:
    text = starter_text("my-own", preset)
    spec = parse_spec(text, origin="starter")
    assert spec.name == "my-own"
    if preset is not None:
        folder = Path.cwd()
        own = parse_spec(text, origin="starter", overrides=[f"name={preset}"], folder=folder)
        assert own == load_spec(preset)


def test_the_schema_describes_and_closes_every_part() -> None:
    schema = json_schema()
    for name, part in schema["$defs"].items():
        assert part["additionalProperties"] is False, name
        for key, value in part["properties"].items():
            # A key described in its part's own words only refers to the part.
            assert value.get("description") or "$ref" in value, f"{name}.{key}"
