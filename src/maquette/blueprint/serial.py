"""Blueprint <-> JSON: the same blueprint gives the same bytes, and comes back exactly."""

import dataclasses
import hashlib
import json
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from maquette.blueprint.blueprint import AnyBlueprint, Blueprint, ImageBlueprint
from maquette.errors import RunError


def to_json(blueprint: AnyBlueprint) -> str:
    """JSON, indented by two: the fields in their order, and a checksum of them."""
    value = dataclasses.asdict(blueprint)
    value["checksum"] = _checksum(blueprint, value)
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def from_json(text: str) -> AnyBlueprint:
    """The blueprint in a JSON text.

    Raises RunError where a key is missing, unknown or wrong, or the checksum differs; a text
    without one, from an older version, is taken at its word.
    """
    try:
        value = json.loads(text, parse_constant=_no_constant)
        checksum = value.pop("checksum", None) if isinstance(value, dict) else None
        images = isinstance(value, dict) and value.get("task") == "image-classification"
        blueprint = _read(ImageBlueprint if images else Blueprint, value, "blueprint")
        if checksum not in (None, _checksum(blueprint, value)):
            raise ValueError("its checksum differs")
    except (ValueError, RecursionError) as error:
        raise RunError(
            f"this is no blueprint that maquette {_version()} can read: {error}",
            hint="blueprint.json was changed, damaged, or written by another version",
        ) from None
    assert isinstance(blueprint, AnyBlueprint)
    return blueprint


def _checksum(blueprint: AnyBlueprint, written: Any) -> str:
    """SHA-256 of all that it says, however the text is laid out, less what wasn't written."""
    value = _as_written(dataclasses.asdict(blueprint), written)
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _as_written(value: Any, written: Any) -> Any:
    """The value with the keys of an older version alone, in their order."""
    if not (isinstance(value, dict) and isinstance(written, dict)):
        return value
    return {key: _as_written(value[key], v) for key, v in written.items() if key in value}


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("maquette")
    except PackageNotFoundError:
        return "(not installed)"


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number that a blueprint holds")


def _read(expected: Any, value: Any, where: str) -> Any:
    """`value` as the expected type, checked to the last leaf. Raises ValueError."""
    if dataclasses.is_dataclass(expected) and isinstance(expected, type):
        return _read_fields(expected, value, where)
    origin = get_origin(expected)
    if origin is dict:
        _check(isinstance(value, dict), where, value)
        return {key: _read(get_args(expected)[1], v, f"{where}.{key}") for key, v in value.items()}
    if origin is tuple:
        _check(isinstance(value, list), where, value)
        return tuple(_read(get_args(expected)[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    if origin in (Union, UnionType):
        for arm in get_args(expected):
            try:
                return _read(arm, value, where)
            except ValueError:
                continue
        raise ValueError(f"{where} is {value!r}")
    if origin is Literal:
        _check(isinstance(value, str) and value in get_args(expected), where, value)
    else:
        _check(type(value) is expected, where, value)  # so that true is no 1, and 1 no 1.0
    return value


def _read_fields(expected: type, value: Any, where: str) -> Any:
    _check(isinstance(value, dict), where, value)
    types = get_type_hints(expected)
    later = {f.name for f in dataclasses.fields(expected) if f.default is not dataclasses.MISSING}
    different = sorted((types.keys() ^ value.keys()) - (later - value.keys()))
    if different:
        raise ValueError(f"{where}.{different[0]} is missing or unknown")
    known = {k: t for k, t in types.items() if k in value}
    return expected(**{k: _read(t, value[k], f"{where}.{k}") for k, t in known.items()})


def _check(sound: bool, where: str, value: Any) -> None:
    if not sound:
        raise ValueError(f"{where} is {str(value)[:60]!r}")
