"""Growing files, compared with what was written: small, huge, cut, replaced, torn, damaged."""

import dataclasses
import itertools
import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from maquette.errors import RunError
from maquette.events import Evaluated, Event, Finished, Note, Sampled, Started, StepDone, to_row
from maquette.runs import tail as tails
from maquette.runs.tail import News, Tail, TextTail, TimedEvent, glimpse, timed_event


def a_run(steps: int, every: int = 10) -> list[TimedEvent]:
    """Events of a run, a second apart, with rows of very different lengths."""
    found: list[Event] = [
        Started(0, steps, 1234, "cpu", "float32", False),
        Evaluated(0, "validation", 9.0, 8.0, 2.0, None, True, 0.1),
    ]
    for step in range(1, steps + 1):
        found.append(StepDone(step, step / 100, step * 64, 2 + 1 / step, 1e-3, 0.5, 0.1))
        if step % every == 0 or step == steps:
            found.append(Evaluated(step, "validation", 3 + 1 / step, 5.0, 2.0, None, False, 0.1))
        if step % (2 * every) == 0:
            found.append(Sampled(step, "Once", " upon a time" * (step % 70)))
    found.append(Finished(steps, "completed"))
    return [(100.0 + i, event) for i, event in enumerate(found)]


def lines(events: list[TimedEvent]) -> bytes:
    return b"".join(json.dumps({"at": at, **to_row(e)}).encode() + b"\n" for at, e in events)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """What counts as large is small here."""
    monkeypatch.setattr(tails, "WHOLE_BYTES", 20_000)


def test_a_small_file_is_read_whole_and_followed(path: Path) -> None:
    events = a_run(50)
    tail = Tail(path)
    assert tail.read() == News(True, [], [])
    assert tail.read() == News(False, [], [])
    path.write_bytes(lines(events[:20]))
    assert tail.read() == News(False, [], events[:20])
    assert tail.read() == News(False, [], [])
    with path.open("ab") as file:
        file.write(lines(events[20:]))
    assert tail.read() == News(False, [], events[20:])
    assert Tail(path).read() == News(True, [], events)


def test_whole_rows_only_however_they_arrive(path: Path) -> None:
    events = a_run(30)
    tail, found = Tail(path), []
    path.touch()
    tail.read()
    data = lines(events)
    generator = random.Random(0)
    while data:
        count = generator.randrange(1, 200)
        with path.open("ab") as file:
            file.write(data[:count])
        data = data[count:]
        news = tail.read()
        assert not news.anew
        found += news.events
    assert found == events


@pytest.mark.parametrize("added", [0, 1, 30])
def test_a_file_that_was_cut_begins_anew(path: Path, added: int) -> None:
    """As after a run that went on from an earlier step, whether it is shorter or longer by now."""
    before, after = a_run(40), a_run(80)
    after = before[:20] + [(at + 1000, event) for at, event in after[20 : 20 + added]]
    path.write_bytes(lines(before))
    tail = Tail(path)
    tail.read()
    path.write_bytes(lines(after))
    assert tail.read() == News(True, [], after)
    assert tail.read() == News(False, [], [])


def test_a_file_that_went_away_begins_anew(path: Path) -> None:
    events = a_run(20)
    path.write_bytes(lines(events))
    tail = Tail(path)
    tail.read()
    path.unlink()
    assert tail.read() == News(True, [], [])
    path.write_bytes(lines(events))
    assert tail.read() == News(False, [], events)


def test_another_tail_goes_on_from_a_cursor(path: Path) -> None:
    events = a_run(50)
    data = lines(events)
    cut = len(lines(events[:30])) + 7  # in the middle of a row
    path.write_bytes(data[:cut])
    first = Tail(path)
    assert first.read().events == events[:30]
    path.write_bytes(data)
    second = Tail(path)
    second.go_on(first.cursor)
    assert second.read() == News(False, [], events[30:])
    for changed in (data[:200], b"x" + data[:cut].replace(b"step", b"STEP"), b""):
        path.write_bytes(changed)
        third = Tail(path)
        third.go_on(first.cursor)
        assert third.read().anew
    path.unlink()
    fourth = Tail(path)
    fourth.go_on(first.cursor)
    assert fourth.read() == News(True, [], [])


