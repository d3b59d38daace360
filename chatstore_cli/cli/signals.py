"""How a service is asked to end: by TERM or INT, or by the reader of its output who goes away."""

from __future__ import annotations

import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TextIO


class StopSignals:
    """How often TERM or INT came. Called as a function, so that core/ need not know signals."""

    def __init__(self) -> None:
        self._came = 0
        self.named = "TERM or INT"
        """Which of them are heeded, in words."""

    def __call__(self) -> int:
        """How often so far."""
        return self._came

    def came(self, _number: int, _frame: FrameType | None) -> None:
        """The handler. It only counts: anything that takes a lock could wait for the very code that it interrupted."""
        self._came += 1


@contextmanager
def stop_signals() -> Iterator[StopSignals]:
    """Inside the block TERM and INT are counted, and end nothing. One that was ignored before stays so.

    A script's background (`&`) and nohup do that: then it is not meant for this process.
    """
    signals = StopSignals()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    taken = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    names = [number.name.removeprefix("SIG") for number in taken]
    signals.named = " or ".join(names) or "Only KILL"
    try:
        for number in taken:
            signal.signal(number, signals.came)
        yield signals
    finally:
        for number in taken:
            signal.signal(number, before[number])


def reader_is_gone(stream: TextIO) -> bool:
    """Whether nobody can read what is written there any more (`| head -1`): known before anything is written."""
    if not hasattr(select, "poll"):
        return False
    poller = select.poll()
    try:
        poller.register(stream.fileno(), 0)
        return any(what & (select.POLLERR | select.POLLHUP) for _, what in poller.poll(0))
    except (OSError, ValueError):
        return False
