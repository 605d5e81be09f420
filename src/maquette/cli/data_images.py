"""What prepared images look like: counts, and a contact sheet."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.cli import common
from maquette.cli.table import Cell, print_columns, terminal_width
from maquette.errors import UsageError

if TYPE_CHECKING:
    from maquette.data.image.prepare import PreparedImages
    from maquette.spec.image import ImageSpec


def print_images(prepared: "PreparedImages") -> None:
    """How many images there are, by split and class."""
    facts = prepared.facts
    rows = [
        [
            Cell(split, "cyan"),
            Cell(f"{counts.images:,}"),
            Cell(f"{min(counts.per_class):,} to {max(counts.per_class):,}"),
            Cell(f"{counts.broken:,}"),
        ]
        for split, counts in facts.splits.items()
    ]
    headers = ["split", "images", "images a class", "broken"]
    print_columns(headers, rows, left=1, width=terminal_width())
    names = ", ".join(facts.classes[:12]) + (", ..." if len(facts.classes) > 12 else "")
    print(f"{len(facts.classes):,} classes: {names}")
    how = "decoded while training" if prepared.on_the_fly else "kept as pixels"
    print(f"{facts.image_size} pixels a side, {how}")
    for name, lines in prepared.remarks.items():
        for line in lines:
            print(f"{name}: {line}")


def inspect_images(
    spec: "ImageSpec",
    prepared: "PreparedImages",
    sheet: str | None,
    described: dict[str, Any],
    *,
    as_json: bool,
) -> None:
    """Counts, copies across the splits, and the contact sheet as a file."""
    from maquette.blueprint.resolve_images import resolve_images
    from maquette.data.image.paper import write_picture
    from maquette.data.image.sheet import contact_sheet

    file = Path(sheet or f"{spec.name}.png")
    if file.suffix.lower() != ".png":
        raise UsageError(f"--sheet {file} has to end in .png")
    plan = resolve_images(spec, prepared.facts).train
    picture = contact_sheet(
        prepared.images("train"),
        prepared.facts,
        plan.augmentation,
        title=spec.name,
        seed=spec.seed,
    )
    write_picture(file, picture)
    if as_json:
        copies = {name: dataclasses.asdict(found) for name, found in prepared.duplicates.items()}
        common.print_json(described | {"duplicates": copies, "sheet": str(file)})
        return
    print_images(prepared)
    for split, found in prepared.duplicates.items():
        such = f", such as {found.example}" if found.example else ""
        count = "none" if not found.images else f"{found.images:,}"
        verb = "are" if found.images > 1 else "is"
        print(
            f"{count} of the {found.of:,} {split} images {verb} in train too, pixel for pixel{such}"
        )
    print(file)
