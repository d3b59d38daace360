"""A change stream on a real server: what the server itself says when it cannot resume."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.watch.change_stream import ChangeStream
from tests.support.mongod import poll

pytestmark = pytest.mark.real
EVERYTHING: list[dict[str, Any]] = [{"$match": {}}]


def numbers(stream: ChangeStream, count: int) -> list[int]:
    """The next documents."""
    found: list[int] = []

    def has_them() -> bool:
        events, missed_since = stream.read()
        assert missed_since is None
        found.extend(event["fullDocument"]["n"] for event in events)
        return len(found) >= count

    poll(has_them, what=f"{count} events")
    return found


def test_events_come_from_the_moment_it_is_opened_and_over_being_closed(connection: Connection) -> None:
    stream = ChangeStream(connection, EVERYTHING, "testing", batch_size=2)
    things = connection.collection("things")
    things.insert_one({"n": 0})
    assert stream.open()
    things.insert_many([{"n": number} for number in range(1, 6)])
    assert numbers(stream, 1) == [1, 2]
    stream.close()
    assert numbers(stream, 3) == [3, 4, 5]
    before = stream.position()
    things.insert_one({"n": 6})
    assert numbers(stream, 1) == [6]
    assert stream.position() > before
    stream.close()


def test_a_token_that_the_oplog_no_longer_has_begins_anew_and_says_since_when(connection: Connection) -> None:
    stream = ChangeStream(connection, EVERYTHING, "testing")
    things = connection.collection("things")
    began = datetime.now(UTC)
    assert stream.open()
    things.insert_one({"n": 0})
    assert numbers(stream, 1) == [0]
    stream.close()
    stream._token = {"_data": stream._token["_data"][:2] + "00000001" + stream._token["_data"][10:]}  # of 1970
    things.insert_one({"n": 1})

    assert stream.read() == ([], None)
    events, missed_since = stream.read()
    assert events == []
    assert missed_since is not None
    assert began <= missed_since + timedelta(minutes=1) <= datetime.now(UTC)
    things.insert_one({"n": 2})
    assert numbers(stream, 1) == [2]
    stream.close()


def test_in_memory_there_is_none() -> None:
    from tests.support.in_memory import connection_in_memory

    assert not ChangeStream(connection_in_memory(), EVERYTHING, "testing").open()
