"""Read a spec: YAML, overrides, schema, checks. Every refusal names a line and a repair."""

import difflib
import glob
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path

from pydantic import ValidationError

from maquette.errors import SpecError
from maquette.spec import checks, explain, fields
from maquette.spec.budget import BUDGET, chosen_keys
from maquette.spec.document import MAX_BYTES, Mark, Node, plain, printable, read_document
from maquette.spec.image import CifarPart, ImageFolderSource, ParquetSource
from maquette.spec.parts import WEIGHTS, Part
from maquette.spec.schema import (
    DialoguesSource,
    FilesSource,
    NotesSource,
    WikiTextSource,
)
from maquette.spec.task import AnySpec, spec_class, validate

WITH_PATHS = (
    FilesSource,
    WikiTextSource,
    NotesSource,
    DialoguesSource,
    CifarPart,
    ImageFolderSource,
    ParquetSource,
)
_PRESETS = resources.files("maquette.spec") / "presets"


Checks = Callable[[AnySpec], list[checks.Problem]]


def load_spec(
    path: Path | str, overrides: Sequence[str] = (), *, further: Checks = lambda _: []
) -> AnySpec:
    """The spec in a file, or the preset of that name; a file wins.

    `overrides` are `key=value` with a dotted key and a YAML value. Relative paths become absolute:
    those of a file from its folder, those of a preset or an override from the current folder.
    `further` are checks that take more than the spec. Raises SpecError.
    """
    file = _file(path)
    if file is None:
        text, origin, folder = preset_text(str(path)), f"preset {path}", Path.cwd()
    else:
        text, origin = _read(file), printable(str(path), 200)
        folder = file.expanduser().absolute().parent
    return parse_spec(text, origin=origin, overrides=overrides, folder=folder, further=further)


def read_spec_text(path: Path | str) -> str:
    """The text that `load_spec` would read, unchanged. Raises SpecError."""
    file = _file(path)
    return preset_text(str(path)) if file is None else _read(file)


def preset_names() -> list[str]:
    """The names of the presets that come with maquette."""
    return sorted(
        f.name.removesuffix(".yaml") for f in _PRESETS.iterdir() if f.name[-5:] == ".yaml"
    )


def preset_text(name: str) -> str:
    """A preset's YAML. Raises SpecError."""
    if name not in preset_names():
        raise SpecError(f"no preset is called {printable(name)}", hint=_presets_hint(name))
    return (_PRESETS / f"{name}.yaml").read_text(encoding="utf-8")


def preset_about(name: str) -> str:
    """The comment that a preset begins with, up to its first full stop at a line's end."""
    words: list[str] = []
    for line in preset_text(name).splitlines():
        if not line.startswith("#"):
            break
        words.append(line.lstrip("# "))
        if line.endswith("."):
            break
    return " ".join(words)


def parse_spec(
    text: str,
    *,
    origin: str,
    overrides: Sequence[str] = (),
    folder: Path | None = None,
    further: Checks = lambda _: [],
) -> AnySpec:
    """The spec in a text; errors begin with `origin:line`. Raises SpecError.

    Relative paths are made absolute from `folder`; without it they stay as they are. `further`
    checks are done with these.
    """
    root = read_document(text, origin)
    if root.value is None:
        raise SpecError(f"{origin}: the spec is empty; `maquette new` writes one to start from")
    if not isinstance(root.value, dict):
        raise SpecError(f"{root.mark}: a spec is a mapping of keys, such as `name: my-model`")
    for each in overrides:
        root = override(root, each)
    value = plain(root)
    try:
        spec = validate(value)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        raise explain.schema_errors(errors, root, spec_class(value)) from None
    problems = checks.problems(spec)
    if not problems:
        spec = spec if folder is None else _with_absolute_paths(spec, root, folder)
        problems = further(spec)
    if problems:
        raise explain.check_errors(problems, root)
    return spec


def _file(path: Path | str) -> Path | None:
    """The file to read; None when it is a preset's name and no file stands in its way."""
    file = Path(path).expanduser() if str(path).startswith("~/") else Path(path)
    try:
        found = file.is_file()
    except (OSError, ValueError):
        found = False
    return None if not found and str(path) in preset_names() else file


def _presets_hint(name: str) -> str:
    names = preset_names()
    close = difflib.get_close_matches(name, names, n=1)
    listed = f"presets: {', '.join(names)}"
    return f"did you mean {close[0]}? {listed}" if close else listed


def _read(file: Path) -> str:
    shown = printable(str(file), 200)
    try:
        with file.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise SpecError(
            f"{shown}: there is no such file",
            hint=f"`maquette new` writes one; {_presets_hint(file.name)}",
        ) from None
    except IsADirectoryError:
        raise SpecError(f"{shown}: this is a folder; name the spec in it") from None
    except PermissionError:
        raise SpecError(f"{shown}: no permission to read it; see its mode and owner") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise SpecError(f"{shown}: can't be read ({reason}); name another file") from None
    if len(raw) > MAX_BYTES:
        raise SpecError(f"{shown}: larger than 1 MiB; a spec is a short text file")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise SpecError(
            f"{shown}:{line}: not UTF-8 text (byte 0x{raw[error.start]:02x}); "
            "a spec is YAML: save it as UTF-8, or name another file"
        ) from None


