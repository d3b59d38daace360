"""The sockets and event streams that are open, so that a stopping server can end them."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.websockets import WebSocket

GOING_AWAY = 1001


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

    async def close_all(self, seconds: float) -> None:
        """Close every socket with 1001, and let event streams end. A client that does not answer is not waited for."""
        self.stopping.set()
        closing = [asyncio.ensure_future(_close(socket)) for socket in list(self._sockets)]
        if closing:
            await asyncio.wait(closing, timeout=seconds)


async def _close(socket: WebSocket) -> None:
    with suppress(Exception):  # it may be closed already, in any state
        await socket.close(GOING_AWAY, "The server is stopping.")
