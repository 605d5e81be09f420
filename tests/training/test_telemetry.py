"""Figures of the machine, held against those of others."""

import os
import time

import psutil
import pytest
import torch

from maquette.training.telemetry import Meter

CPU = torch.device("cpu")


class Clock:
    """The two clocks of a process, which go as they are told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall = self.cpu = 100.0
        monkeypatch.setattr(time, "monotonic", lambda: self.wall)
        monkeypatch.setattr(time, "process_time", lambda: self.cpu)


def test_cpu_percent_is_that_of_the_time_since_the_last_reading(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    meter = Meter(CPU)
    assert meter.read().cpu_percent is None
    clock.wall, clock.cpu = 102.0, 103.5
    assert meter.read().cpu_percent == pytest.approx(175)
    clock.wall, clock.cpu = 104.0, 104.0
    assert meter.read().cpu_percent == pytest.approx(25)


def test_a_reading_right_after_another_repeats_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    meter = Meter(CPU)
    clock.wall, clock.cpu = 101.0, 101.0
    assert meter.read().cpu_percent == pytest.approx(100)
    clock.wall, clock.cpu = 101.001, 101.01  # ten threads for a moment
    assert meter.read().cpu_percent == pytest.approx(100)
    clock.wall, clock.cpu = 102.0, 101.5  # counted from the reading before that moment
    assert meter.read().cpu_percent == pytest.approx(50)


def busy_seconds(seconds: float) -> None:
    end = os.times().user + os.times().system + seconds
    while os.times().user + os.times().system < end:
        sum(range(1000))


def test_cpu_percent_agrees_with_psutils() -> None:
    theirs = psutil.Process()
    theirs.cpu_percent()
    meter = Meter(CPU)
    busy_seconds(0.7)
    ours, other = meter.read().cpu_percent, theirs.cpu_percent()
    assert ours is not None
    assert 0 < ours <= 100 * (os.cpu_count() or 1)
    assert ours == pytest.approx(other, rel=0.1)  # theirs counts in hundredths of a second


def test_memory_grows_by_what_is_taken() -> None:
    meter = Meter(CPU)
    before = meter.read()
    block = bytearray(os.urandom(1 << 20) * 64)
    after = meter.read()
    assert before.memory_bytes is not None
    assert after.memory_bytes is not None
    assert after.memory_bytes - before.memory_bytes > 0.8 * len(block)
    assert after.memory_bytes == pytest.approx(psutil.Process().memory_info().rss, rel=0.05)
    assert after.machine_memory_bytes == psutil.virtual_memory().total > after.memory_bytes


def test_without_a_gpu_it_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    figures = Meter(CPU).read()
    assert (figures.gpu_percent, figures.gpu_memory_bytes, figures.gpu_total_bytes) == (None,) * 3
    assert "CUDA" in (figures.gpu_note or "") or "NVIDIA" in (figures.gpu_note or "")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert Meter(CPU).read().gpu_note == "it trains on the CPU"


class UnknownError(Exception):
    """What the driver's library raises is no RuntimeError."""


@pytest.mark.parametrize("error", [None, ModuleNotFoundError("no library"), UnknownError("parts")])
def test_what_a_gpu_does_not_tell_is_no_reason_to_end(
    monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    def utilization(_: object) -> int:
        if error is not None:
            raise error
        return 42

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (60, 100))
    monkeypatch.setattr(torch.cuda, "utilization", utilization)
    figures = Meter(torch.device("cuda")).read()
    assert (figures.gpu_memory_bytes, figures.gpu_total_bytes) == (40, 100)
    if error is None:
        assert (figures.gpu_percent, figures.gpu_note) == (42.0, None)
    else:
        assert figures.gpu_percent is None
        assert str(error) in (figures.gpu_note or "")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_the_figures_of_a_real_gpu() -> None:
    block = torch.empty(1 << 28, dtype=torch.uint8, device="cuda")
    figures = Meter(torch.device("cuda")).read()
    assert figures.gpu_memory_bytes is not None
    assert figures.gpu_total_bytes is not None
    assert len(block) < figures.gpu_memory_bytes < figures.gpu_total_bytes
    assert figures.gpu_percent is not None or figures.gpu_note
