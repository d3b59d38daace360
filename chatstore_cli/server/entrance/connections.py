"""Limits of connections that uvicorn does not have: how many there are, and how long one may wait to send a request."""

from __future__ import annotations

import asyncio
import resource
from typing import Any

SECONDS_FOR_HEADERS = 15.0
"""A connection without a complete request is closed after this time: each one costs a file descriptor."""
_BESIDE_SOCKETS = 1_000
"""Connections of plain requests, beside the sockets that the settings allow."""
_OTHER_FILES = 500


def bounded(protocol: type[asyncio.Protocol], most: int) -> type[asyncio.Protocol]:
    """uvicorn's HTTP protocol with at most `most` connections, each of which has a time limit for its next request."""
    base: Any = protocol

    class Bounded(base):  # type: ignore[misc]  # uvicorn chooses the class when it runs
        """One connection."""

        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            """Take the connection, or cut it if there are too many."""
            super().connection_made(transport)
            if len(self.connections) > most:
                transport.abort()
            self._limit_waiting()

        def data_received(self, data: bytes) -> None:
            """Read what the client sends. Before its request is complete, it has a time limit for all of that."""
            super().data_received(data)
            self._limit_waiting()

        def handle_websocket_upgrade(self, *arguments: Any) -> None:
            """Hand the connection to the protocol of sockets, which has limits of its own."""
            self._stop_timer()
            super().handle_websocket_upgrade(*arguments)

        def connection_lost(self, exc: Exception | None) -> None:
            """Forget the connection."""
            self._stop_timer()
            super().connection_lost(exc)

        def _limit_waiting(self) -> None:
            if self.transport.get_protocol() is not self or self.transport.is_closing():
                return
            if self.cycle is not None and not self.cycle.response_complete:
                self._stop_timer()
            elif self._timer is None:
                self._timer = self.loop.call_later(SECONDS_FOR_HEADERS, self._close_if_waiting)

        def _close_if_waiting(self) -> None:
            self._timer = None
            if self.cycle is None or self.cycle.response_complete:
                self.transport.close()

        def _stop_timer(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    return Bounded


def most_connections(sockets: int) -> int:
    """How many connections the server accepts. Raises the process's limit of open files for that many, if it is lower."""
    wanted = sockets + _BESIDE_SOCKETS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = wanted + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < files:
        soft = files if hard == resource.RLIM_INFINITY else min(files, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft - _OTHER_FILES))
