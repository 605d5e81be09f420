"""Read files that grow: a run's metrics.jsonl as events, its worker.log as text.

Opening takes the same short time however large the file is, and following it costs what was added.
"""

import contextlib
import functools
import itertools
import math
import os
import re
import typing
import zlib
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

from maquette.events import EVENTS, CheckpointSaved, Evaluated, Event, StepDone
from maquette.runs.durable import Appender, os_errors, parse_row

TimedEvent = tuple[float, Event]  # when (Unix seconds), and what

WHOLE_BYTES = 2 << 20  # up to this much is read whole
_HEAD_BYTES = 8 << 20  # in which two evaluations are looked for
_LONGEST_LINE = 1 << 20
_MARK_BYTES = 256
_BUFFER_BYTES = 4096  # a look at one place in the file takes one or two of these
_ROWS_A_LOOK = 8
_CURSOR = re.compile(r"(\d{1,18})-(\d{1,3})-([0-9a-f]{8})")


@dataclass(frozen=True, slots=True)
class News:
    """What a run's metrics say that they didn't say before.

    `anew`: what was read earlier no longer counts, if there was anything; show the run from the
    start. Then `history` has events from all over the file, far apart, up to where `events` begin;
    it is empty if the file is small. `events` are complete, one after another.
    """

    anew: bool
    history: list[TimedEvent]
    events: list[TimedEvent]


class Tail:
    """Follows a run's metrics.jsonl.

        tail = Tail(run.metrics_path)
        while ...:
            news = tail.read()
            if news.anew:
                ...  # forget everything, take in news.history
            for at, event in news.events:
                ...

    The first `read` gives an overview, the next ones what was added since, in whole rows. When the
    file was cut (a run that went on from an earlier step), replaced or removed, or when more was
    added than is worth reading, it begins anew. Rows that are damaged are passed over. The file is
    open during `read` only; one that isn't there has no events.
    """

    def __init__(self, path: Path, *, rows: int = 1000, points: int = 400) -> None:
        """Of a large file, take the last `rows` rows, and look at `points` places before them."""
        self.path = path
        self._rows = rows
        self._points = points
        self._offset = -1  # up to where it was read; -1: not yet
        self._mark = b""  # the bytes before the offset: are they still the same?

    def read(self) -> News:
        """What is new since the last call. Raises RunError."""
        with os_errors("read", self.path):
            try:
                file = self.path.open("rb", buffering=_BUFFER_BYTES)
            except FileNotFoundError:
                anew = self._offset != 0
                self._offset, self._mark = 0, b""
                return News(anew, [], [])
            with file:
                end = file.seek(0, os.SEEK_END)
                if self._offset >= 0 and end - self._offset <= WHOLE_BYTES:
                    start = self._offset - len(self._mark)
                    data = _read(file, start, end)
                    if data.startswith(self._mark):
                        return News(False, [], self._take(data[len(self._mark) :]))
                return self._begin(file, end)

    @property
    def cursor(self) -> str:
        """Up to where it was read: what another Tail of the file needs to go on from there."""
        return f"{self._offset}-{len(self._mark)}-{zlib.crc32(self._mark):08x}"

    def go_on(self, cursor: str) -> None:
        """Read on from where the Tail was that gave the cursor, if the file is still the same.

        Raises ValueError for what is no cursor, and RunError.
        """
        found = _CURSOR.fullmatch(cursor)
        if found is None:
            raise ValueError(f"{cursor!r} is no cursor")
        offset, length = int(found[1]), min(int(found[2]), _MARK_BYTES)
        with os_errors("read", self.path), contextlib.suppress(FileNotFoundError):
            with self.path.open("rb", buffering=_BUFFER_BYTES) as file:
                mark = _read(file, max(0, offset - length), offset)
            if len(mark) == length and zlib.crc32(mark) == int(found[3], 16):
                self._offset, self._mark = offset, mark

    def _begin(self, file: BinaryIO, end: int) -> News:
        start = 0 if end <= WHOLE_BYTES else start_of_last(file, end, self._rows + 1)
        self._offset, self._mark = start, b""
        events = self._take(_read(file, start, end))
        last_step = events[0][1].step if events else 0
        return News(True, _Overview(file, start, self._points).events(last_step), events)

    def _take(self, data: bytes) -> list[TimedEvent]:
        whole = data[: data.rfind(b"\n") + 1]
        if len(data) - len(whole) > _LONGEST_LINE:  # no row, but a hole in a damaged file
            whole = data
        self._offset += len(whole)
        self._mark = (self._mark + whole)[-_MARK_BYTES:]
        return [event for line in whole.splitlines(True) if (event := _event(line)) is not None]


