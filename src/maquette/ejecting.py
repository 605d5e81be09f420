"""From a spec or a run to a project that stands alone."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from maquette.base import base_weights, inherit
from maquette.blueprint import serial
from maquette.blueprint.blueprint import AnyBlueprint, Blueprint, ImageBlueprint
from maquette.codegen.description import Description, write_code
from maquette.codegen.folder import check_folder, write_project
from maquette.codegen.image import image_project
from maquette.codegen.text import text_project
from maquette.data.text.dialogues import PRIMER, primer_text
from maquette.reading import read_blueprint, run_spec
from maquette.runs.store import Run, Store
from maquette.settling import plan_spec
from maquette.spec.load import load_spec, parse_spec, read_spec_text
from maquette.spec.schema import DialoguesSource, Spec
from maquette.spec.task import AnySpec

if TYPE_CHECKING:
    from maquette.preparation import AnyProgress

WEIGHTS, BASE, TOKENIZER = "weights.pt", "base.pt", "tokenizer.json"


def eject_spec(
    path: Path | str,
    folder: Path,
    store: Store,
    *,
    force: bool = False,
    progress: "Callable[[AnyProgress], None] | None" = None,
) -> None:
    """Write the project of a spec, a file or a preset, into a folder. Raises MaquetteError."""
    check_folder(folder, force=force)  # before the data is prepared
    text = read_spec_text(path)
    spec = inherit(load_spec(path), store)
    plan = plan_spec(spec, progress=progress)
    files = project_files(plan.spec, plan.blueprint, spec_text=text)
    if spec.train.from_run is not None:
        files |= _base(plan.spec, plan.blueprint)
        if isinstance(plan.blueprint, Blueprint) and plan.blueprint.tokenizer == "bpe":
            tokenizer = Path(spec.train.from_run) / TOKENIZER
            files[TOKENIZER] = tokenizer.read_bytes()
    write_project(folder, files, force=force)


def eject_run(
    run: Run, folder: Path, *, checkpoint: int | str = "best", force: bool = False
) -> None:
    """Write the project of a run, with a checkpoint's weights. Raises MaquetteError."""
    spec, blueprint = run_spec(run), read_blueprint(run)
    weights = _weights(blueprint, run.checkpoint(checkpoint).path)
    text = run.spec_path.read_text(encoding="utf-8")
    files = project_files(
        spec, blueprint, spec_text=text, has_weights=True, result=run.state().best_loss
    )
    files[WEIGHTS] = weights
    if isinstance(blueprint, Blueprint) and blueprint.tokenizer == "bpe":
        files[TOKENIZER] = run.tokenizer_path.read_bytes()
    if spec.train.from_run is not None:
        files |= _base(spec, blueprint)
    write_project(folder, files, force=force)


def project_files(
    spec: AnySpec,
    blueprint: AnyBlueprint,
    *,
    spec_text: str,
    has_weights: bool = False,
    result: float | None = None,
) -> dict[str, bytes]:
    """File -> content of everything but weights and tokenizer.

    The spec has no budget any more; its sources are looked for where `spec_text` says.
    """
    spec = _with_paths_as_written(spec, spec_text)
    description = _describe(spec, blueprint, has_weights=has_weights, result=result)
    files = {name: text.encode() for name, text in write_code(description).items()}
    files["spec.yaml"] = spec_text.encode()
    files["blueprint.json"] = serial.to_json(blueprint).encode()
    sources = spec.data.sources.values()
    if any(isinstance(source, DialoguesSource) and source.path is None for source in sources):
        files[PRIMER] = primer_text().encode()
    return files


def _describe(
    spec: AnySpec, blueprint: AnyBlueprint, *, has_weights: bool, result: float | None
) -> Description:
    if isinstance(spec, Spec):
        assert isinstance(blueprint, Blueprint)
        return text_project(spec, blueprint, has_weights=has_weights, result=result)
    assert isinstance(blueprint, ImageBlueprint)
    return image_project(spec, blueprint, has_weights=has_weights, result=result)


def _with_paths_as_written(spec: AnySpec, text: str) -> AnySpec:
    """The spec with the paths that its text has, where those were only made absolute."""
    written = parse_spec(text, origin="spec.yaml").data.sources
    sources = {}
    for name, source in spec.data.sources.items():
        changed = {
            field: before
            for field in ("path", "validation_path", "test_path")
            if (before := getattr(written.get(name), field, None)) is not None
            and _same(before, getattr(source, field, None))
        }
        sources[name] = source.model_copy(update=changed)
    data = spec.data.model_copy(update={"sources": sources})
    return spec.model_copy(update={"data": data})


def _same(written: str | list[str], absolute: str | list[str] | None) -> bool:
    if isinstance(written, list):
        return isinstance(absolute, list) and all(map(_same, written, absolute))
    if not isinstance(absolute, str):
        return False
    tail = written.removeprefix("~").removeprefix("./").lstrip("/")
    return absolute == written or absolute.endswith(f"/{tail}")


def _base(spec: AnySpec, blueprint: AnyBlueprint) -> dict[str, bytes]:
    """The weights that a training begins from."""
    place = base_weights(spec)
    return {} if place is None else {BASE: _weights(blueprint, place, shorter=True)}


def _weights(blueprint: AnyBlueprint, checkpoint: Path, *, shorter: bool = False) -> bytes:
    """A checkpoint's weights, as torch saves them."""
    import torch

    from maquette.models.convnext import ConvNeXt
    from maquette.models.gpt import GPT
    from maquette.training.checkpoint import load_weights

    model = GPT(blueprint.shape) if isinstance(blueprint, Blueprint) else ConvNeXt(blueprint.shape)
    load_weights(checkpoint, model, shorter=shorter)
    written = io.BytesIO()
    torch.save(model.state_dict(), written)
    return written.getvalue()
