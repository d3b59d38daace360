"""Threads in which the synchronous core works for the server's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import TypeVar

from chatstore_cli.aio.calls import Calls
from chatstore_cli.domain.errors import Overdue

T = TypeVar("T")

_PART = 100
"""Items of a stream that one call fetches."""


class WorkThreads:
    """Makes synchronous calls in a bounded number of threads, each within a time limit.

    A call waits for a free thread and for its result for at most `seconds` together, and then raises Overdue. A call that
    nobody awaits any more keeps its thread until the driver gives up too, which is what `limit` sees to. So a database
    that hangs takes the threads that read it, and no others.
    """

    def __init__(
        self,
        name: str,
        threads: int,
        seconds: float | None = None,
        limit: Callable[[float], AbstractContextManager[None]] | None = None,
    ) -> None:
        self._name, self._seconds, self._limit = name, seconds, limit
        self._calls = Calls(threads)

    async def run(self, call: Callable[[], T], *, seconds: float | None = None) -> T:
        """The result of a call. `seconds` is another time limit for this call."""
        allowed = self._seconds if seconds is None else seconds
        limited = nullcontext() if allowed is None or self._limit is None else self._limit(allowed)
        with limited:  # the call sees the context variables of this moment
            answer = self._calls.call(call)
        try:
            async with asyncio.timeout(allowed):
                return await answer
        except TimeoutError as error:
            raise Overdue(what=f"No answer within {allowed:g} seconds ({self._name}).") from error

    async def stream(self, make: Callable[[], Iterator[T]]) -> AsyncIterator[T]:
        """The items of a synchronous iterator, which is closed at the end. Each part of it has the time limit."""
        iterator = await self.run(make)
        try:
            while part := await self.run(lambda: list(islice(iterator, _PART))):
                for item in part:
                    yield item
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                await asyncio.shield(self.run(close))