def override(root: Node, override: str) -> Node:
    """The tree with one `key=value` set; every node of it carries the option as its mark.

    Without the keys of a `kind` that it replaces, and what a file says of all that a budget
    chooses. Raises SpecError.
    """
    option = f"--set {printable(override, 100)}"
    key, equals, text = override.partition("=")
    path = key.strip().split(".")
    if not equals or not all(path):
        raise SpecError(f"{option}: write it as key=value, such as --set train.steps=100")
    if len(path) > 8:
        raise SpecError(f"{option}: a key has at most 4 names; see `maquette schema`")
    value = replace(read_document(text, option, numbered=False), mark=Mark(option))
    if path[-1] == "kind" and isinstance(value.value, str):
        root = _without_other_kinds(root, path[:-1], value.value)
    if path[:-1] == ["model"] and path[-1] in BUDGET and value.value is not None:
        root = _without_chosen(root, path[-1])
    return _set(root, path, value, option, [])


def _set(node: Node, path: Sequence[str], value: Node, option: str, above: list[str]) -> Node:
    if not path:
        return value
    if not isinstance(node.value, dict):
        raise SpecError(
            f"{option}: {printable('.'.join(above))} has no keys of its own; set it whole"
        )
    child = node.value.get(path[0]) or Node(Mark(option), {})
    child = _set(child, path[1:], value, option, [*above, path[0]])
    return replace(node, value={**node.value, path[0]: child})


def _without_chosen(root: Node, key: str) -> Node:
    """Drop what a file says of all that a budget from the command line chooses.

    Else no preset could be had in another size. What another option sets stays.
    """
    chosen = dict(chosen_keys(spec_class(plain(root))))
    if key in ("size", "parameters"):
        chosen["model"] += ("size", "parameters")
    for name, keys in chosen.items():
        part = root.child(name)
        if part is not None and isinstance(part.value, dict):
            kept = {k: v for k, v in part.value.items() if k not in keys or v.mark.line is None}
            root = _set(root, [name], replace(part, value=kept), "", [])
    return root


def _without_other_kinds(root: Node, path: Sequence[str], kind: str) -> Node:
    """Drop keys that belong to the kind that an override replaces: the new one can't know them."""
    annotation: object = spec_class(plain(root))
    node: Node | None = root
    for key in path:
        inner = list(fields.parts(annotation).values())
        if len(inner) == 1 and key in fields.keys(inner[0]):
            annotation = fields.keys(inner[0])[key].annotation
        else:
            annotation = fields.values_of(annotation)
        node = node.child(key) if node is not None else None
    part = fields.parts(annotation).get(kind) if annotation is not None else None
    if part is None or node is None or not isinstance(node.value, dict):
        return root
    known = {k: v for k, v in node.value.items() if k in fields.keys(part)}
    return _set(root, path, replace(node, value=known), "", [])


def _with_absolute_paths(spec: AnySpec, root: Node, folder: Path) -> AnySpec:
    sources: dict[str, Part] = {}
    for name, source in spec.data.sources.items():
        changed: dict[str, str | list[str]] = {}
        if isinstance(source, WITH_PATHS):
            for field in ("path", "validation_path", "test_path"):
                written: str | list[str] | None = getattr(source, field, None)
                if written is not None:
                    base = _base_of(f"data.sources.{name}.{field}", root, folder)
                    changed[field] = (
                        _absolute(written, base)
                        if isinstance(written, str)
                        else [_absolute(each, base) for each in written]
                    )
        sources[name] = source.model_copy(update=changed)
    data = spec.data.model_copy(update={"sources": sources})
    train, run = spec.train, spec.train.from_run
    if run is not None and (os.sep in run or run.startswith("~") or run.endswith(WEIGHTS)):
        path = _absolute(run, _base_of("train.from", root, folder))
        train = train.model_copy(update={"from_run": path})
    changed_parts = {"data": data, "train": train}
    return spec.model_copy(update=changed_parts)


def _base_of(key: str, root: Node, folder: Path) -> Path:
    """Where a relative path starts: at the spec's folder, after --set at the current one."""
    return folder if explain.mark_of([key], root).line is not None else Path.cwd()


def _absolute(written: str, folder: Path) -> str:
    path = Path(written)
    if written == "~" or written.startswith("~/"):
        return str(path.expanduser())
    if path.is_absolute():
        return written
    base = glob.escape(str(folder)) if glob.has_magic(written) else str(folder)
    return str(Path(base) / path)
