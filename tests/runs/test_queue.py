"""Whose turn it is: order of arrival, devices, and tickets of the dead; holders are processes."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from maquette.runs import queue
from maquette.runs.queue import Ticket, ahead_of

HOLD = """
import sys
from pathlib import Path
from maquette.runs.queue import Ticket
with Ticket(Path(sys.argv[1]), sys.argv[2]) as ticket:
    if sys.argv[3] == "works":
        ticket.work()
    print("held", flush=True)
    sys.stdin.read()
"""


class Holders:
    """Processes that hold a ticket each, until they are let go or killed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.started: list[subprocess.Popen[bytes]] = []

    def add(self, device: str = "cpu", *, works: bool = False) -> "subprocess.Popen[bytes]":
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(self._folder), device, "works" if works else "waits"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self.started.append(holder)
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        return holder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "queue"


@pytest.fixture
def holders(folder: Path) -> Iterator[Holders]:
    made = Holders(folder)
    yield made
    for holder in made.started:
        holder.kill()
        holder.communicate()


def test_turns_come_in_the_order_of_arrival(folder: Path, holders: Holders) -> None:
    first = holders.add()
    with Ticket(folder, "cpu") as ticket:
        later = holders.add()
        assert ticket.ahead() == 1
        assert ahead_of(folder, later.pid) == 2
        first.communicate()  # ends in order
        assert ticket.ahead() == 0
        assert ahead_of(folder, later.pid) == 1
        ticket.work()
        assert ahead_of(folder, later.pid) == 1
    assert ahead_of(folder, later.pid) == 0
    assert len(list(folder.iterdir())) == 1


def test_whoever_works_comes_first_however_late(folder: Path, holders: Holders) -> None:
    with Ticket(folder, "cpu") as ticket:
        worker = holders.add(works=True)
        assert ticket.ahead() == 1
        assert ahead_of(folder, worker.pid) == 0
        worker.kill()
        worker.communicate()
        assert ticket.ahead() == 0


def test_a_clock_set_back_lets_nobody_in_before_others(
    folder: Path, holders: Holders, monkeypatch: pytest.MonkeyPatch
) -> None:
    holders.add()
    true_time = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: true_time() - 3600 * 10**9)
    with Ticket(folder, "cpu") as ticket:
        assert ticket.ahead() == 1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("cpu", "cpu", True),
        ("cuda", "cuda:0", True),
        ("cuda:0", "cuda:1", False),
        ("cuda", "cuda:1", False),
        ("cuda:10", "cuda:1", False),
        ("cpu", "cuda", False),
        ("auto", "cpu", True),
        ("cuda:1", "auto", True),
        ("mps", "mps:0", True),
    ],
)
def test_devices_that_may_be_the_same_one(folder: Path, one: str, other: str, same: bool) -> None:
    for mine, theirs in ((one, other), (other, one)):
        with Ticket(folder, theirs) as works, Ticket(folder, mine) as waits:
            works.work()
            assert waits.ahead() == same


def test_tickets_of_the_dead_count_for_nothing_and_go(folder: Path, holders: Holders) -> None:
    killed = holders.add(works=True)
    killed.kill()
    killed.communicate()
    (left,) = folder.iterdir()
    (folder / "a note of somebody's").write_text("")
    with Ticket(folder, "cpu") as ticket:
        assert ticket.ahead() == 0
        assert left.exists()  # it might be one that is being drawn just now
        drawn_ns, _, rest = left.name.partition(".")
        old = left.rename(folder / f"{int(drawn_ns) - 61 * 10**9:020d}.{rest}")
        assert ticket.ahead() == 0
        assert not old.exists()
    assert [path.name for path in folder.iterdir()] == ["a note of somebody's"]


def test_one_that_begins_to_work_while_others_look_is_not_missed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ticket(folder, "cpu") as early, Ticket(folder, "cpu") as late:
        true_live = queue._live
        looks = 0

        def live(place: Path) -> list[queue._Name]:
            nonlocal looks
            looks += 1
            if looks > 1:
                return true_live(place)
            early.work()  # between the listing and the look at its lock
            return [name for name in true_live(place) if not name.works]

        monkeypatch.setattr(queue, "_live", live)
        assert late.ahead() == 1
