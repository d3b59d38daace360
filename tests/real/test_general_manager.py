"""General chats through AG2PersistenceManager, synchronous and in an event loop, on a real server."""

from __future__ import annotations

import asyncio
import inspect
import threading
from typing import TYPE_CHECKING, Any

import pytest

import chatstore_cli
from chatstore_cli import AG2PersistenceManager, aio
from chatstore_cli.core.general.chats import GeneralChats
from chatstore_cli.core.usage.metrics import SessionMetrics
from chatstore_cli.domain.errors import BadConfig, InvalidGeneralChat, NotFound
from tests.support.ag2_events import text

if TYPE_CHECKING:
    from pymongo.database import Database

pytestmark = pytest.mark.real
OWNER = {"app_id": "acme", "user_id": "ana"}
CHAT: dict[str, Any] = {"general_chat_id": "generalchat-acme-ana-0001", "app_id": "acme"}
USE_CASES = {
    "create_general_chat_session": GeneralChats,
    "append_general_message": GeneralChats,
    "list_general_chats": GeneralChats,
    "fetch_general_chat_transcript": GeneralChats,
    "update_session_metrics": SessionMetrics,
}


@pytest.mark.parametrize("name", USE_CASES)
def test_the_manager_has_the_parameters_of_the_use_case(name: str) -> None:
    signatures = [inspect.signature(getattr(cls, name)) for cls in (AG2PersistenceManager, USE_CASES[name])]
    assert signatures[0] == signatures[1]


def test_every_argument_reaches_the_store(mongo_uri: str, database: Database[dict[str, Any]]) -> None:
    with AG2PersistenceManager(mongo_uri, database.name) as manager:
        started = manager.create_general_chat_session(**OWNER)
        assert started == {"chat_id": CHAT["general_chat_id"], "label": "General Chat #1", "sequence": 1}
        said = manager.append_general_message(**CHAT, role="user", content="Hello", user_id="ana", event_id="e-1")
        again = manager.append_general_message(**CHAT, role="user", content="Hello", user_id="ana", event_id="e-1")
        assert again == said
        given = {"agent_name": "helper", "ui_context": {"page": 3}}
        answer = manager.append_general_message(**CHAT, role="tool", content="Hi", metadata=given)
        assert (answer["role"], answer["agent_name"], answer["metadata"]["ui_context"]) == (
            "assistant", "helper", {"page": 3},
        )  # fmt: skip
        manager.create_general_chat_session(**OWNER)
        assert [chat["sequence"] for chat in manager.list_general_chats(**OWNER, limit=1)] == [2]
        page = manager.fetch_general_chat_transcript(**CHAT, after_sequence=0, limit=1)
        newest = manager.fetch_general_chat_transcript(**CHAT, limit=1)
        assert page is not None
        assert newest is not None
        assert [each["event_id"] for each in (*page["messages"], *newest["messages"])] == ["e-1", answer["event_id"]]
        usage = (CHAT["general_chat_id"], "ana", "GeneralCapability", 30, 7, 0.25, "acme")
        told = {"agent_name": "helper", "event_ts": "2026-03-02T11:41:00Z", "duration_sec": 1.5}
        for _ in range(2):
            manager.update_session_metrics(*usage, **told, session_type="general", turn_id="t-1")
        with pytest.raises(NotFound):
            manager.update_session_metrics(*usage, **told, turn_id="t-1")  # it is not a workflow session
        for wrong in ({"app_id": "globex"}, {"user_id": "tomasz"}):
            with pytest.raises(NotFound):
                manager.append_general_message(**{**CHAT, **wrong}, role="user", content="x")
        with pytest.raises(ValueError, match="app_id is required"):
            manager.create_general_chat_session(app_id="", user_id="ana")
    [row] = database.usage_events.find()
    assert (row["turn_id"], row["agent"], row["layout"], row["total_tokens"]) == ("t-1", "helper", "general", 37)
    assert row["at"].isoformat() == "2026-03-02T11:41:00+00:00"
    [stored] = database.GeneralChatSessions.find({"_id": CHAT["general_chat_id"]})
    assert (stored["usage_total_tokens_final"], stored["usage_total_cost_final"]) == (37, 0.25)
    assert [each["event_id"] for each in stored["messages"]] == ["e-1", answer["event_id"]]


