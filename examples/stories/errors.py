"""Errors for people: what is wrong, where, and how to mend it; and how programs say so.

Made by `maquette eject` (maquette 0.1.0) from the spec stories; blueprint 80a356b50d135d77.
"""

import math
import os
import sys
from collections.abc import Callable


class ReadableError(Exception):
    """Something a person can read and act on; printed without a traceback."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class UsageError(ReadableError):
    """Wrong use: nothing was started."""

    exit_code = 2


class SpecError(UsageError):
    """The spec is wrong. The message begins with `file:line:` where these are known."""


class DeviceError(UsageError):
    """A device, precision or compiler that was asked for by name isn't there."""


class DataError(ReadableError):
    """A data source can't be used; the message names the file or the hub data set."""


class RunError(ReadableError):
    """There is no such run, or it is not in a state that allows this."""


class CheckpointError(RunError):
    """A checkpoint is missing, damaged, or belongs to another model."""


class TrainingError(ReadableError):
    """Training stopped to protect the work done so far."""


def run(main: Callable[[], None]) -> None:
    """Run a program. What went wrong is said without a traceback.

    Ends with 2 for wrong use, 1 for a failure, 130 for Ctrl-C.
    """
    try:
        main()
        sys.stdout.flush()
    except ReadableError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror or error}", file=sys.stderr)
        sys.exit(1)


def count(text: str) -> int:
    """A whole number above 0, from an option. Raises ValueError."""
    number = int(text)
    if number < 1:
        raise ValueError("not above 0")
    return number


def rate(text: str) -> float:
    """A finite number above 0, from an option. Raises ValueError."""
    number = float(text)
    if not 0 < number < math.inf:
        raise ValueError("not above 0, or not finite")
    return number
