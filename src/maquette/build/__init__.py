"""From a blueprint and its data to everything that trains."""

from maquette.build.training import Training, decide_to_compile
from maquette.training.rates import rate_factor

__all__ = ["Training", "decide_to_compile", "rate_factor"]