def glimpse(path: Path, places: int) -> list[StepDone]:
    """Steps from evenly spaced places of a run's metrics, and the last; none if unreadable."""
    found: dict[int, StepDone] = {}
    with contextlib.suppress(OSError), path.open("rb", buffering=_BUFFER_BYTES) as file:
        end = file.seek(0, os.SEEK_END)
        looks = _Overview(file, end, places)
        for start in (end * i // places for i in range(places)):
            found.update(itertools.islice(looks.steps(start), 1))
        last = start_of_last(file, end, _ROWS_A_LOOK)
        found.update(list(looks.steps(last))[-1:])
    return [found[offset] for offset in sorted(found)]


class TextTail:
    """Follows a text file that is only ever added to."""

    def __init__(self, path: Path, *, lines: int | None = None) -> None:
        """Begin with the last `lines` lines, or with the first."""
        self.path = path
        self._lines = lines
        self._offset = -1

    def read(self) -> bytes | None:
        """What was added since the last call, as it is; None if there is no file. RunError."""
        with os_errors("read", self.path):
            try:
                file = self.path.open("rb", buffering=_BUFFER_BYTES)
            except FileNotFoundError:
                return None
            with file:
                end = file.seek(0, os.SEEK_END)
                if self._offset < 0:
                    whole = self._lines is None
                    self._offset = 0 if whole else start_of_last(file, end, self._lines or 0)
                elif end < self._offset:
                    self._offset = 0
                data = _read(file, self._offset, min(end, self._offset + WHOLE_BYTES))
                self._offset += len(data)
                return data


def start_of_last(file: BinaryIO, end: int, lines: int) -> int:
    """Where the last lines before `end` start; a last one without its newline counts too."""
    size = 256 * (lines + 1)
    while lines:
        start = max(0, end - size)
        data = _read(file, start, end)
        position = len(data) - 1  # the last line's own newline doesn't count
        for _ in range(lines):
            position = data.rfind(b"\n", 0, max(0, position))
            if position < 0:
                break
        else:
            return start + position + 1
        if start == 0 or size > 64 * _LONGEST_LINE:
            return start
        size *= 4
    return end


class _Overview:
    """Looks into the part of a large file before `end`, here and there."""

    def __init__(self, file: BinaryIO, end: int, points: int) -> None:
        self._file = file
        self._end = end
        self._points = points
        self._found: dict[int, TimedEvent] = {}

    def events(self, last_step: int) -> list[TimedEvent]:
        """Some from evenly spaced places, and evaluations: all if they aren't too many.

        `last_step` is that of the event at the end.
        """
        for i in range(self._points):
            start = self._end * i // self._points
            for _, (offset, line) in zip(range(_ROWS_A_LOOK), self.lines(start), strict=False):
                self._keep(offset, line)
        every = self._evaluation_steps()
        if every is not None:
            self._find_evaluations(range(every, last_step + 1, every), (self._end, last_step))
        return [self._found[offset] for offset in sorted(self._found)]

    def lines(self, start: int) -> Iterator[tuple[int, bytes]]:
        """The lines from the first that starts at or after an offset on, each with its own."""
        self._file.seek(max(0, start - 1))
        if start > 0:
            self._file.readline(_LONGEST_LINE)
        while (offset := self._file.tell()) < self._end:
            line = self._file.readline(_LONGEST_LINE)
            if not line:  # cut while we read
                return
            yield offset, line

    def steps(self, start: int) -> Iterator[tuple[int, StepDone]]:
        """Those in the first few lines from an offset on, each with its own."""
        for offset, line in itertools.islice(self.lines(start), _ROWS_A_LOOK):
            event = _event(line)
            if event is not None and isinstance(event[1], StepDone):
                yield offset, event[1]

    def _keep(self, offset: int, line: bytes) -> TimedEvent | None:
        event = self._found.get(offset) or _event(line)
        if event is not None:
            self._found[offset] = event
        return event

    def _evaluation_steps(self) -> int | None:
        """After how many steps the first evaluation comes; the others come at multiples of it."""
        head = _read(self._file, 0, min(self._end, _HEAD_BYTES))
        position = -1
        while (position := head.find(b'"evaluated"', position + 1)) >= 0:
            start = head.rfind(b"\n", 0, position) + 1
            event = _event(head[start : head.find(b"\n", position) + 1])
            if event is not None and isinstance(event[1], Evaluated) and event[1].step > 0:
                return event[1].step
        return None

    def _find_evaluations(self, steps: range, high: tuple[int, int]) -> None:
        low = (0, 0)
        stride = max(1, math.ceil(2 * len(steps) / self._points))
        for step in reversed(steps[::-1][::stride]):  # the last one is always among them
            low = self._find_evaluation(step, low, high)

    def _find_evaluation(
        self, step: int, low: tuple[int, int], high: tuple[int, int]
    ) -> tuple[int, int]:
        """Keep the events from the evaluation after a step; returns a place shortly before it.

        Steps grow along the file at almost an even rate, so that two or three guesses are enough.
        """
        for _ in range(16):
            share = (step - low[1]) / max(1, high[1] - low[1])
            guess = low[0] + int(share * (high[0] - low[0])) - _BUFFER_BYTES // 4
            place = self._place(max(low[0], guess))
            if place is None or place[1] >= step:
                high = (max(low[0], guess), step + 1) if place is None else place
            elif step - place[1] > _ROWS_A_LOOK and place != low:
                low = place
            else:
                low = place
                break
        for _, (offset, line) in zip(range(8 * _ROWS_A_LOOK), self.lines(low[0]), strict=False):
            event = _event(line)
            if event is not None and event[1].step > step:
                break
            if event is not None and event[1].step == step:
                self._found[offset] = event
        return low

    def _place(self, start: int) -> tuple[int, int] | None:
        """Offset and step of the first event at or after an offset, of those in order."""
        for _, (offset, line) in zip(range(_ROWS_A_LOOK), self.lines(start), strict=False):
            event = _event(line)
            if event is not None and not isinstance(event[1], CheckpointSaved):  # it comes late
                return offset, event[1].step
        return None


def timed_event(row: dict[str, Any]) -> TimedEvent | None:
    """The event in a row, with NaN where a number wasn't finite; None if it isn't one."""
    name = row.get("event")
    if not isinstance(name, str) or name not in EVENTS:
        return None
    values = {}
    for field, allowed, optional in _allowed(name):
        value = row.get(field, MISSING)
        if value is MISSING and optional:
            continue
        if value is None and float in allowed and type(None) not in allowed:
            value = math.nan
        if not (type(value) in allowed or (isinstance(value, str) and value in allowed)):
            return None
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            return None
        if isinstance(value, dict):  # a number by source
            value = {name: math.nan if v is None else v for name, v in value.items()}
            if not all(type(v) in (int, float) for v in value.values()):
                return None
        values[field] = value
    at = row.get("at")
    known = float(at) if isinstance(at, int | float) and 0 <= at < 2**63 else 0.0
    return known, EVENTS[name](**values)


@functools.cache
def _allowed(name: str) -> list[tuple[str, frozenset[Any], bool]]:
    """For each field the types that it may have, or the words, and whether it may be missing."""
    found = []
    for field in fields(EVENTS[name]):
        whole = typing.get_origin(field.type) is dict  # its arguments are of what is in it
        options = {dict} if whole else set(typing.get_args(field.type) or [field.type])
        if float in options:
            options.add(int)
        optional = field.default is not MISSING or field.default_factory is not MISSING
        found.append((field.name, frozenset(options), optional))
    return found


def _event(line: bytes) -> TimedEvent | None:
    row = parse_row(line)
    return None if row is None else timed_event(row)


def _read(file: BinaryIO, start: int, end: int) -> bytes:
    file.seek(start)
    return file.read(max(0, end - start))


def cut_events(path: Path, aside: Path, step: int) -> None:
    """Move the rows from the first one of a later step on into another file."""
    offset = 0
    with os_errors("rewrite", path):
        if not path.exists():
            return
        with path.open("rb+") as file:
            for line in file:
                row = parse_row(line)
                if row is not None and isinstance(row.get("step"), int) and row["step"] > step:
                    break
                offset += len(line)
            else:
                return
            file.seek(offset)
            with Appender(aside) as rows:
                for line in file:
                    row = parse_row(line)
                    if row is not None:
                        rows.append(row)
                rows.flush(sync=True)
            file.truncate(offset)
            file.flush()
            os.fsync(file.fileno())