def test_indexes_of_both_layouts_are_created(mongo_uri: str, database: Database[dict[str, Any]]) -> None:
    with AG2PersistenceManager(mongo_uri, database.name) as manager:
        assert manager.ensure_indexes()
        assert manager.ensure_indexes() == []
    assert "gc_app_user_created" in database.GeneralChatSessions.index_information()
    assert "chat_id_idx" in database.chat_sessions.index_information()


def test_workflow_sessions_in_the_collection_of_general_chats_leave_none_for_them(
    mongo_uri: str, database: Database[dict[str, Any]]
) -> None:
    with AG2PersistenceManager(mongo_uri, database.name, "GeneralChatSessions") as manager:
        assert manager.save_event(text("x"), chat_id="c-1", enterprise_id="acme").saved_as is not None
        manager.ensure_indexes()
        with pytest.raises(BadConfig, match=r"layouts\.general\.sessions"):
            manager.create_general_chat_session(**OWNER)
    assert database.GeneralChatSessions.count_documents({}) == 1


def test_appends_of_tasks_are_stored_in_their_order(mongo_uri: str, database: Database[dict[str, Any]]) -> None:
    async def main() -> None:
        async with aio.AG2PersistenceManager(mongo_uri, database.name) as manager:
            await manager.create_general_chat_session(**OWNER)
            words = [str(number) for number in range(40)]
            tasks = [
                asyncio.create_task(manager.append_general_message(**CHAT, role="user", content=word)) for word in words
            ]
            assert [each["content"] for each in await asyncio.gather(*tasks)] == words
            stored = await manager.fetch_general_chat_transcript(**CHAT, after_sequence=0)
            assert stored is not None
            assert [each["content"] for each in stored["messages"]] == words
            assert [each["sequence"] for each in stored["messages"]] == list(range(1, 41))
            turns = (
                manager.update_session_metrics(
                    CHAT["general_chat_id"], "ana", None, 1, 1, None, session_type="general", turn_id=str(number % 4)
                )
                for number in range(8)
            )
            await asyncio.gather(*turns)
            [row] = await manager.list_general_chats(**OWNER)
            assert row["last_sequence"] == 40
            call = manager.append_general_message(**CHAT, role="user", content="x", event_id="")
            with pytest.raises(InvalidGeneralChat):
                await call

    asyncio.run(main())
    [stored] = database.GeneralChatSessions.find()
    assert stored["usage_total_tokens_final"] == 8


def test_a_cancelled_append_that_has_begun_is_stored_and_a_waiting_one_is_not(
    mongo_uri: str, database: Database[dict[str, Any]]
) -> None:
    class Slow(str):
        """A text that the manager can read once the test releases it."""

        __slots__ = ()
        begun, released = threading.Event(), threading.Event()

        def __str__(self) -> str:
            self.begun.set()
            assert self.released.wait(60)
            return "slow"

    async def main() -> list[str]:
        async with aio.AG2PersistenceManager(mongo_uri, database.name) as manager:
            await manager.create_general_chat_session(**OWNER)
            running = asyncio.create_task(manager.append_general_message(**CHAT, role="user", content=Slow()))
            waiting = asyncio.create_task(manager.append_general_message(**CHAT, role="user", content="waiting"))
            await asyncio.to_thread(Slow.begun.wait, 60)
            # Another chat does not wait for this one.
            await manager.create_general_chat_session(**OWNER)
            waiting.cancel()
            running.cancel()
            Slow.released.set()
            outcomes = await asyncio.gather(running, waiting, return_exceptions=True)
            assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * 2
            await manager.append_general_message(**CHAT, role="user", content="last")
            stored = await manager.fetch_general_chat_transcript(**CHAT)
            return [each["content"] for each in (stored or {})["messages"]]

    assert asyncio.run(main()) == ["slow", "last"]


def test_the_errors_are_public() -> None:
    assert chatstore_cli.InvalidGeneralChat is InvalidGeneralChat
    assert issubclass(InvalidGeneralChat, ValueError)
