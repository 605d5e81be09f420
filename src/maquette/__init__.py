"""From a short YAML spec to a small model you trained, understand and own."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maquette.api import TrainedRun, load_run, load_spec, resolve, train

__all__ = ["TrainedRun", "load_run", "load_spec", "resolve", "train"]


def __getattr__(name: str) -> object:
    """Import the API when it is first used: the command line must start without it."""
    if name in __all__:
        from maquette import api

        return getattr(api, name)
    raise AttributeError(f"module 'maquette' has no attribute {name!r}")
