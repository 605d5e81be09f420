"""The panel on recorded consoles: wide, narrow, low, without colours, without a terminal."""

import dataclasses
import io
import itertools
import math
import re

import pytest
from rich.cells import cell_len
from rich.console import Console

from maquette.cli import panel
from maquette.cli.panel import LivePanel, PlainLines, progress
from maquette.cli.view import Watch
from maquette.events import (
    CheckpointDue,
    CheckpointSaved,
    Evaluated,
    Event,
    Finished,
    Note,
    Sampled,
    Started,
    StepDone,
)
from maquette.runs.state import State, Status


def events(last: int = 300, *, finish: bool = True) -> list[Event]:
    found: list[Event] = [
        Started(0, 300, 10_200_000, "cpu", "bf16", True),
        Note(0, "compiling saves 3min"),
        Sampled(0, "Once", "\x1b[2J\x07 zq\nxv"),
    ]
    for step in range(1, last + 1):
        loss = 1.5 + 9 * math.exp(-step / 50)
        found.append(StepDone(step, step / 100, step * 64, loss, 1e-3, 0.5, 0.05))
        if step % 100 == 0:
            found.append(Evaluated(step, "validation", loss + 0.1, 5.0, 2.0, None, step < 300, 0.1))
            found.append(Sampled(step, "Once", " upon a time there was a cat. " * 20))
            found += [CheckpointDue(step, True), CheckpointSaved(step, True, 1000, 0.1)]
    return [*found, Finished(last, "completed")] if finish else found


class Ticking:
    """A clock that goes on by a second whenever it is read."""

    def __init__(self) -> None:
        self._times = itertools.count()

    def monotonic(self) -> float:
        return float(next(self._times))


def show(width: int, height: int, *, terminal: bool = True, **settings: object) -> str:
    file = io.StringIO()
    console = Console(
        file=file,
        width=width,
        height=height,
        force_terminal=terminal,
        _environ={"TERM": "xterm-256color", **settings},  # type: ignore[dict-item]
    )
    with progress(console, title="tiny-calm-otter", steps=300, tokens_per_step=64) as shown:
        assert isinstance(shown, LivePanel if terminal and width >= 40 else PlainLines)
        for event in events():
            shown.show(event)
    return file.getvalue()


def last_frame(output: str) -> list[str]:
    """What the terminal shows at the end, without colours."""
    frame = output.rpartition("╭")[2]
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", "╭" + frame).rstrip().splitlines()


@pytest.mark.parametrize("width", [40, 60, 96, 200])
def test_the_panel_fits_its_terminal(width: int) -> None:
    frame = last_frame(show(width, 30))
    assert {cell_len(line) for line in frame} == {width}
    assert "tiny-calm-otter" in frame[0]
    whole = "\n".join(frame)
    assert "300/300" in whole
    assert re.search(r"loss 1\.5\d\d", whole)
    assert re.search(r"[\u2801-\u28ff]{5}", whole)
    # No fact is torn apart; this one is the longest.
    for fact in ("validation 1.622 (best 1.765 at 200)", "learning rate 1.00e-03"):
        assert fact in whole
    if width >= 60:
        assert "completed" in whole
        assert "10.2M parameters, cpu, bf16, compiled" in frame[-1]
        assert "step 300 wrote Once upon a time" in whole


@pytest.mark.parametrize("height", [8, 10, 13, 16, 50])
def test_the_panel_is_not_higher_than_its_terminal(height: int) -> None:
    for width in (40, 60, 100):
        assert len(last_frame(show(width, height))) <= height


def test_what_a_model_writes_cannot_command_the_terminal() -> None:
    output = show(100, 30)
    assert "\x1b[2J" not in output
    assert "\x07" not in output


def test_a_terminal_without_unicode_keeps_its_width() -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii", errors="backslashreplace")
    console = Console(file=file, width=60, height=30, force_terminal=True, _environ={"TERM": "vt"})
    with progress(console, title="tiny", steps=1, tokens_per_step=1) as shown:
        shown.show(Sampled(0, "", "\N{REPLACEMENT CHARACTER}é" * 100))
    file.flush()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", raw.getvalue().decode("ascii"))
    assert "wrote ???" in plain
    assert {len(line) for line in plain.splitlines() if line.startswith(("|", "+"))} == {60}


def test_no_colour() -> None:
    output = show(80, 30, NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", output)
    assert any("300/300" in line for line in last_frame(output))


@pytest.mark.parametrize(("terminal", "width"), [(False, 80), (True, 30)])
def test_plain_lines(terminal: bool, width: int) -> None:
    lines = show(width, 24, terminal=terminal).splitlines()
    assert lines[0] == "tiny-calm-otter: 10.2M parameters, cpu, bf16, compiled, 300 steps"
    assert lines[1] == "note: compiling saves 3min"
    assert lines[2] == "step 0 wrote: Once [2J zq xv"
    steps = [line for line in lines if line.startswith("step ") and "tokens/s" in line]
    assert steps[0].startswith("step 1/300  loss 10.3")
    assert steps[-1].startswith("step 300/300")
    assert "step 300: validation loss 1.622, perplexity 5.00" in lines
    assert "step 200: validation loss 1.765 (best), perplexity 5.00" in lines
    assert lines[-1] == "completed at step 300"


def test_a_dumb_terminal_gets_lines() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "dumb"})
    with progress(console, title="x", steps=1, tokens_per_step=1) as shown:
        assert isinstance(shown, PlainLines)


