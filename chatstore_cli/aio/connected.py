"""The awaitable face of an object with settings and a connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Protocol, TypeVar

from chatstore_cli.aio.face import AT_A_TIME, Closable, ClosingFace
from chatstore_cli.config.settings import Settings


class Connected(Closable, Protocol):
    """A synchronous object with settings and a connection."""

    @property
    def settings(self) -> Settings:
        """The settings of the connection."""

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """Limit the time of all calls inside."""


Connecting = TypeVar("Connecting", bound=Connected)


class ConnectedFace(ClosingFace[Connecting]):
    """A face of an object with a connection. Calls are made at the same time, in no order."""

    _calls_at_a_time = AT_A_TIME

    @asynccontextmanager
    async def within(self, seconds: float) -> AsyncIterator[None]:
        """Limit the time of all calls inside: `async with service.within(2): ...` raises Unreachable after two seconds."""
        with self.synchronous.within(seconds):  # a context variable, which every call copies
            yield

    @property
    def settings(self) -> Settings:
        """The settings of the connection."""
        return self.synchronous.settings