@pytest.mark.parametrize("cursor", ["", "1", "1-2", "-1-2-00000000", "1-2-0000000g", "1" * 99])
def test_what_is_no_cursor(path: Path, cursor: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        Tail(path).go_on(cursor)


def test_a_glimpse_of_a_run(path: Path) -> None:
    assert glimpse(path, 40) == []
    path.write_bytes(lines(a_run(5)))
    assert [step.step for step in glimpse(path, 40)] == [1, 2, 3, 4, 5]
    path.write_bytes(lines(a_run(5000)) + b"torn")
    found = [step.step for step in glimpse(path, places=20)]
    assert 15 <= len(found) <= 21
    assert found[0] == 1
    assert found[-1] == 5000
    assert max(b - a for a, b in itertools.pairwise(found)) < 1000
    path.unlink()
    path.mkdir()
    assert glimpse(path, 40) == []


def test_an_overview_of_a_large_file(path: Path, large: None) -> None:
    events = a_run(5000, every=100)
    path.write_bytes(lines(events))
    tail = Tail(path, rows=200, points=100)
    news = tail.read()
    assert news.anew
    assert news.events == events[-len(news.events) :]
    assert 200 <= len(news.events) <= 202
    history = news.history
    assert history == [event for event in events if event in history]  # in order, no one twice
    assert history[0] == events[0]
    seen = [event.step for _, event in history + news.events]
    assert max(b - a for a, b in itertools.pairwise(seen)) < 5000 / 100 * 2
    assert len(history) < 1500
    evaluated = [event for _, event in history + news.events if isinstance(event, Evaluated)]
    assert evaluated == [event for _, event in events if isinstance(event, Evaluated)]
    with path.open("ab") as file:
        file.write(lines(events[:5]))
    assert tail.read() == News(False, [], events[:5])


def test_too_many_evaluations_are_thinned_but_for_the_last(path: Path, large: None) -> None:
    events = a_run(4000, every=7)
    path.write_bytes(lines(events))
    news = Tail(path, rows=3, points=60).read()
    steps = [event.step for _, event in news.history if isinstance(event, Evaluated)]
    assert 30 <= len(steps) < 300
    assert steps[-1] == 4000 // 7 * 7


def test_much_that_came_at_once_is_an_overview(path: Path, large: None) -> None:
    events = a_run(2000)
    path.write_bytes(lines(events[:50]))
    tail = Tail(path, rows=20, points=10)
    assert tail.read().events == events[:50]
    path.write_bytes(lines(events))
    news = tail.read()
    assert news.anew
    assert news.history[0] == events[0]
    assert news.events == events[-21:]


@pytest.mark.parametrize("seed", range(20))
def test_damage_is_passed_over(path: Path, large: None, seed: int) -> None:
    generator = random.Random(seed)
    data = bytearray(lines(a_run(1000)))
    for _ in range(50):
        where = generator.randrange(len(data))
        match generator.randrange(3):
            case 0:
                data[where] ^= 1 << generator.randrange(8)
            case 1:
                data[where : where + 3000] = bytes(3000)
            case 2:
                del data[where : where + generator.randrange(3000)]
    path.write_bytes(data)
    tail = Tail(path, rows=100, points=50)
    news = tail.read()
    assert news.history
    path.write_bytes(data[: generator.randrange(len(data))])
    assert tail.read().anew


def test_a_file_without_lines(path: Path, large: None) -> None:
    path.write_bytes(bytes(3_000_000))
    tail = Tail(path, rows=5)
    assert tail.read() == News(True, [], [])
    assert tail.read() == News(False, [], [])


def test_a_folder_in_its_place_is_an_error_for_people(path: Path) -> None:
    path.mkdir()
    with pytest.raises(RunError, match=r"can't read .*metrics\.jsonl: is a directory"):
        Tail(path).read()


def row(**changes: Any) -> dict[str, Any]:
    step = StepDone(3, 0.5, 192, 2.5, 1e-3, 0.5, 0.1)
    return {"at": 5.5, **to_row(step), **changes}


def test_events_and_their_times() -> None:
    assert timed_event(row()) == (5.5, StepDone(3, 0.5, 192, 2.5, 1e-3, 0.5, 0.1))
    assert timed_event(row(at="soon", extra=1)) is not None
    assert timed_event(row(at=None)) == (0.0, StepDone(3, 0.5, 192, 2.5, 1e-3, 0.5, 0.1))
    old = row()
    old.pop("batch", None)  # came later, and has a default
    assert timed_event(old) == (5.5, StepDone(3, 0.5, 192, 2.5, 1e-3, 0.5, 0.1))
    found = timed_event(row(loss=None))
    assert found is not None
    assert isinstance(found[1], StepDone)
    assert math.isnan(found[1].loss)
    assert timed_event({"event": "note", "step": 1, "text": "x"}) == (0.0, Note(1, "x"))


@pytest.mark.parametrize(
    "changes",
    [
        {"event": "other"}, {"event": ["step"]}, {"event": None}, {"step": "3"}, {"step": None},
        {"step": True}, {"step": 3.5}, {"step": 2**63}, {"loss": "2"}, {"loss": 10**400},
        {"loss": [1]},
    ],
)  # fmt: skip
def test_rows_that_are_no_events(changes: dict[str, Any]) -> None:
    assert timed_event(row(**changes)) is None


def test_numbers_by_source_come_back() -> None:
    event = Evaluated(
        1, "validation", 3.0, 5.0, 2.0, None, True, 0.1, {"a": 2.5, "b": 3}, {"a": 64, "b": 0}
    )
    row = {"at": 1.0, **to_row(event)}
    assert timed_event(row) == (1.0, event)
    old = {key: row[key] for key in row if key not in ("sources", "tokens_seen")}
    assert timed_event(old) == (1.0, dataclasses.replace(event, sources={}, tokens_seen={}))
    for wrong in ({"a": "2"}, [2.5], 2.5, None):
        assert timed_event({**row, "sources": wrong}) is None
    found = timed_event({**row, "sources": {"a": None}})
    assert found is not None
    assert isinstance(found[1], Evaluated)
    assert math.isnan(found[1].sources["a"])


def test_a_reason_is_one_of_ours() -> None:
    assert timed_event({"event": "finished", "step": 1, "reason": "stopped"}) is not None
    assert timed_event({"event": "finished", "step": 1, "reason": "bored"}) is None


@pytest.mark.parametrize("text", [b"a\nbb\nccc\n", b"a\nbb\nccc", b"", b"\n\n\n", b"x" * 9999])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, None])
def test_the_last_lines_of_a_text(tmp_path: Path, text: bytes, count: int | None) -> None:
    path = tmp_path / "worker.log"
    tail = TextTail(path, lines=count)
    assert tail.read() is None
    path.write_bytes(text)
    whole = text.splitlines(keepends=True)
    expected = whole if count is None else whole[len(whole) - min(count, len(whole)) :]
    assert tail.read() == b"".join(expected)
    assert tail.read() == b""
    with path.open("ab") as file:
        file.write(b"more")
    assert tail.read() == b"more"


def test_many_long_lines(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    text = [b"%d " % i + b"x" * (i % 3000) + b"\n" for i in range(1000)]
    path.write_bytes(b"".join(text))
    assert TextTail(path, lines=500).read() == b"".join(text[500:])
