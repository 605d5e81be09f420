"""Make the projects here anew: `python examples/make.py [PRESET ...]`.

What a preset's data says of itself is taken from the blueprint that is here already, so that
nothing has to be downloaded. A preset that is named has its data prepared; relative paths start
where you are, and `key=value` after it sets any field.
"""

import sys
from pathlib import Path

from maquette.blueprint import serial
from maquette.ejecting import project_files
from maquette.preparation import prepare_data, resolve_any
from maquette.spec.load import load_spec, parse_spec, preset_names, preset_text
from maquette.spec.task import AnySpec

HERE = Path(__file__).parent
BASES = {"chat-tune": "notes-chat"}
"""Preset -> the one whose runs it begins from: model and tokenizer are those."""


def example_files(preset: str) -> dict[str, bytes]:
    """The files of a preset's project, by the blueprint that is here."""
    text = (HERE / preset / "blueprint.json").read_text(encoding="utf-8")
    written = preset_text(preset)
    spec = with_base(preset, parse_spec(written, origin=preset))
    blueprint = resolve_any(spec, serial.from_json(text).facts)
    return project_files(spec, blueprint, spec_text=written)


def with_base(preset: str, spec: AnySpec) -> AnySpec:
    """The spec with the model and tokenizer of the preset that its base is made from."""
    if preset not in BASES:
        return spec
    base = parse_spec(preset_text(BASES[preset]), origin=preset)
    taken = {part: getattr(base, part) for part in ("model", "tokenizer")}
    return spec.model_copy(update=taken)


def prepare_facts(preset: str, overrides: list[str]) -> None:
    """Write the blueprint of a preset whose data is at hand."""
    written = with_base(preset, load_spec(preset, overrides))
    unbased = written.train.model_copy(update={"from_run": None})
    facts = prepare_data(written.model_copy(update={"train": unbased})).facts
    folder = HERE / preset
    folder.mkdir(exist_ok=True)
    blueprint = serial.to_json(resolve_any(written, facts))
    (folder / "blueprint.json").write_text(blueprint, encoding="utf-8")


def main() -> None:
    """Make every project again, after preparing the data of one that is named."""
    if len(sys.argv) > 1:
        prepare_facts(sys.argv[1], sys.argv[2:])
    for preset in preset_names():
        if (HERE / preset / "blueprint.json").exists():
            files = example_files(preset)
            for old in (HERE / preset).rglob("*"):
                if old.is_file():
                    old.unlink()
            for name, content in files.items():
                (HERE / preset / name).parent.mkdir(parents=True, exist_ok=True)
                (HERE / preset / name).write_bytes(content)
            print(HERE / preset)


if __name__ == "__main__":
    main()
