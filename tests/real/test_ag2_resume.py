"""Sessions of real AG2 agents, stored event by event and resumed from the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chatstore_cli.core.workflow.ag2_manager import AG2Manager
from chatstore_cli.domain.workflow.chats import SavedAs
from chatstore_cli.mongo.connection import Connection
from tests.support.ag2_agents import resume_conversation, start_conversation, turns
from tests.support.ag2_events import new_manager
from tests.support.peers import import_peer

if TYPE_CHECKING:
    from pymongo.database import Database

TURNS = 11


@pytest.fixture(scope="module")
def autogen() -> Any:
    """The real AG2."""
    return import_peer("autogen")


@pytest.fixture(scope="module")
def conversation(autogen: Any) -> list[Any]:
    """The events of the whole conversation, run once."""
    return list(start_conversation(autogen))


@pytest.fixture
def manager(connection: Connection) -> AG2Manager:
    return new_manager(connection)


def stored(database: Database[dict[str, Any]], chat_id: str) -> list[dict[str, Any]]:
    """The stored messages without the fields that differ between runs."""
    document = database["chat_sessions"].find_one({"chat_id": chat_id})
    assert document is not None
    assert document["last_sequence"] == len(document["messages"])
    ids = [message["event_id"] for message in document["messages"]]
    assert len(set(ids)) == len(ids)
    different = {"event_id", "timestamp"}
    return [{key: value for key, value in message.items() if key not in different} for message in document["messages"]]


def test_a_conversation_is_stored_turn_by_turn_as_it_was(
    manager: AG2Manager, conversation: list[Any], database: Database[dict[str, Any]]
) -> None:
    for event in conversation:
        manager.save_event(event, chat_id="c", enterprise_id="acme", user_id="ada", workflow_name="Orders")
    messages = stored(database, "c")
    assert [(each["sender"], each["role"], each["event_type"]) for each in messages] == [
        ("user", "user", "text"),
        ("Writer", "assistant", "tool_call"),
        ("Executor", "tool", "tool_response"),
        ("user", "user", "text"),
        ("Writer", "assistant", "tool_call"),
        ("Executor", "tool", "tool_response"),
        ("user", "user", "text"),
        ("Writer", "assistant", "text"),
        ("Executor", "assistant", "text"),
        ("user", "user", "text"),
        ("Writer", "assistant", "text"),
    ]
    assert [each["id"] for each in messages[1]["tool_calls"]] == ["call_7", "call_8"]
    assert [each["tool_call_id"] for each in messages[2]["tool_responses"]] == ["call_7", "call_8"]
    assert (messages[4]["content"], messages[5]["tool_call_id"]) == (None, "call_9")
    document = database["chat_sessions"].find_one({"chat_id": "c"})
    assert document is not None
    assert (document["status"], document["enterprise_id"], document["workflow_name"]) == (1, "acme", "Orders")


@pytest.mark.parametrize("cut", range(1, TURNS))
def test_a_chat_stopped_after_any_turn_is_resumed_into_the_history_of_an_uninterrupted_one(
    autogen: Any, connection: Connection, conversation: list[Any], database: Database[dict[str, Any]], cut: int
) -> None:
    whole = new_manager(connection)
    for event in conversation:
        whole.save_event(event, chat_id="whole", enterprise_id="acme")
    first = new_manager(connection)
    for event in turns(conversation)[:cut]:
        first.save_event(event, chat_id="cut", enterprise_id="acme")
    second = new_manager(connection)
    resumed = second.resume_chat("cut", enterprise_id="acme")
    assert (len(resumed.messages), resumed.run, resumed.status) == (cut, 2, "running")
    outcomes = []
    for event in resume_conversation(autogen, resumed.messages, rounds=TURNS):
        for _ in range(2):
            outcomes.append(second.save_event(event, chat_id="cut", enterprise_id="acme").saved_as)
    assert outcomes.count(SavedAs.ECHO) == 1
    assert stored(database, "cut") == stored(database, "whole")
    document = database["chat_sessions"].find_one({"chat_id": "cut"})
    assert document is not None
    assert (document["status"], document["current_run"], "expected_echo" in document) == (1, 2, False)
