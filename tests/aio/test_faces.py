"""The awaitable classes have every public name of the synchronous ones, with `await` where a call waits."""

from __future__ import annotations

import asyncio
import inspect
import threading
from pathlib import Path
from typing import Any

import pytest

import chatstore_cli
from chatstore_cli import aio
from chatstore_cli.domain.errors import BadValue
from tests.support.ag2_events import text

INTERNAL = {
    "LocalChatCache": {
        "encode_entry",
        "forget",
        "known_tombstone",
        "on_new_message",
        "pending",
        "remembered_sessions",
        "start_over_after_fork",
    },
    "MongoChatStorage": {
        "newest_stored",
        "rules",
        "stored_contents",
        "stores",
        "tombstone",
        "tombstones",
        "with_settings",
    },
    "ChatPersistenceWorker": {"start_over_after_fork"},
}
"""What only the library's own parts use: cache, storage and worker use it of each other, and they are synchronous."""
CLASSES = (
    "AG2PersistenceManager",
    "AgentConfigResolverService",
    "AgentRegistryService",
    "AgentSessions",
    "AgentStates",
    "CallSessions",
    "ChatPersistenceWorker",
    "LocalChatCache",
    "MongoChatStorage",
    "PhoneNumbers",
    "SessionRegistry",
    "SessionSearch",
)


def instance(module: Any, name: str) -> Any:
    """An object of one of the classes, which has no server."""
    if name == "LocalChatCache":
        return module.LocalChatCache(disk_path=None)
    if name == "ChatPersistenceWorker":
        return module.ChatPersistenceWorker(instance(module, "LocalChatCache"), instance(module, "MongoChatStorage"))
    return getattr(module, name)("mongomock://", "test")


def public_names(thing: Any) -> set[str]:
    """The public names of an object, and whether it is a context manager."""
    names = {name for name in dir(thing) if not name.startswith("_")}
    return names | ({"with"} if {"__enter__", "__aenter__"} & set(dir(thing)) else set())


@pytest.mark.parametrize("name", CLASSES)
def test_no_public_name_was_forgotten(name: str) -> None:
    expected = public_names(instance(chatstore_cli, name)) - INTERNAL.get(name, set())
    assert public_names(instance(aio, name)) - {"synchronous"} == expected


@pytest.mark.parametrize("name", CLASSES)
def test_every_method_has_the_parameters_of_the_synchronous_one(name: str) -> None:
    synchronous, awaitable = getattr(chatstore_cli, name), getattr(aio, name)
    methods = [
        each
        for each in dir(awaitable)
        if not each.startswith("_") and inspect.isfunction(getattr(awaitable, each, None))
    ]
    assert methods
    for method in methods:
        parameters = {
            cls: {
                (parameter.name, parameter.kind, parameter.default)
                for parameter in inspect.signature(getattr(cls, method)).parameters.values()
            }
            for cls in (synchronous, awaitable)
        }
        assert parameters[awaitable] == parameters[synchronous], method


def test_the_module_has_every_name_of_the_package() -> None:
    assert sorted(aio.__all__) == sorted(chatstore_cli.__all__)
    for name in aio.__all__:
        is_the_same = getattr(aio, name) is getattr(chatstore_cli, name)
        assert is_the_same == (name not in {*CLASSES, "chat_history"}), name


def test_wrong_arguments_are_reported_where_the_method_is_called() -> None:
    manager = aio.AG2PersistenceManager("mongomock://", "test")
    with pytest.raises(TypeError, match="missing a required argument: 'chat_id'"):
        manager.create_session(enterprise_id="acme")


def test_errors_of_values_are_raised_where_the_call_is_awaited() -> None:
    manager = aio.AG2PersistenceManager("mongomock://", "test")
    call = manager.history("chat-1")  # without a tenant
    with pytest.raises(BadValue):
        asyncio.run(call)


# --- on a real server ------------------------------------------------------------------------------------------------


