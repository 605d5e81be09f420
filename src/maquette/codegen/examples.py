"""Make the projects in `examples/` anew: `python -m maquette.codegen.examples [PRESET ...]`.

What the data says of itself is taken from the blueprint that is there already, so that nothing has
to be downloaded; a preset named on the command line has its data prepared.
"""

from pathlib import Path

EXAMPLES = Path(__file__).parents[3] / "examples"
