"""Looking for a line from the end of a file."""

import os
from collections.abc import Callable


def end_of_last(handle: int, is_whole: Callable[[bytes], bool]) -> int:
    """Bytes up to the end of the last whole line of an open file, reading backwards in blocks.

    `is_whole` judges lines with their newlines.
    """
    end = os.lseek(handle, 0, os.SEEK_END)
    while end > 0:
        start = _line_start(handle, end)
        line = _read_at(handle, start, end - start)
        if is_whole(line):
            return end
        end = start
    return 0


def _line_start(handle: int, end: int) -> int:
    position = end - 1  # the line's own newline doesn't count
    while position > 0:
        block_start = max(0, position - 65536)
        newline = _read_at(handle, block_start, position - block_start).rfind(b"\n")
        if newline >= 0:
            return block_start + newline + 1
        position = block_start
    return 0


def _read_at(handle: int, start: int, count: int) -> bytes:
    os.lseek(handle, start, os.SEEK_SET)
    parts = []
    while count > 0 and (part := os.read(handle, count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
