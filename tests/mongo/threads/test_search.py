"""A search in threads finds with an index, and with the server's filter, what it finds by reading every message."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.search.run import MessageSearch
from chatstore_cli.core.search.scanning import ScanningSearcher
from chatstore_cli.domain.search.models import SearchQuery
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.maintenance.index_store import MongoIndexStore
from chatstore_cli.mongo.threads.layout import ThreadsLayout
from chatstore_cli.mongo.threads.search import search_plan
from tests.support import searched_messages
from tests.support.searched_messages import FILTERED, NOON, assert_same_hits

pytestmark = pytest.mark.real


def content(dice: random.Random) -> Any:
    """A content as fluxibly stores it, or any other."""
    kind = dice.randrange(4)
    stored = searched_messages.content(dice)
    if kind == 0:
        return stored
    fields: dict[str, Any] = {"type": "text", "text": stored, "metadata": dice.choice([{}, {"note": "pizza"}, None])}
    if kind == 1:
        fields |= dice.choice([{}, {"order": 42}, {"tool_calls": searched_messages.tool_calls(dice)}])
        fields["type"] = dice.choice(["text", "image", "a", None, 5, ["text"]])
    if kind == 2:
        fields["metadata"] = {"tool_calls": searched_messages.tool_calls(dice)}
    return fields


@pytest.fixture
def layout(connection: Connection, database: Database[dict[str, Any]]) -> ThreadsLayout:
    """Threads with messages of many kinds, and some messages without a thread."""
    dice = random.Random(5)
    for number in range(20):
        at = NOON - timedelta(minutes=10 * number)
        thread_id = ObjectId() if number % 5 == 4 else f"t{number}"
        facts = {"user_id": f"u{number % 3}", "org_id": ["acme", "other"][number % 2], "name": "A thread"}
        if number != 7:
            database["chat_threads"].insert_one({"_id": thread_id, **facts, "created_at": at, "updated_at": at})
        for place in range(15):
            row = {"_id": f"{number}-{place}", "chat_thread_id": thread_id, "sequence": place}
            row |= {"sender_id": None, "sender_role": dice.choice(["user", "assistant"]), "language": "xx"}
            row |= (
                {"content": content(dice)}
                if place % 7
                else {"content": {"type": "text", "text": "Pizza from the oven"}}
            )
            times = [at - timedelta(seconds=15 - place)] * 5 + [at.isoformat(), None]
            row["created_at"] = dice.choice(times)
            database["chat_thread_messages"].insert_one(row)
    return ThreadsLayout(connection, Settings())


def ids(search: MessageSearch) -> list[tuple[str, str | None]]:
    """The messages of the hits."""
    return [(hit.message.session_id, hit.message.message_id) for hit in search.hits()]


@pytest.mark.parametrize("has_index", [False, True], ids=["scan", "index"])
def test_a_search_finds_what_reading_every_message_finds(
    layout: ThreadsLayout, connection: Connection, has_index: bool
) -> None:
    store, plan = MongoIndexStore(connection, connection), search_plan("chat_thread_messages")
    for spec in [*layout.index_specs(), *([plan.text_spec(), plan.others_spec()] if has_index else [])]:
        store.create(spec, spec.name)
    searcher = layout.message_searcher()
    assert assert_same_hits(searcher, layout) > 300
    for query in FILTERED:
        expected = sorted(ids(MessageSearch([ScanningSearcher(layout)], query, limit=500)))
        assert sorted(ids(MessageSearch([searcher], query, limit=500))) == expected
        assert len(expected) > 3


def test_the_index_is_used(layout: ThreadsLayout, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    store, plan = MongoIndexStore(connection, connection), search_plan("chat_thread_messages")
    for spec in [*layout.index_specs(), plan.text_spec(), plan.others_spec()]:
        store.create(spec, spec.name)
    monkeypatch.setattr(layout, "without_counts", None)  # a scan would fail
    assert ids(MessageSearch([layout.message_searcher()], SearchQuery("pizza"), limit=20))
