"""Threads in MongoDB from event loops: loops one after another, outages, time limits, cancelled awaits, forks."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any

import pytest
from pymongo.database import Database

from chatstore_cli.aio.threads import (
    ConversationHistory,
    MongoConversationRepository,
    StateManager,
    ThreadNotFound,
    Unreachable,
)
from tests.support.mongod import Mongod, poll

pytestmark = pytest.mark.real
FailPoint = Callable[..., AbstractContextManager[None]]
MESSAGES = "chat_thread_messages"


@pytest.fixture
def repository(mongod: Mongod, database: Database[dict[str, Any]]) -> MongoConversationRepository:
    """A repository that has not been used in any loop. Tests close it."""
    return MongoConversationRepository(mongod.uri, database.name, timeout_seconds=10)


def stored_texts(database: Database[dict[str, Any]]) -> list[str]:
    return [each["content"]["text"] for each in database[MESSAGES].find().sort("sequence")]


def test_one_repository_serves_two_loops(
    repository: MongoConversationRepository, database: Database[dict[str, Any]]
) -> None:
    async def first() -> str:
        assert await repository.ensure_indexes() != []
        manager = StateManager(repository, user_id="alice")
        thread = await manager.create_thread("Two loops")
        history = ConversationHistory(state_manager=manager, persist_to_db=True)
        tasks = [asyncio.create_task(history.add("user", str(number))) for number in range(30)]
        history.add_assistant_message("synchronous")
        await asyncio.gather(*tasks)
        return thread.id

    async def second(thread_id: str) -> None:
        async with repository:
            manager = StateManager(repository, user_id="alice")
            await manager.set_current_thread(thread_id)
            assert [message.content["text"] async for message in manager.iter_messages()] == stored_texts(database)
            with pytest.raises(ThreadNotFound):
                await StateManager(repository, user_id="bob").set_current_thread(thread_id)

    thread_id = asyncio.run(first())
    assert stored_texts(database) == [*map(str, range(30)), "synchronous"]
    assert "connection" in vars(repository.synchronous._stores)
    asyncio.run(second(thread_id))
    assert "connection" not in vars(repository.synchronous._stores)  # it is closed


@asynccontextmanager
async def a_thread(repository: MongoConversationRepository) -> AsyncIterator[StateManager]:
    """A manager whose current thread has one message."""
    async with repository:
        manager = StateManager(repository)
        await manager.create_thread("A thread")
        await manager.add_message("user", "first")
        yield manager


def test_an_unreachable_server_is_reported_where_the_call_is_awaited() -> None:
    async def main() -> None:
        async with MongoConversationRepository("mongodb://127.0.0.1:1", "test", timeout_seconds=0.05) as repository:
            manager = StateManager(repository)
            with pytest.raises(Unreachable):
                await manager.create_thread("A thread")

    asyncio.run(main())


def test_a_message_whose_await_was_cancelled_is_stored_once_after_a_repetition(
    repository: MongoConversationRepository, database: Database[dict[str, Any]], fail_point: FailPoint
) -> None:
    async def main() -> None:
        async with a_thread(repository) as manager:
            namespace = f"{database.name}.{MESSAGES}"
            with fail_point(["insert"], blockConnection=True, blockTimeMS=200, namespace=namespace):
                adding = manager.add_message("user", "cancelled", message_id="m-1")
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(adding, 0.02)
                again = await manager.add_message("user", "cancelled", message_id="m-1")
            assert again.sequence == 2
            with fail_point(["find", "aggregate"], blockConnection=True, blockTimeMS=200), pytest.raises(Unreachable):
                async with repository.within(0.05):  # a time limit covers the calls of managers
                    await manager.get_messages()
            assert stored_texts(database) == ["first", "cancelled"]

    asyncio.run(main())


def test_parent_and_child_of_a_fork_both_continue(
    repository: MongoConversationRepository, mongod: Mongod, database: Database[dict[str, Any]]
) -> None:
    async def add(repository: MongoConversationRepository, thread_id: str, text: str) -> None:
        async with repository:
            await StateManager(repository).add_message("user", text, thread_id=thread_id)

    async def main() -> str:
        async with a_thread(repository) as manager:
            assert manager.current_thread_id is not None
            return manager.current_thread_id

    thread_id = asyncio.run(main())
    child = os.fork()
    if child == 0:
        status = 1
        signal.alarm(60)  # ends a child that waits for a call of its parent
        try:
            asyncio.run(add(MongoConversationRepository(mongod.uri, database.name), thread_id, "child"))
            status = 0
        finally:
            os._exit(status)
    asyncio.run(add(repository, thread_id, "parent"))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    poll(lambda: sorted(stored_texts(database)) == ["child", "first", "parent"], what="both messages are stored")
