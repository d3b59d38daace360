"""`search index`: a search with it finds what a search without it finds, and it reads only what changed."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.search.models import SearchQuery
from chatstore_cli.mongo.connection import Connection, connect
from chatstore_cli.mongo.workflow.layout import WorkflowLayout
from tests.conftest import Chatstore
from tests.support.kill_at_command import KillAtCommand, run_in_fork
from tests.support.searched_messages import QUERIES, assert_same_hits, found, message

pytestmark = pytest.mark.real

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
WORDS = "chatstore_search_words"
Row = dict[str, Any]


def _said(text: str, number: int, at: datetime) -> Row:
    return {"content": text, "role": "user", "event_id": f"e{number}", "sequence": number, "timestamp": at}


def _store(database: Database[Row], name: str, at: datetime | None, *texts: str, **fields: Any) -> None:
    messages = [_said(text, number, at or NOON) for number, text in enumerate(texts)]
    session = {"chat_id": name, "enterprise_id": "acme", "status": 0, "updated_at": at, "messages": messages}
    database["chat_sessions"].insert_one({**session, **fields})


def _store_some(database: Database[Row], count: int) -> None:
    for number in range(count):
        _store(database, f"s{number}", NOON - timedelta(days=number), "hello", f"word{number}")


class _Aggregates(CommandListener):
    """The pipelines that were sent."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name == "aggregate":
            self.sent.append(event.command)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass


@contextmanager
def _watching(uri: str, database: Database[Row]) -> Iterator[tuple[Connection, list[Any]]]:
    """A connection of its own, and its aggregations."""
    aggregates = _Aggregates()
    own = connect(uri, database.name, timeout_seconds=30, listener=aggregates)
    yield own, aggregates.sent
    own.client.close()


def _layout(connection: Connection) -> WorkflowLayout:
    return WorkflowLayout(connection, Settings())


def _index(
    connection: Connection, at: datetime = NOON + timedelta(days=1), *, everything: bool = False
) -> tuple[int, int]:
    """Update the index at a time of the server's clock; how many sessions were read, and documents of words removed."""
    steps = list(_layout(connection).words_indexer(lambda: at).update(everything=everything))
    return sum(each.read for each in steps), sum(each.removed for each in steps)


def _sessions(connection: Connection, text: str) -> list[str]:
    return [name for name, _ in found(_layout(connection).message_searcher(), SearchQuery(text))]


def test_a_search_with_the_index_finds_what_reading_every_message_finds(
    connection: Connection, database: Database[Row]
) -> None:
    dice = random.Random(11)
    for number in range(40):
        at = NOON - timedelta(hours=number)
        messages = [message(dice, each, at) for each in range(6)]
        key = ("updated_at", "last_updated_at", "last_updated")[number % 3]
        session = {"chat_id": f"chat-{number}", "enterprise_id": "acme", "status": 0, key: at if number % 7 else None}
        database["chat_sessions"].insert_one({**session, "messages": messages})
        if number % 4 == 0:
            older = [message(dice, each, at) for each in range(-3, 0)]
            segment = {"_id": f"chat-{number}:1", "chat_id": f"chat-{number}", "messages": older}
            database["chat_session_segments"].insert_one(segment)
    assert _index(connection, NOON - timedelta(hours=9))[0] > 30  # so the newest ten count as changed since
    layout = _layout(connection)
    assert assert_same_hits(layout.message_searcher(), layout, QUERIES[:12]) > 50
    assert sum(database[WORDS].count_documents({"_id.segment": {"$exists": has}}) for has in (True, False)) > 40


def test_only_sessions_with_the_words_are_read(mongo_uri: str, connection: Connection, database: Database[Row]) -> None:
    _store_some(database, 60)
    _index(connection)
    with _watching(mongo_uri, database) as (watched, commands):
        assert _sessions(watched, "word42") == ["s42"]
        read = [each for each in commands if each["aggregate"] == "chat_sessions" and "$bsonSize" in str(each)]
    assert [len(each["pipeline"][0]["$match"]["_id"]["$in"]) for each in read] == [1]


def test_an_update_reads_only_what_changed(mongo_uri: str, connection: Connection, database: Database[Row]) -> None:
    _store_some(database, 30)
    assert _index(connection) == (30, 0)
    assert _index(connection) == (0, 0)
    later = NOON + timedelta(days=2)
    new = {"$push": {"messages": _said("zebra", 9, later)}, "$set": {"updated_at": later}}
    database["chat_sessions"].update_one({"chat_id": "s7"}, new)
    _store(database, "new", later, "giraffe")
    assert _sessions(connection, "zebra") == ["s7"]  # before the index has them
    with _watching(mongo_uri, database) as (watched, commands):
        assert _index(watched, later + timedelta(days=1)) == (2, 0)
    bodies = [each for each in commands if each.get("pipeline", [{}])[-1].get("$project") == {"messages": 1}]
    assert [len(each["pipeline"][0]["$match"]["_id"]["$in"]) for each in bodies] == [2]
    assert _sessions(connection, "zebra") == ["s7"]
    assert _index(connection, later + timedelta(days=1), everything=True) == (31, 0)