def test_speed_and_time_left_go_by_the_events_own_times() -> None:
    watch = Watch("x")
    watch.recall(Started(0, 100, 1, "cpu", "fp32", False))
    watch.recall(StepDone(10, 1.0, 640, 2.0, 1e-3, 0.5, 0.5))  # long ago: not the pace of now
    for step in range(40, 50):
        watch.add(StepDone(step, 1.0, step * 64, 2.0, 1e-3, 0.5, 0.5), 1000.0 + 2 * step)
    assert dict(watch.facts())["tokens/s"] == "128"
    assert watch.left() == "1min34s left"  # 51 times 0.5 s, and 1.35 s: nine gaps for ten steps
    watch.add(Started(49, 100, 1, "cpu", "fp32", False), 9e5)  # a resume, days later
    assert watch.left() == ""
    watch.add(StepDone(50, 1.0, 3200, 2.0, 1e-3, 0.5, 0.5), 9e5 + 1)
    assert watch.left() == "25s left"


def test_of_images_the_accuracy_is_told_and_the_speed_in_images() -> None:
    watch = Watch("x", unit="images")
    for step in range(3):
        watch.add(StepDone(step, 1.0, step * 64, 2.0, 1e-3, 0.5, 0.5), float(step))
    watch.add(Evaluated(3, "validation", 0.9, accuracy=0.75, top5=0.9))
    facts = dict(watch.facts())
    assert facts["accuracy"] == "75.00%"
    assert "images/s" in facts
    assert "tokens/s" not in facts


def test_what_the_state_knows_counts() -> None:
    watch = Watch("x")
    for event in events(200, finish=False):
        watch.add(event, 5.0)
    state = State("running", step=200, steps=400, best_loss=1.2, best_step=77)
    state = dataclasses.replace(state, eta_seconds=7200.0, tokens_per_second=5e5, device="cuda:1")
    assert watch.look(state, "")
    assert not watch.look(state, "")
    assert watch.left() == "2h left"
    facts = dict(watch.facts())
    assert facts["validation"].endswith("(best 1.200 at 77)")
    assert facts["tokens/s"] == "500k"
    assert "cuda:1" in watch.machine()
    assert watch.look(state, "starting")
    assert watch.left() == "starting"
    ends: tuple[Status, ...] = ("lost", "failed", "stopped", "completed")
    for status in ends:
        watch.look(state.changed(status, 9.0), "")
        assert watch.left() == status
    watch.look(dataclasses.replace(state, eta_seconds=math.nan, tokens_per_second=math.inf), "")
    assert watch.left() == ""
    assert "tokens/s" not in dict(watch.facts())


@pytest.mark.parametrize("loss", [1e300, 1e5, 99.995, 1e-300, math.inf, math.nan, 0.0, -4.0])
def test_losses_beyond_reason_keep_the_panel_whole(loss: float) -> None:
    file = io.StringIO()
    console = Console(file=file, width=60, height=20, force_terminal=True)
    with progress(console, title="x", steps=9, tokens_per_step=1) as shown:
        for step, value in enumerate((2.0, loss, 3.0), start=1):
            shown.show(StepDone(step, 0.0, 1, value, 1e-3, 0.5, 0.1))
            shown.show(Evaluated(step, "validation", value, value, 2.0, None, True, 0.1))
    frame = last_frame(file.getvalue())
    assert {cell_len(line) for line in frame} == {60}
    assert len(frame) <= 20


def test_lines_come_every_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panel, "time", Ticking())
    output = show(80, 24, terminal=False)
    steps = [line for line in output.splitlines() if "tokens/s" in line]
    assert 25 < len(steps) < 100  # the clock is read once or twice a step


def test_an_interruption_leaves_the_panel_and_the_cursor() -> None:
    file = io.StringIO()
    console = Console(file=file, width=80, height=30, force_terminal=True)

    def interrupted() -> None:
        with progress(console, title="x-y-z", steps=300, tokens_per_step=64) as shown:
            for event in events(100, finish=False):
                shown.show(event)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert any("100/300" in line for line in last_frame(file.getvalue()))
    assert file.getvalue().rstrip().endswith("\x1b[?25h")  # the cursor is shown again


class Gone(io.StringIO):
    """A terminal that may go away."""

    gone = False

    def write(self, text: str) -> int:
        if self.gone:
            raise OSError(5, "Input/output error")
        return super().write(text)


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_that_went_away_does_not_end_the_training(terminal: bool) -> None:
    file = Gone()
    console = Console(file=file, width=80, height=30, force_terminal=terminal)
    shown_events = 0
    with progress(console, title="x", steps=300, tokens_per_step=64) as shown:
        file.gone = True
        for event in events():
            shown.show(event)
            shown_events += 1
    assert shown_events == len(events())
