"""From a spec, whatever its task, to its data and its blueprint. Without torch."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from maquette.blueprint.blueprint import AnyBlueprint
from maquette.blueprint.resolve import resolve
from maquette.blueprint.resolve_images import resolve_images
from maquette.facts import DataFacts, ImageFacts
from maquette.spec.schema import Spec
from maquette.spec.task import AnySpec

if TYPE_CHECKING:
    from maquette.data.image.prepare import ImageProgress, PreparedImages
    from maquette.data.prepare import Prepared, Progress

    AnyPrepared = Prepared | PreparedImages
    AnyProgress = Progress | ImageProgress


def prepare_data(
    spec: AnySpec,
    *,
    cache: Path | None = None,
    progress: "Callable[[AnyProgress], None] | None" = None,
    tokenizer: Path | None = None,
) -> "AnyPrepared":
    """The spec's text as tokens, or its images as pixels: found in the cache, or put there.

    `cache` takes the place of $MAQUETTE_CACHE; `tokenizer` as in `data.prepare`. Raises DataError.
    """
    if isinstance(spec, Spec):
        from maquette.data.prepare import prepare

        return prepare(spec, cache=cache, progress=progress, tokenizer=tokenizer)
    from maquette.data.image.prepare import prepare_images
    from maquette.data.image.sources import open_images_source

    ((name, source),) = spec.data.sources.items()
    return prepare_images(
        name,
        open_images_source(name, source),
        size=spec.model.image_size,
        seed=spec.seed,
        cache=cache,
        progress=progress,
    )


def find_data(spec: AnySpec, *, cache: Path | None = None) -> "AnyPrepared | None":
    """What `prepare_data` would find in the cache; None if it had to be made. Raises DataError."""
    if isinstance(spec, Spec):
        from maquette.data.prepare import find_prepared

        return find_prepared(spec, cache=cache)
    from maquette.data.image.prepare import find_images
    from maquette.data.image.sources import open_images_source

    ((name, source),) = spec.data.sources.items()
    source_found = open_images_source(name, source)
    return find_images(name, source_found, size=spec.model.image_size, seed=spec.seed, cache=cache)


def resolve_any(spec: AnySpec, facts: DataFacts | ImageFacts) -> AnyBlueprint:
    """Every number of a run, whatever its task. Raises SpecError."""
    if isinstance(spec, Spec):
        assert isinstance(facts, DataFacts)
        return resolve(spec, facts)
    assert isinstance(facts, ImageFacts)
    return resolve_images(spec, facts)
