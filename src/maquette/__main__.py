"""`python -m maquette` is the `maquette` command."""

import sys

from maquette.cli import main

if __name__ == "__main__":
    sys.exit(main())