@pytest.mark.real
def test_recorded_messages_are_stored_and_both_are_the_history(
    mongo_uri: str, database: Any, tmp_path: Path, fail_point: Any
) -> None:
    async def main() -> None:
        async with (
            aio.LocalChatCache(disk_path=tmp_path / "journals") as cache,
            aio.MongoChatStorage(mongo_uri, database.name) as storage,
        ):
            await storage.ensure_indexes()
            async with aio.ChatPersistenceWorker(cache, storage, interval=0.02) as worker:
                tasks = [
                    asyncio.create_task(cache.record_chat_event("chat-1", "user", str(number))) for number in range(100)
                ]
                assert [message.content for message in await asyncio.gather(*tasks)] == [str(n) for n in range(100)]
                assert await worker.stop()
                assert worker.stats().flushed == 100
            assert [message.content for message in cache.messages("chat-1", limit=2)] == ["98", "99"]
            async with storage.within(5):
                stored = await storage.history("chat-1", limit=100)
            assert [message.content for message in stored] == [str(number) for number in range(100)]
            shown = await cache.history("chat-1", storage, limit=10)
            again = await aio.chat_history(cache.messages("chat-1"), storage, "chat-1", 10)
            assert (shown.not_persisted, again.not_persisted) == (0, 0)
            assert (await storage.insert_messages(stored)).already_stored == 100
            assert (await storage.health()).status == "ok"
            assert cache.disk_path is not None
            assert (await storage.flush_journals(cache.disk_path)).stored == 0
            namespace = f"{database.name}.chat_messages"
            with fail_point(["find"], blockConnection=True, blockTimeMS=300, namespace=namespace):
                async with storage.within(0.1):  # it covers the calls inside
                    with pytest.raises(chatstore_cli.Unreachable):
                        await storage.history("chat-1")

    asyncio.run(main())
    asyncio.run(main_again(mongo_uri, database.name))


async def main_again(uri: str, database: str) -> None:
    """Another loop of the same process."""
    async with aio.MongoChatStorage(uri, database) as storage:
        assert len(await storage.history("chat-1", limit=100)) == 100


class Client:
    """What the manager reads of an agent's client."""

    def __init__(self) -> None:
        usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "cost": 0.0}
        self.total_usage_summary = self.actual_usage_summary = {"total_cost": 0.0, "m-1": usage}

    def use(self, tokens: int) -> None:
        for name in ("prompt_tokens", "total_tokens"):
            self.actual_usage_summary["m-1"][name] += tokens


class Agent:
    name = "Writer"

    def __init__(self) -> None:
        self.client = Client()


class Held:
    """A text event that can be read once the test releases it."""

    content = text("slow")["content"]

    def __init__(self) -> None:
        self.released = threading.Event()

    @property
    def type(self) -> str:
        assert self.released.wait(60)
        return "text"


@pytest.mark.real
def test_a_session_of_agents_is_stored_in_order_with_its_usage(mongo_uri: str, database: Any) -> None:
    chat: dict[str, Any] = {"chat_id": "visit-1", "enterprise_id": "acme"}
    lines = [str(number) for number in range(20)]
    agent = Agent()

    async def main() -> None:
        async with aio.AG2PersistenceManager(mongo_uri, database.name) as manager:
            await manager.ensure_indexes()
            with pytest.raises(ZeroDivisionError):
                async with manager.usage_of(agent, **chat):
                    tasks = [asyncio.create_task(manager.save_event(text(line), **chat)) for line in lines]
                    await asyncio.gather(*tasks)
                    agent.client.use(7)
                    raise ZeroDivisionError
            stored = await manager.history("visit-1", "acme")
            assert [message.content for message in stored.messages] == lines
            resumed = await manager.resume_chat("visit-1", enterprise_id="acme")
            assert len(resumed.messages) == 20
            assert (await manager.mark_completed("visit-1", enterprise_id="acme")).changed
            assert manager.unknown_events.total() == 0
            held = Held()
            slow = asyncio.create_task(manager.save_event(held, chat_id="other", enterprise_id="acme"))
            agent.client.use(5)
            assert (await manager.save_usage(agent, **chat)).total_tokens == 5  # sessions do not wait for each other
            held.released.set()
            await slow

    asyncio.run(main())
    [head] = database.chat_sessions.find({"chat_id": "visit-1"})
    assert head["real_time_tracking"]["tokens"]["total_tokens"] == 12
