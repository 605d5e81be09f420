"""Every error that maquette raises for a person to read.

    MaquetteError            exit code 1: what was asked for could not be done
    ├── UsageError           exit code 2: the command line asks for something impossible
    │   ├── SpecError        the spec is wrong: file, line, field, value, repair
    │   └── DeviceError      a device or precision that this machine doesn't have
    ├── DataError            a file, folder or hub data set can't be used
    ├── RunError             no such run, or a run in the wrong state
    │   └── CheckpointError  a checkpoint is missing or damaged
    ├── DamagedError         a file isn't what its manifest says it was
    └── TrainingError        training had to stop: not finite, out of memory

The message says what is wrong, where, and which value; `hint` says how to mend it.
Our own broken invariants are `assert`s, never one of these.
"""


class MaquetteError(Exception):
    """Something a person can read and act on; printed without a traceback."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class UsageError(MaquetteError):
    """Wrong use: nothing was started."""

    exit_code = 2


class SpecError(UsageError):
    """The spec is wrong. The message begins with `file:line:` where these are known."""


class DeviceError(UsageError):
    """A device, precision or compiler that was asked for by name isn't there."""


class DataError(MaquetteError):
    """A data source can't be used; the message names the file or the hub data set."""


class RunError(MaquetteError):
    """There is no such run, or it is not in a state that allows this."""


class CheckpointError(RunError):
    """A checkpoint is missing, damaged, or belongs to another model."""


class DamagedError(MaquetteError):
    """A file is missing or isn't what its manifest says; the message names it and how."""


class TrainingError(MaquetteError):
    """Training stopped to protect the work done so far."""
