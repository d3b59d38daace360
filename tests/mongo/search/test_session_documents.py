"""A search in sessions that are one document each finds with the server's filter what it finds without it."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.search.models import SearchQuery
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.general.layout import GeneralLayout
from chatstore_cli.mongo.workflow.layout import WorkflowLayout
from tests.support.searched_messages import QUERIES, assert_same_hits, found, message, with_invalid_text

pytestmark = pytest.mark.real

GENERAL_CHATS = replace(Settings().layouts.general, sessions="GeneralChatSessions")
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def _variant(number: int, session_id: str, at: datetime) -> dict[str, Any]:
    """A session of one of the variants A to E, of chatstore's own, or one without a time."""
    return [
        {"_id": ObjectId(), "chat_id": session_id, "enterprise_id": "acme", "updated_at": at},
        {
            "_id": ObjectId(),
            "chat_id": session_id,
            "enterprise_id": ObjectId(),
            "last_updated": at,
            "is_complete": True,
        },
        {
            "_id": ObjectId(),
            "chat_id": session_id,
            "enterprise_id": "acme",
            "last_updated_at": at,
            "status": "completed",
        },
        {"_id": session_id, "enterprise_id": "acme", "status": 1, "last_updated_at": at},
        {"_id": session_id, "app_id": "acme", "status": 1, "last_updated_at": at.isoformat()},
        {"_id": session_id, "app_id": "other", "status": 2, "updated_at": at.replace(tzinfo=None)},
        {"_id": session_id, "app_id": "acme", "status": 0},
    ][number % 7]


@pytest.mark.parametrize(
    ("make_layout", "collation", "queries"),
    [(WorkflowLayout, None, QUERIES), (GeneralLayout, {"locale": "en", "strength": 2}, QUERIES[::4])],
    ids=["workflow", "general-collation"],
)
def test_the_filter_of_the_server_finds_what_the_matcher_finds_in_every_message(
    connection: Connection, database: Database[dict[str, Any]], make_layout: Any, collation: Any, queries: Any
) -> None:
    dice = random.Random(7)
    settings = Settings()
    settings = replace(settings, layouts=replace(settings.layouts, general=GENERAL_CHATS))
    layout = make_layout(connection, settings)
    names = layout.shape.sessions_of(settings), layout.shape.segments_of(settings)
    for name in names if collation else ():
        database.create_collection(name, collation=collation)
    sessions, segments = (database[name] for name in names)
    for number in range(70):
        at = NOON - timedelta(minutes=number)
        session_id = f"{'Chat' if number % 2 else 'chat'}-{number // 2}" if number % 7 < 3 else f"id-{number}"
        messages = [message(dice, each, at - timedelta(seconds=10 - each)) for each in range(10)]
        sessions.insert_one({**_variant(number, session_id, at), "user_id": "ada", "messages": messages})
        if number % 5 == 0:
            older = [message(dice, each, at - timedelta(hours=1)) for each in range(-5, 0)]
            segments.insert_one({"_id": f"{session_id}:1", "chat_id": session_id, "messages": older})
    facts = {"enterprise_id": "acme", "user_id": "ada", "updated_at": NOON, "status": 0}
    sessions.insert_one({**facts, "chat_id": "no list", "messages": "pizza"})
    sessions.insert_one({"name": "foreign", "updated_at": NOON, "text": "pizza"})
    invalid = {**facts, "chat_id": "invalid", "messages": [{"content": "(invalid) pizza oven 42"}]}
    sessions.insert_one(with_invalid_text(invalid))
    assert assert_same_hits(layout.message_searcher(), layout, queries) > 100
    ovens = found(layout.message_searcher(), SearchQuery("oven", tenant_id="acme"))
    assert "invalid" in {session for session, _ in ovens}
