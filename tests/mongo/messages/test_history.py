"""What MongoDB is asked for a history: the newest rows, down to where enough are known, and no more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient
from pymongo.monitoring import CommandListener, CommandSucceededEvent

from chatstore_cli.domain.history import StoredMessage
from chatstore_cli.domain.identity import session_prefix
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.messages.history import MongoHistory
from chatstore_cli.mongo.messages.layout import index_specs
from tests.support.journals import COLLECTION, START, instant, record
from tests.support.mongod import Mongod

OURS = session_prefix("s1") + "0" * 20


def row(number: int, **fields: Any) -> dict[str, Any]:
    return {"_id": ObjectId(), **record(number), **fields}


def source(connection: Connection, rows: list[dict[str, Any]]) -> MongoHistory:
    collection = connection.collection(COLLECTION)
    for spec in index_specs(COLLECTION):
        if spec.expire_after_seconds is None:
            collection.create_index(list(spec.keys), name=spec.name)
    collection.insert_many(rows)
    return MongoHistory(connection, COLLECTION)


def texts(found: list[StoredMessage]) -> list[Any]:
    return [stored.message.content for stored in found]


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_the_newest_are_given_oldest_first(any_connection: Connection):
    stored = source(any_connection, [row(n) for n in range(10)])
    assert texts(stored.newest_stored("s1", 3, None)) == ["message 7", "message 8", "message 9"]
    assert len(stored.newest_stored("s1", 50, None)) == 10


def test_nothing_is_given_of_a_session_that_is_not_there(any_connection: Connection):
    stored = source(any_connection, [row(1)])
    for nobody in ("s2", "\udcff", ""):
        assert stored.newest_stored(nobody, 3, None) == []
        assert stored.tombstone(nobody) is None


@pytest.mark.parametrize(
    ("since", "first"), [(at(5), 5), (at(5.0001), 5), (at(5.01), 6), (at(-99), 2), (at(99), 9), (at(2), 2)]
)
def test_no_more_is_given_than_is_newer_than_the_cache_needs_but_the_newest_always(
    any_connection: Connection, since: datetime, first: int
):
    stored = source(any_connection, [row(n) for n in range(10)])
    assert texts(stored.newest_stored("s1", 8, since)) == [f"message {n}" for n in range(first, 10)]


def test_what_shares_a_millisecond_with_the_last_is_there_whole(any_connection: Connection):
    moments = [START.replace(microsecond=microsecond) for microsecond in (194_999, 195_000, 195_500, 195_999, 196_000)]
    rows = [row(n, created_at=moment.isoformat(timespec="microseconds")) for n, moment in enumerate(moments)]
    rows.append(row(7, created_at=moments[2]))  # a date, which keeps 195 ms
    stored = source(any_connection, rows)
    assert sorted(texts(stored.newest_stored("s1", 2, None))) == [f"message {n}" for n in (1, 2, 3, 4, 7)]


def test_a_row_says_whose_it_is_and_what_a_line_must_hold_to_be_equal(any_connection: Connection):
    rows = [row(1, _id=OURS), row(2), row(3, created_at=at(3)), row(4, role="narrator")]
    found = source(any_connection, rows).newest_stored("s1", 50, None)
    assert [stored.identity for stored in found] == [OURS, None, None, None]
    assert [stored.content and stored.content.in_milliseconds for stored in found] == [False, False, True, None]


def test_contents_are_found_by_id_alone(any_connection: Connection):
    stored = source(any_connection, [row(1, _id=OURS)])
    assert stored.stored_contents([OURS, "0" * 32]) == {OURS: ("assistant", instant(1), "message 1")}


def test_a_session_that_was_deleted_is_known(any_connection: Connection):
    stored = source(any_connection, [row(1)])
    tombstone = {"_id": {"layout": "messages", "session_id": "s1"}, "deleted_at": START}
    any_connection.collection("chatstore_tombstones").insert_one(tombstone)
    known = stored.tombstone("s1")
    assert known is not None
    assert known.deleted_at == START.replace(microsecond=195_000)
    assert stored.tombstone("s2") is None


@pytest.mark.real
def test_texts_that_stand_hours_from_their_place_are_found(connection: Connection):
    zones = [timezone(timedelta(hours=hours)) for hours in (-11, 0, 14)]
    rows = [row(n, created_at=at(60 * n).astimezone(zones[n % 3]).isoformat()) for n in range(1_200)]
    stored = source(connection, rows)
    for since, first in ((None, 1_140), (at(60 * 1_150), 1_150)):
        found = texts(stored.newest_stored("s1", 60, since))
        assert {f"message {n}" for n in range(first, 1_200)} <= set(found)


@pytest.mark.parametrize("end", [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, tzinfo=UTC)])
def test_the_ends_of_time_are_no_trouble(any_connection: Connection, end: datetime):
    rows = [row(1, created_at=end.isoformat()), row(2), row(3, created_at="no time"), row(4, created_at=None)]
    found = source(any_connection, rows).newest_stored("s1", 2, end)
    assert found


class CommandCallbacks(CommandListener):
    """How many documents, and bytes of messages, each answer had."""

    def __init__(self) -> None:
        self.messages: list[int] = []

    def started(self, event: Any) -> None: ...

    def failed(self, event: Any) -> None: ...

    def succeeded(self, event: CommandSucceededEvent) -> None:
        cursor = event.reply.get("cursor", {})
        batch = cursor.get("firstBatch", cursor.get("nextBatch", []))
        if any("text" in document for document in batch):
            self.messages.append(len(batch))


@pytest.mark.real
def test_of_a_long_session_no_more_messages_are_read_than_are_asked_for(connection: Connection, mongod: Mongod):
    source(connection, [row(n) for n in range(3_000)])
    answers = CommandCallbacks()
    client: MongoClient[dict[str, Any]] = MongoClient(mongod.uri, event_listeners=[answers], tz_aware=True)
    heard = Connection(client, client[connection.database.name], "heard")
    found = MongoHistory(heard, COLLECTION).newest_stored("s1", 50, None)
    client.close()
    assert texts(found) == [f"message {n}" for n in range(2_950, 3_000)]
    assert sum(answers.messages) == 52
