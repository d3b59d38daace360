"""A search in the layouts of other products finds with the server's filter what it finds without it."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import Int64, ObjectId
from pymongo.database import Database

from chatstore_cli.config.settings import Settings
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.products.agent_sessions import AgentSessionsLayout
from chatstore_cli.mongo.products.calls import CallsLayout
from tests.support.searched_messages import QUERIES, assert_same_hits, content, message

pytestmark = pytest.mark.real

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def _item(dice: random.Random, number: int) -> Any:
    """An item of a transcript: a message, a call, a result, or another one."""
    facts = {"id": f"item-{number}", "created_at": 1772452800.5 + number, "metrics": {"tokens": 42}}
    kind = dice.randrange(6)
    if kind < 3:
        return {"type": "message", "role": dice.choice(["user", "assistant"]), "content": content(dice), **facts}
    if kind == 3:
        return {"type": "function_call", "name": dice.choice(["oven", "look"]), "arguments": '{"q": "pizza"}', **facts}
    if kind == 4:
        return {"type": "function_call_output", "output": content(dice), "call_id": "c", **facts}
    return dice.choice(
        [{"type": "agent_handoff", "to": "pizza", **facts}, "pizza oven", 42, {"content": content(dice)}]
    )


def test_calls(connection: Connection, database: Database[dict[str, Any]]) -> None:
    dice = random.Random(3)
    for number in range(60):
        items = [_item(dice, each) for each in range(8)]
        history = dice.choice([items, {"items": items}, {"items": items, "version": 1}])
        identity = ObjectId(f"{1772452800 + number:08x}{number:016x}") if number % 10 else f"imported-{number}"
        call = {"_id": identity, "sessionId": Int64(number) if number % 7 == 0 else f"call-{number}"}
        database["lk_transcripts"].insert_one({**call, "orgId": "acme", "chatHistory": history})
    database["lk_transcripts"].insert_one({"sessionId": "no history", "chatHistory": "pizza"})
    layout = CallsLayout(connection, Settings())
    assert assert_same_hits(layout.message_searcher(), layout, QUERIES[::2]) > 100


def test_sessions_of_a_python_agent(connection: Connection, database: Database[dict[str, Any]]) -> None:
    dice = random.Random(5)
    for number in range(40):
        session_id = Int64(number) if number % 7 == 0 else f"session-{number // 2}{'X' if number % 2 else 'x'}"
        at = NOON - timedelta(minutes=number)
        database["sessions"].insert_one({"session_id": session_id, "user_id": "ada", "updated_at": at})
        for each in range(8):
            stored = message(dice, each, at)
            fields = stored if isinstance(stored, dict) else {"content": stored}
            fields = {key.strip("$") or "x": value for key, value in fields.items()} | {"session_id": session_id}
            database["messages"].insert_one({"role": "user", "content": None, "created_at": at, **fields})
    settings = Settings()
    agents = replace(settings.chatstore.agents, sessions="sessions", messages="messages")
    settings = replace(settings, chatstore=replace(settings.chatstore, agents=agents))
    layout = AgentSessionsLayout(connection, settings)
    assert assert_same_hits(layout.message_searcher(), layout, QUERIES[1::2]) > 100
