"""The spec's reference page, `docs/spec.md`, made from the schema."""

import json
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from maquette.spec import fields
from maquette.spec.image import (
    Augment,
    Cifar10Source,
    Cifar100Source,
    ConvNeXtModel,
    HubImagesSource,
    ImageData,
    ImageEvaluation,
    ImageFolderSource,
    ImageSpec,
    ImageTrain,
    ParquetSource,
    ShapesSource,
)
from maquette.spec.load import preset_about, preset_names
from maquette.spec.parts import AdamW, Checkpoints, Muon, Part, Schedule
from maquette.spec.schema import (
    BPETokenizer,
    BytesTokenizer,
    Data,
    DialoguesSource,
    Evaluation,
    FilesSource,
    GPTModel,
    HubSource,
    NotesSource,
    Sampling,
    Spec,
    StoriesSource,
    Train,
    WikiTextSource,
)

_SECTIONS: tuple[tuple[str, tuple[type[Part], ...]], ...] = (
    ("A language model", (Spec,)),
    ("model", (GPTModel,)),
    ("tokenizer", (BytesTokenizer, BPETokenizer)),
    ("data", (Data,)),
    (
        "data.sources.NAME",
        (
            StoriesSource,
            FilesSource,
            NotesSource,
            DialoguesSource,
            WikiTextSource,
            HubSource,
        ),
    ),
    ("train", (Train,)),
    ("train.optimizer", (AdamW, Muon)),
    ("train.schedule", (Schedule,)),
    ("train.evaluate", (Evaluation,)),
    ("train.sample", (Sampling,)),
    ("train.checkpoint", (Checkpoints,)),
    ("An image classifier", (ImageSpec,)),
    ("model of an image classifier", (ConvNeXtModel,)),
    ("data of an image classifier", (ImageData,)),
    (
        "data.sources.NAME of an image classifier",
        (
            ShapesSource,
            Cifar10Source,
            Cifar100Source,
            ImageFolderSource,
            ParquetSource,
            HubImagesSource,
        ),
    ),
    ("train of an image classifier", (ImageTrain,)),
    ("train.augment", (Augment,)),
    ("train.evaluate of an image classifier", (ImageEvaluation,)),
)

_INTRODUCTION = """\
# The spec

<!-- Made by `python -m maquette.spec.reference > docs/spec.md`; change the schema, not this. -->

A spec is a YAML file. `maquette new` writes one to start from, `maquette check SPEC` tells what is
wrong with it, and `maquette schema` prints the JSON Schema that lets an editor complete it.

- Every key may be left out, except those marked *required*; the smallest spec is `name: my-model`.
- It is YAML 1.2: `1e-4` is a number, `no` and `yes` are text; write `true` and `false`. A number in
  quotes is text.
- A key that isn't listed here, or is given twice, is an error, as is anything out of its range.
  At most 1 MiB, 32 levels, 20,000 values.
- Relative paths start at the spec's folder (in a preset, or after `--set`: at the current folder);
  `~` is your home.
- `--set KEY=VALUE` changes any key from the command line, with a dotted key and a YAML value:
  `--set train.steps=100`, `--set tokenizer.kind=bpe`, `--set "tokenizer={kind: bpe}"`. The result
  is checked like a spec. Setting a `kind` drops the keys that only the former kind has; setting a
  budget, such as `model.parameters`, drops what a file says of all that it chooses.
"""


def render_reference() -> str:
    """The page as Markdown: a table of keys for each part, then the presets."""
    blocks = [_INTRODUCTION]
    for title, parts in _SECTIONS:
        blocks.append(f"## {title}\n")
        blocks += [_part(part) for part in parts]
    blocks.append("## Presets\n")
    blocks.append(
        "A preset's name stands for a spec: `maquette train stories`. "
        "`maquette new my-model --preset stories` copies it.\n"
    )
    rows = [f"| `{name}` | {_cell(preset_about(name))} |" for name in preset_names()]
    blocks.append("\n".join(["| preset | what it is |", "|---|---|", *rows]) + "\n")
    return "\n".join(blocks)


def _part(part: type[Part]) -> str:
    ordered = sorted(fields.keys(part).items(), key=lambda item: item[0] != "kind")
    has_kind = (
        "kind" in part.model_fields and not fields.choices(part.model_fields["kind"].annotation)[1:]
    )
    heading = f"### kind: {fields.kind_of(part)}\n\n" if has_kind else ""
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for name, field in ordered:
        about = _cell(field.description or "")
        rows.append(f"| `{name}` | {_cell(_value(field))} | {_default(field)} | {about} |")
    return f"{heading}{part.__doc__}\n\n" + "\n".join(rows) + "\n"


def _value(field: FieldInfo) -> str:
    limits = fields.field_bounds(field)
    kinds = fields.parts(field.annotation)
    if kinds:
        return "its own keys, below"
    pattern = fields.pattern(field)
    if pattern:
        return f"text like `{pattern}`"
    return fields.expected(field.annotation) + (f", {limits}" if limits else "")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "*required*"
    value: Any = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        kind = getattr(value, "kind", None)
        return f"`{{kind: {kind}}}`" if "kind" in type(value).model_fields else ""
    if isinstance(value, dict):
        return f"the built-in {next(iter(value))}"
    if isinstance(value, float):
        return f"`{fields.number(value)}`"
    return f"`{json.dumps(value) if not isinstance(value, str) or not value else value}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    print(render_reference(), end="")
