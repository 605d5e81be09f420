"""Errors for people: what is wrong, where, and how to mend it.

Made by `maquette eject` (maquette 0.1.0) from the spec gpt2; blueprint a6be616f88eb2fc6.
"""


class ReadableError(Exception):
    """Something a person can read and act on; printed without a traceback."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class UsageError(ReadableError):
    """Wrong use: nothing was started."""


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
