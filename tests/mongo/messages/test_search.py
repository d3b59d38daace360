"""A search in flat messages finds with an index, and with the server's filter, what it finds by reading every message."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.search.run import MessageSearch
from chatstore_cli.core.search.scanning import ScanningSearcher
from chatstore_cli.domain.search.models import SearchMode, SearchQuery
from chatstore_cli.domain.search.ports import MessageSearcher
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.maintenance.index_store import MongoIndexStore
from chatstore_cli.mongo.messages.layout import MessagesLayout
from chatstore_cli.mongo.messages.search import search_plan
from tests.support import searched_messages
from tests.support.searched_messages import assert_same_hits, with_invalid_text

pytestmark = pytest.mark.real
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
NAME = "chat_messages"
INVALID = "not UTF-8"
STRANGE = {"$or": [{"_id": INVALID}, {"created_at": {"$type": "array"}}, {"created_at": "9999 or so"}]}
"""The server does not put a text that is not UTF-8 into a text index. The others have more than one place."""
MORE = (
    SearchQuery("pizza", role="user"),
    SearchQuery("pizza", session_id="s3"),
    SearchQuery("pizza", since=NOON - timedelta(minutes=90), until=NOON - timedelta(minutes=20)),
    SearchQuery("zza", mode=SearchMode.SUBSTRING, role="unknown"),
)


def stored_time(number: int, at: datetime) -> Any:
    """A time in one of the forms that applications store, or something else."""
    forms = [
        at.isoformat(timespec="microseconds"), at, at.timestamp(), at.timestamp() * 1000, at.isoformat(sep=" ")[:19],
        at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ"), (at + timedelta(hours=5)).isoformat()[:19] + "+05:00",
        None, "yesterday", [at.isoformat(), at - timedelta(days=3)], [], True, "9999 or so", {"at": at}, -5,
    ]  # fmt: skip
    return at.isoformat(timespec="microseconds") if number % 3 else forms[number // 3 % len(forms)]


def stored_messages(count: int) -> list[dict[str, Any]]:
    """Messages of a few sessions, with text in every place."""
    dice = random.Random(11)
    rows: list[dict[str, Any]] = []
    for number in range(count):
        stored = searched_messages.message(dice, number, NOON)
        fields = stored if isinstance(stored, dict) else {"content": stored}
        row = {"_id": ObjectId() if number % 2 else f"m{number}", "session_id": f"s{number % 7}"}
        row |= {name: value for name, value in fields.items() if name not in ("content", "timestamp", "event_id")}
        row |= {"role": fields.get("role", 5), "text": fields.get("content")}
        at = stored_time(number, NOON - timedelta(minutes=number))
        rows.append(row if at is None else {**row, "created_at": at})
    facts = {"role": "user", "created_at": NOON.isoformat()}
    rows += [
        {**facts, "session_id": ObjectId(), "text": "pizza in the session of an ObjectId", "language": "xx"},
        {**facts, "session_id": True, "text": "pizza in a session that no text addresses"},
        {"session_id": "s1", "name": "foreign", "text_of_it": "pizza", "created_at": NOON},
    ]
    return rows


@pytest.fixture(params=[None, {"locale": "en", "strength": 2}], ids=["plain", "collation"])
def layout(
    request: pytest.FixtureRequest, connection: Connection, database: Database[dict[str, Any]]
) -> MessagesLayout:
    """A collection without any index."""
    if request.param:
        database.create_collection(NAME, collation=request.param)
    database[NAME].insert_many(stored_messages(300))
    database[NAME].insert_one(
        with_invalid_text({"_id": INVALID, "session_id": "s1", "role": "user", "text": "(invalid) pizza oven"})
    )
    return MessagesLayout(connection, Settings())


def with_indexes(layout: MessagesLayout, connection: Connection, *, search: bool) -> MessagesLayout:
    """The layout with its indexes, and those of searches."""
    plan, store = search_plan(NAME), MongoIndexStore(connection, connection)
    for spec in [*layout.index_specs(), *([plan.text_spec(), plan.others_spec()] if search else [])]:
        store.create(spec, spec.name)
    return MessagesLayout(connection, Settings())


def page(searcher: MessageSearcher, query: SearchQuery, cursor: str | None = None, limit: int = 500) -> MessageSearch:
    """A search that has not begun."""
    return MessageSearch([searcher], query, limit=limit, cursor=cursor)


def ids(search: MessageSearch) -> list[tuple[str, str | None]]:
    """The messages of the hits."""
    return [(hit.message.session_id, hit.message.message_id) for hit in search.hits()]


def test_every_way_to_search_finds_what_reading_every_message_finds(
    layout: MessagesLayout, connection: Connection
) -> None:
    searcher = layout.message_searcher()
    assert assert_same_hits(searcher, layout) > 300
    assert "no index on (created_at, session_id)" in searcher.remarks[0]
    assert_same_hits(with_indexes(layout, connection, search=False).message_searcher(), layout)
    connection.collection(NAME).delete_many(STRANGE)
    reader = ScanningSearcher(MessagesLayout(connection, Settings()))
    expected = {query: sorted(ids(page(reader, query))) for query in MORE}
    assert min(map(len, expected.values())) > 0
    searcher = with_indexes(layout, connection, search=False).message_searcher()
    assert {query: sorted(ids(page(searcher, query))) for query in MORE} == expected
    searcher = with_indexes(layout, connection, search=True).message_searcher()
    assert {query: sorted(ids(page(searcher, query))) for query in MORE} == expected
    assert_same_hits(searcher, layout)
    assert searcher.remarks == []


def test_the_pages_of_an_index_and_of_a_scan_are_the_same_and_newest_first(
    layout: MessagesLayout, connection: Connection
) -> None:
    connection.collection(NAME).delete_many(STRANGE)
    every = ids(page(ScanningSearcher(layout), SearchQuery("pizza")))
    for search in (False, True):
        searcher = with_indexes(layout, connection, search=search).message_searcher()
        whole = list(page(searcher, SearchQuery("pizza")).hits())
        times = [hit.message.created_at for hit in whole if hit.message.created_at is not None]
        assert times == sorted(times, reverse=True)
        pages: list[tuple[str, str | None]] = []
        cursor = None
        while True:
            search_of_page = page(searcher, SearchQuery("pizza"), cursor, limit=7)
            pages += ids(search_of_page)
            if (cursor := search_of_page.next_cursor) is None:
                break
        assert sorted(pages) == sorted(every)
