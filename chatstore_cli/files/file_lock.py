"""The lock that writers hold on a journal while they write a line."""

from __future__ import annotations

import fcntl
import time

_SECONDS_BETWEEN_ATTEMPTS = 0.02


def lock_within(descriptor: int, seconds: float) -> bool:
    """Lock an open file against its writers. False if another process still holds the lock after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(_SECONDS_BETWEEN_ATTEMPTS)
        else:
            return True
