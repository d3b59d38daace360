"""Retries operations: while the database is unreachable, or after another writer has changed the same document."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from chatstore_cli.domain.errors import ChatstoreError, Unreachable

Result = TypeVar("Result")

LONGEST_PAUSE = 10.0
"""Seconds."""

_ATTEMPTS = 200
_ATTEMPTS_WITHOUT_PAUSE = 3
_SHORTEST_PAUSE_BETWEEN_WRITERS = 0.02


def pause_after(failures: int, jitter: Callable[[], float] = random.random) -> float:
    """Seconds to wait after that many failures: doubled each time, and jittered so that clients do not return at once."""
    return min(LONGEST_PAUSE, 0.1 * 2.0 ** min(failures - 1, 7)) * (0.5 + jitter() / 2)


class RetryPolicy:
    """Repeats an operation while the database is unreachable, with growing, jittered pauses, for at most `seconds`.

    The seconds begin with the first attempt. A later attempt begins only once the database answers, which `reach` waits
    for at most the seconds that are left: an attempt that waits for a server on its own would exceed them.
    """

    def __init__(
        self,
        seconds: float,
        *,
        say: Callable[[str], None],
        pause: Callable[[float], bool] | None = None,
        reach: Callable[[float], None] = lambda _: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`say` reports each failure. `pause` waits that many seconds and returns whether to give up; None only waits.

        `reach` raises Unreachable if the database does not answer within that many seconds.
        """
        self._seconds = seconds
        self._pause = pause or threading.Event().wait
        self._say = say
        self._reach = reach
        self._monotonic = monotonic

    def call(self, operation: Callable[[], Result]) -> Result:
        """The operation's result. Raises the last Unreachable once time is up or `pause` gives up."""
        return self.call_counted(operation)[0]

    def call_counted(self, operation: Callable[[], Result]) -> tuple[Result, int]:
        """The operation's result, and how many attempts it took. Raises as `call` does."""
        attempts = 1
        deadline = self._monotonic() + self._seconds
        failure: Unreachable | None = None
        while True:
            reached = failure is None
            try:
                if not reached:
                    self._reach(deadline - self._monotonic())
                    reached = True
                return operation(), attempts
            except Unreachable as error:
                if failure is None or reached:  # an error of `reach` does not say what was being done
                    failure = error
                delay = pause_after(attempts)
                if self._monotonic() + delay > deadline:
                    raise failure from failure.__cause__
                stop = "" if failure.message.endswith(".") else "."
                self._say(f"{failure.message}{stop} Retrying in {delay:.1f} s.")
                if self._pause(delay):
                    raise failure from failure.__cause__
                attempts += 1


def attempt_until_done(
    attempt: Callable[[], Result | None],
    failure: Callable[[], ChatstoreError],
    *,
    attempts: int = _ATTEMPTS,
    between: Callable[[], object] | None = None,
    longest_pause: float = _SHORTEST_PAUSE_BETWEEN_WRITERS,
) -> Result:
    """The first result of `attempt` that is not None: None means that another writer has changed the document.

    `between` runs after each failed attempt, for example to forget what was cached. After a few attempts there are short
    random pauses, so that many writers do not keep one another from succeeding. Pauses are at most 20 ms, or double up to
    `longest_pause` seconds. Raises `failure()` after `attempts`.
    """
    limit = _SHORTEST_PAUSE_BETWEEN_WRITERS
    for number in range(attempts):
        result = attempt()
        if result is not None:
            return result
        if between is not None:
            between()
        if number >= _ATTEMPTS_WITHOUT_PAUSE:
            time.sleep(random.uniform(0, limit))
            limit = min(longest_pause, 2 * limit)
    raise failure()
