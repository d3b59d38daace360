"""The sockets and event streams that are open, so that a stopping server can end them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from starlette.websockets import WebSocket

from chatstore_cli.domain.api_keys import Access

GOING_AWAY = 1001
POLICY_VIOLATION = 1008


class OpenConnections:
    """Sockets to close, and the signal at which event streams end."""

    def __init__(self) -> None:
        self._sockets: set[WebSocket] = set()
        self.stopping = asyncio.Event()

    def add(self, socket: WebSocket) -> None:
        """Remember an accepted socket."""
        self._sockets.add(socket)

    def remove(self, socket: WebSocket) -> None:
        """Forget a socket that ended."""
        self._sockets.discard(socket)

    async def close_revoked(self, is_valid: Callable[[Access], bool]) -> None:
        """Close the sockets of callers who would not be let in any more."""
        revoked = [socket for socket in self._sockets if not is_valid(socket.state.access)]
        for socket in revoked:
            self.remove(socket)
        closing = [_close(socket, POLICY_VIOLATION, "The key is not valid any more.") for socket in revoked]
        await asyncio.gather(*closing)

    async def close_all(self, seconds: float) -> None:
        """Close every socket with 1001, and let event streams end. A client that does not answer is not waited for."""
        self.stopping.set()
        closing = [
            asyncio.ensure_future(_close(socket, GOING_AWAY, "The server is stopping."))
            for socket in list(self._sockets)
        ]
        if closing:
            await asyncio.wait(closing, timeout=seconds)


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    with suppress(Exception):  # it may be closed already, in any state
        await socket.close(code, reason)
