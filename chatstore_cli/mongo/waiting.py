"""Notices when no server can be used, so that a command that waits for one does not look as if it hangs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pymongo.monitoring import (
    TopologyClosedEvent,
    TopologyDescriptionChangedEvent,
    TopologyListener,
    TopologyOpenedEvent,
)

SECONDS_UNTIL_NOTICE = 2.0


def start_timer(seconds: float, call: Callable[[], None]) -> Callable[[], None]:
    """Call back after that many seconds, from another thread, and return how to cancel it."""
    timer = threading.Timer(seconds, call)
    timer.daemon = True
    with suppress(RuntimeError):  # threads have run out: a notice is not worth an error
        timer.start()
    return timer.cancel


class WaitingNotice(TopologyListener):
    """Calls `notice` once if no server could be used for two seconds, and again only after one could be used.

    Several clients of the same server may share it. The driver calls it on its own threads.
    """

    def __init__(
        self, notice: Callable[[], None], timer: Callable[[float, Callable[[], None]], Callable[[], None]] = start_timer
    ) -> None:
        self._notice = notice
        self._timer = timer
        self._lock = threading.Lock()
        self._cancel_timer: dict[Any, Callable[[], None]] = {}  # by topology (one per client) or look-up
        self._noticed = False

    def opened(self, event: TopologyOpenedEvent) -> None:
        """A client begins to search for its servers."""
        self._wait(event.topology_id)

    def description_changed(self, event: TopologyDescriptionChangedEvent) -> None:
        """A server was found or lost."""
        found = event.new_description
        if found.has_writable_server() or found.has_readable_server():
            self._stop_waiting(event.topology_id)
            self._noticed = False
        else:
            self._wait(event.topology_id)

    @contextmanager
    def while_looking_up(self) -> Iterator[None]:
        """The block looks up hosts in DNS, before there is a client whose events could be listened to."""
        block = object()
        self._wait(block)
        try:
            yield
        finally:
            self._stop_waiting(block)

    def closed(self, event: TopologyClosedEvent) -> None:
        """The client was closed."""
        self._stop_waiting(event.topology_id)

    def _wait(self, topology: Any) -> None:
        with self._lock:
            if topology not in self._cancel_timer:
                self._cancel_timer[topology] = self._timer(SECONDS_UNTIL_NOTICE, self._time_is_up)

    def _stop_waiting(self, topology: Any) -> None:
        with self._lock:
            cancel = self._cancel_timer.pop(topology, None)
        if cancel is not None:
            cancel()

    def _time_is_up(self) -> None:
        with self._lock:
            noticed, self._noticed = self._noticed, True
        if not noticed:
            self._notice()