def test_a_session_that_other_programs_deleted_loses_its_words(connection: Connection, database: Database[Row]) -> None:
    _store_some(database, 3)
    database["chat_session_segments"].insert_one({"_id": "s1:1", "chat_id": "s1", "messages": [_said("old", -1, NOON)]})
    _index(connection)
    database["chat_sessions"].delete_one({"chat_id": "s1"})
    assert _index(connection) == (0, 2)
    assert sorted(each["_id"].get("session_id", "") for each in database[WORDS].find()) == ["", "s0", "s2"]


def test_a_collection_that_was_dropped_and_restored_is_read_again(
    connection: Connection, database: Database[Row]
) -> None:
    _store_some(database, 3)
    _index(connection)
    rows = list(database["chat_sessions"].find())
    database["chat_sessions"].drop()
    database["chat_sessions"].insert_many([{**row, "messages": [_said("zebra", 1, NOON)]} for row in rows])
    connection.known_collections.facts(database, "chat_sessions", fresh=True)
    assert _sessions(connection, "zebra") == ["s0", "s1", "s2"]


@pytest.mark.parametrize("number", range(1, 16, 2))
def test_a_killed_update_leaves_an_index_with_which_a_search_misses_nothing(
    mongo_uri: str, connection: Connection, database: Database[Row], number: int
) -> None:
    for each in range(3):
        _store(database, f"s{each}", NOON - timedelta(days=each), "hello", f"word{each}")
    database["chat_session_segments"].insert_one({"_id": "s1:1", "chat_id": "s1", "messages": [_said("old", -1, NOON)]})

    def work() -> None:
        kill = KillAtCommand("before", number)
        own = connect(mongo_uri, database.name, timeout_seconds=30, listener=kill)
        _index(own)
        kill.wait()

    run_in_fork(work)
    for _ in range(2):
        assert [_sessions(connection, text) for text in ("word0", "word2", "old")] == [["s0"], ["s2"], ["s1"]]
        _index(connection)
    assert database[WORDS].count_documents({"filter": {"$exists": True}}) == 4


def test_an_update_that_was_overtaken_by_another_one_leaves_the_newer_words(
    connection: Connection, database: Database[Row]
) -> None:
    _store(database, "s0", NOON, "hello")
    words = _layout(connection).words
    slow = _layout(connection).words_indexer(lambda: NOON + timedelta(days=1)).update(everything=False)
    write = type(words).write
    with pytest.MonkeyPatch.context() as patch:

        def overtaken(collection: Any, rows: Any) -> None:
            patch.undo()
            push = {"$push": {"messages": _said("zebra", 2, NOON)}, "$set": {"updated_at": NOON + timedelta(hours=1)}}
            database["chat_sessions"].update_one({"chat_id": "s0"}, push)
            _index(connection, NOON + timedelta(days=2))
            write(collection, rows)

        patch.setattr(type(words), "write", overtaken)
        list(slow)
    assert words.complete_until() == NOON + timedelta(days=2) - timedelta(hours=1)
    assert _sessions(connection, "zebra") == ["s0"]


def test_the_command_and_the_deletion_of_a_session(chatstore: Chatstore, database: Database[Row]) -> None:
    _store_some(database, 3)
    first = chatstore("search", "index", "-o", "json")
    assert (first.code, json.loads(first.out)["items"][0]["read"]) == (0, 3), first.err
    assert chatstore("search", "index", "--layout", "calls").code == 2
    assert chatstore("search", "index", "--read-only").code == 4

    def names(*arguments: str) -> list[str]:
        return [row["session_id"] for row in json.loads(chatstore("search", *arguments, "-o", "json").out)["items"]]

    assert names("word1") == ["s1"]
    assert names("hello") == ["s0", "s1", "s2"]
    assert chatstore("search", "-o", "json", "--", "index").code == 0
    assert f"1 document of {WORDS}" in chatstore("sessions", "delete", "s1", "--no-input").err
    assert chatstore("sessions", "delete", "s1", "--yes").code == 0
    assert database[WORDS].count_documents({"_id.session_id": "s1"}) == 0
    assert names("word1") == []
