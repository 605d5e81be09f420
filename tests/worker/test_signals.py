"""In which order signals come, and what each of them does."""

import os
import signal

import pytest

from maquette.worker.signals import StopOnSignal

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
pytestmark = pytest.mark.skipif(os.name == "nt", reason="these signals are POSIX's")


@pytest.mark.parametrize("number", SIGNALS)
def test_before_training_the_first_one_ends_at_once(number: signal.Signals) -> None:
    said: list[str] = []
    with StopOnSignal(said.append) as stop:
        assert not stop()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        assert stop()  # should somebody have swallowed it, the loop still ends after its step
    assert said == []


@pytest.mark.parametrize("first", SIGNALS)
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_in_training_the_first_one_asks_and_the_second_ends(
    first: signal.Signals, second: signal.Signals
) -> None:
    said: list[str] = []
    with StopOnSignal(said.append) as stop:
        stop.patient = True
        assert not stop()
        signal.raise_signal(first)
        assert stop()
        assert len(said) == 1
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(second)
        assert stop()
        assert len(said) == 1


@pytest.mark.parametrize("first", SIGNALS)
def test_a_terminal_that_closes_is_never_the_second(first: signal.Signals) -> None:
    with StopOnSignal() as stop:
        stop.patient = True
        signal.raise_signal(first)
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize("patient", [True, False])
def test_once_the_end_has_begun_nothing_disturbs_it(patient: bool) -> None:
    written = False
    with StopOnSignal() as stop:
        stop.patient = patient
        with pytest.raises(KeyboardInterrupt):
            try:
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)
            finally:
                for number in SIGNALS:
                    signal.raise_signal(number)
                written = True  # that the run stopped
    assert written


def test_a_message_that_cannot_be_printed_now_does_not_end_the_training() -> None:
    def reentrant(_: str) -> None:
        raise RuntimeError("reentrant call inside <_io.BufferedWriter name='<stderr>'>")

    with StopOnSignal(reentrant) as stop:
        stop.patient = True
        signal.raise_signal(signal.SIGTERM)
        assert stop()


def test_afterwards_signals_do_what_they_did() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with StopOnSignal():
        during = [signal.getsignal(number) for number in SIGNALS]
    assert [signal.getsignal(number) for number in SIGNALS] == before
    assert not set(map(id, during)) & set(map(id, before))
