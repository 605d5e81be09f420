"""The command line: thin shells that parse, call and print."""

import os
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run `maquette` with these arguments; returns the exit code.

    0 done; 1 failed; 2 wrong use or wrong spec; 130 after Ctrl-C, and 128 and its number after
    another signal that stopped a training. Errors for people go to stderr without a traceback; that
    of an unexpected one is saved to a file, or shown with MAQUETTE_DEBUG.
    """
    try:
        return _main(argv)
    except KeyboardInterrupt:  # while a command was being imported, or at its very end
        return 130


def _main(argv: Sequence[str] | None) -> int:
    import typer

    # Threads that wait by spinning crawl when anything else wants a core: two trainings at once
    # took eleven times their time each, and take twice with this; alone it costs up to a tenth.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    from maquette.cli import common
    from maquette.cli.app import app
    from maquette.errors import MaquetteError

    code = 0
    common.prepare_output()
    try:
        try:
            result = app(args=argv, prog_name="maquette", standalone_mode=False)
            code = result if isinstance(result, int) else 0
        finally:
            sys.stdout.flush()  # here, where a full disk or a closed pipe can still be told
    except MaquetteError as error:
        common.print_error(error.message, error.hint)
        code = error.exit_code
    except typer.TyperException as error:
        common.print_error(error.format_message(), common.usage_hint(error))
        code = error.exit_code
    except typer.Abort:
        common.print_error("nothing was done")
        code = 1
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        code = 1
    except OSError as error:
        common.print_error(*common.describe_os_error(error))
        code = 1
    except Exception as error:
        common.print_unexpected(error)
        code = 1
    common.settle_output()
    return code
