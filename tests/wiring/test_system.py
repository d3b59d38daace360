"""Signals that end a process while it has something to clean up."""

from __future__ import annotations

import os
import signal

import pytest

from chatstore_cli.wiring.system import ending_is_interruption


class SignalsInItsDestructor:
    """An object in whose destructor a signal arrives: Python discards what the handler raises there."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __del__(self) -> None:
        os.kill(os.getpid(), self._number)
        for _ in range(1_000):  # the handler runs between two of these
            pass


@pytest.mark.usefixtures("hangup_ends_processes")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_a_destructor_interrupts_at_the_end_of_the_block(number: signal.Signals) -> None:
    earlier = signal.getsignal(number)
    steps = []
    with pytest.raises(KeyboardInterrupt), ending_is_interruption():
        SignalsInItsDestructor(number)
        steps.append("the block went on")
    assert steps == ["the block went on"]
    assert signal.getsignal(number) is earlier


def test_without_a_signal_the_block_ends_as_usual() -> None:
    with ending_is_interruption():
        pass
