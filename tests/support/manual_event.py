"""An event whose time-outs a test controls."""

from __future__ import annotations

import threading


class ManualEvent:
    """Takes the place of a threading.Event. `wait` returns once the event is set, or once the test calls `elapse`."""

    def __init__(self) -> None:
        self.timeouts: list[float | None] = []
        """The time limit of each wait so far, in seconds."""
        self._condition = threading.Condition()
        self._is_set = False
        self._elapsed = 0

    def wait(self, timeout: float | None = None) -> bool:
        """Whether the event is set; False if the time limit elapsed, as the test says."""
        with self._condition:
            self.timeouts.append(timeout)
            self._condition.wait_for(lambda: self._is_set or self._elapsed)
            if not self._is_set:
                self._elapsed -= 1
            return self._is_set

    def elapse(self) -> None:
        """End the current wait, or the next one, at its time limit."""
        with self._condition:
            self._elapsed += 1
            self._condition.notify_all()

    def is_set(self) -> bool:
        """Whether the event is set."""
        return self._is_set

    def set(self) -> None:
        """Set the event and end every wait."""
        with self._condition:
            self._is_set = True
            self._condition.notify_all()

    def clear(self) -> None:
        """Reset the event."""
        with self._condition:
            self._is_set = False
