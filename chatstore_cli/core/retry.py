"""Waiting for a database that is away: asking again, with growing, jittered pauses."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from chatstore_cli.domain.errors import Unreachable

Answer = TypeVar("Answer")


LONGEST_PAUSE = 10.0
"""Seconds."""


def pause_after(failures: int, jitter: Callable[[], float] = random.random) -> float:
    """Seconds to wait after so many failures: twice as many each time, jittered so that clients do not come at once."""
    return min(LONGEST_PAUSE, 0.1 * 2.0 ** min(failures - 1, 7)) * (0.5 + jitter() / 2)


class Patience:
    """Tries again what the database could not answer, with growing, jittered pauses, for at most `seconds`."""

    def __init__(
        self,
        seconds: float,
        *,
        say: Callable[[str], None],
        pause: Callable[[float], bool] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`pause` waits that many seconds and says whether to give up; None only waits."""
        self._seconds = seconds
        self._monotonic = monotonic
        self._pause = pause or threading.Event().wait
        self._jitter = jitter
        self._say = say

    def answer(self, ask: Callable[[], Answer]) -> tuple[Answer, int]:
        """The answer, and how many times it was asked. Raises the last Unreachable once time is up or we are stopped."""
        attempts = 1
        deadline: float | None = None
        while True:
            try:
                return ask(), attempts
            except Unreachable as error:
                now = self._monotonic()
                deadline = now + self._seconds if deadline is None else deadline
                delay = pause_after(attempts, self._jitter)
                if now + delay > deadline:
                    raise
                stop = "" if error.message.endswith(".") else "."
                self._say(f"{error.message}{stop} Trying again in {delay:.1f} s.")
                if self._pause(delay):
                    raise
                attempts += 1
