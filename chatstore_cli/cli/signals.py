"""Detects requests to stop a service: TERM, INT, or the end of the process that reads its output."""

from __future__ import annotations

import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TextIO


class StopSignals:
    """The number of TERM and INT signals received so far. It is callable, so that core/ need not know signals."""

    def __init__(self) -> None:
        self._count = 0
        self.names = "TERM or INT"
        """The signals that stop the service, for a notice."""

    def __call__(self) -> int:
        return self._count

    def count(self, _number: int, _frame: FrameType | None) -> None:
        """Handle a signal. It only counts: taking a lock could deadlock with the code that was interrupted."""
        self._count += 1


@contextmanager
def stop_signals() -> Iterator[StopSignals]:
    """Count TERM and INT inside the block instead of ending the process. A signal that was ignored stays ignored.

    A shell ignores INT for a background job (`&`) of a script: the signal is not meant for this process then.
    """
    signals = StopSignals()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    counted = [number for number, handler in handlers.items() if handler is not signal.SIG_IGN]
    names = [number.name.removeprefix("SIG") for number in counted]
    signals.names = " or ".join(names) or "Only KILL"
    try:
        for number in counted:
            signal.signal(number, signals.count)
        yield signals
    finally:
        for number in counted:
            signal.signal(number, handlers[number])


def reader_is_gone(stream: TextIO) -> bool:
    """Whether the reader of this pipe has ended (`| head -1`), which is known before anything is written."""
    if not hasattr(select, "poll"):
        return False
    poller = select.poll()
    try:
        poller.register(stream.fileno(), 0)
        return any(events & (select.POLLERR | select.POLLHUP) for _, events in poller.poll(0))
    except (OSError, ValueError):
        return False
