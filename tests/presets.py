"""The shipped presets, by task."""

from maquette.spec.load import load_spec, preset_names
from maquette.spec.schema import Spec

LANGUAGE = [name for name in preset_names() if isinstance(load_spec(name), Spec)]
IMAGES = [name for name in preset_names() if name not in LANGUAGE]
