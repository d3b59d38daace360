"""The contract of threads holds through the awaitable repository, whose calls one event loop awaits."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, cast

import pytest

from chatstore_cli.aio.threads import ConversationRepository, MockConversationRepository
from chatstore_cli.domain.threads.ports import ConversationRepository as SynchronousRepository
from chatstore_cli.testing import ThreadContract


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop that runs in another thread."""
    running = asyncio.new_event_loop()
    thread = threading.Thread(target=running.run_forever)
    thread.start()
    yield running
    running.call_soon_threadsafe(running.stop)
    thread.join()
    running.close()


class Awaited:
    """A synchronous repository that awaits the calls of an awaitable one."""

    def __init__(self, repository: ConversationRepository, loop: asyncio.AbstractEventLoop) -> None:
        self._repository, self._loop = repository, loop

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._repository, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            answer = method(*args, **kwargs)
            return self._awaited(answer) if inspect.iscoroutine(answer) else self._items(answer)

        return call

    def _awaited(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    def _items(self, stream: AsyncIterator[Any]) -> Iterator[Any]:
        async def everything() -> list[Any]:
            return [item async for item in stream]

        yield from self._awaited(everything())


class TestAwaitedThreads(ThreadContract):
    """The whole contract."""

    @pytest.fixture(autouse=True)
    def _in_the_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def new_repository(self) -> SynchronousRepository:
        return cast("SynchronousRepository", Awaited(MockConversationRepository(), self._loop))
