"""The spec's keys are the sources' arguments, with the same defaults."""

import inspect
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter

from maquette.data.image.sources import SOURCES, open_images_source
from maquette.errors import DataError
from maquette.spec import image as schema
from tests.data.image.making import picture, save

PARTS = {
    part.model_fields["kind"].annotation.__args__[0]: part
    for part in get_args(get_args(schema.ImageSource)[0])
}


def source(**keys: Any) -> Any:
    return TypeAdapter(schema.ImageSource).validate_python(keys)


def test_every_kind_of_the_spec_can_be_opened() -> None:
    assert set(PARTS) == set(SOURCES)


@pytest.mark.parametrize("kind", SOURCES)
def test_the_keys_are_the_arguments(kind: str) -> None:
    arguments = inspect.signature(SOURCES[kind]).parameters
    fields = {name: f for name, f in PARTS[kind].model_fields.items() if name != "kind"}
    assert set(fields) == set(arguments)
    for name, field in fields.items():
        default = arguments[name].default
        assert field.is_required() == (default is inspect.Parameter.empty)
        assert field.is_required() or field.default == default, name


def test_a_source_is_opened_by_its_part(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/1.png"):
        save(tmp_path / name, picture(0))
    opened = open_images_source("mine", source(kind="imagefolder", path=str(tmp_path)))
    assert opened.classes == ("a", "b")
    assert opened.validation_fraction == 0.1


def test_what_is_wrong_begins_with_the_sources_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^data.sources.mine: .*gone: no such folder"):
        open_images_source("mine", source(kind="cifar10", path=str(tmp_path / "gone")))
