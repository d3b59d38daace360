"""Tombstones as they are stored: nothing that a deletion has listed is lost, however many ids and processes there are."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from bson import Binary, Decimal128, ObjectId

from chatstore_cli.mongo import tombstones
from chatstore_cli.mongo.connection import Connection, connect
from chatstore_cli.mongo.tombstones import (
    TOMBSTONES,
    deleted_sessions,
    remove_parts,
    row_key,
    tombstones_of,
    write_tombstone,
)
from tests.support.at_command import AtCommand
from tests.support.journals import flush, record, write_journal
from tests.support.mongod import Mongod

NOW = datetime(2026, 3, 2, 11, 41, 0, 195000, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def ids_of(connection: Connection, session_id: str = "s1") -> set[str]:
    """The listed ids as every process reads them."""
    return set(tombstones_of(connection, "messages", [session_id])[session_id].row_ids)


def numbered(first: int, end: int) -> list[str]:
    return [f"{number:032x}" for number in range(first, end)]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents that hold ten ids."""
    monkeypatch.setattr(tombstones, "LISTED_IDS", 10)


def test_a_second_deletion_raises_the_time_and_adds_ids(any_connection: Connection):
    write_tombstone(any_connection, "messages", "s1", LATER, ["a"])
    write_tombstone(any_connection, "messages", "s1", NOW, ["b", "a"])
    [row] = any_connection.collection(TOMBSTONES).find()
    assert row == {"_id": {"layout": "messages", "session_id": "s1"}, "deleted_at": LATER, "row_ids": ["a", "b"]}
    found = tombstones_of(any_connection, "messages", ["s1", "s2"])
    assert {session: (each.deleted_at, each.row_ids) for session, each in found.items()} == {
        "s1": (LATER, frozenset("ab"))
    }
    assert tombstones_of(any_connection, "workflow", ["s1"]) == {}
    assert deleted_sessions(any_connection, "messages", ["s1", "s2"]) == {"s1"}


@pytest.mark.parametrize("batches", [[9, 1, 1], [10, 10], [11], [35], [3, 25, 4], [0, 12, 0], [10, 0, 1]])
def test_ids_that_one_document_cannot_hold_are_in_others(any_connection: Connection, few: None, batches: list[int]):
    first = 0
    for count in batches:
        write_tombstone(any_connection, "messages", "s1", NOW, numbered(first, first + count))
        write_tombstone(any_connection, "messages", "s1", NOW, numbered(first, first + count))  # a repeated deletion
        first += count
    write_tombstone(any_connection, "messages", "s2", NOW, numbered(500, 533))
    assert ids_of(any_connection) == set(numbered(0, first))
    assert ids_of(any_connection, "s2") == set(numbered(500, 533))
    assert all(len(row.get("row_ids", [])) <= 10 for row in any_connection.collection(TOMBSTONES).find())


@pytest.mark.real
def test_ten_thousand_ids_are_one_document_and_more_are_further_ones(connection: Connection):
    write_tombstone(connection, "messages", "s1", NOW, numbered(0, 10_000))
    assert connection.collection(TOMBSTONES).count_documents({}) == 1
    write_tombstone(connection, "messages", "s1", NOW, numbered(10_000, 10_001))
    assert connection.collection(TOMBSTONES).count_documents({}) == 2
    assert ids_of(connection) == set(numbered(0, 10_001))


@pytest.mark.real
def test_long_ids_of_another_writer_do_not_fill_a_document(connection: Connection):
    long = [f"{number}" + "x" * 1_000_000 for number in range(20)]
    write_tombstone(connection, "messages", "s1", NOW, long)
    assert ids_of(connection) == set(long)


@pytest.mark.real
def test_ids_of_every_type_are_told_apart(connection: Connection):
    ids: list[Any] = [
        ObjectId("5" * 24), "5" * 24, 5, 5.5, "5", True, None, {"a": 1}, {"a": "1"}, NOW, Binary.from_uuid(UUID(int=5)), b"5",
        Decimal128("5.1"), float("nan"),
    ]  # fmt: skip
    connection.collection("rows").insert_many({"_id": each} for each in ids)
    rows = list(connection.collection("rows").find())
    write_tombstone(connection, "messages", "s1", NOW, [row["_id"] for row in rows])
    assert ids_of(connection) == {row_key(row["_id"]) for row in rows}
    assert len(ids_of(connection)) == len(ids)


@pytest.mark.real
def test_a_look_up_is_one_command_and_reads_only_the_tombstones_that_exist(mongod: Mongod, connection: Connection):
    """So a flush of sessions without tombstones costs what it did: the ids of each batch are looked up once."""
    for session in ("s1", "s2"):
        write_tombstone(connection, "messages", session, NOW, ["a"])
    listener = AtCommand(0, lambda: None)
    watched = connect(mongod.uri, connection.database.name, timeout_seconds=10, listener=listener)
    sessions = [f"s{number}" for number in range(1_000)]
    assert set(tombstones_of(watched, "messages", sessions)) == {"s1", "s2"}
    assert listener.commands == ["find"]
    plan = connection.collection(TOMBSTONES).find({"_id": {"$in": tombstones._keys("messages", sessions)}}).explain()
    assert plan["executionStats"]["totalDocsExamined"] == 2


@pytest.mark.real
def test_lines_of_sessions_that_were_not_deleted_cost_no_command_of_their_own(
    mongod: Mongod, connection: Connection, tmp_path: Path
):
    """A flush of one batch sends the same commands for ten lines and for a thousand, and reads no tombstone in full."""
    write_tombstone(connection, "messages", "another", NOW)
    flush(connection, write_journal(tmp_path / "first.jsonl", [record(0, "first")]))
    sent: list[list[str]] = []
    for lines in (10, 1_000):
        listener = AtCommand(0, lambda: None)
        watched = connect(mongod.uri, connection.database.name, timeout_seconds=10, listener=listener)
        journal = write_journal(
            tmp_path / f"{lines}.jsonl", [record(0, f"{lines}-{number}") for number in range(lines)]
        )
        assert flush(watched, journal).stored == lines
        sent.append(listener.commands)
    assert sent[0] == sent[1]
    assert sent[0][-4:] == ["distinct", "find", "insert", "find"]


def test_a_tombstone_whose_time_cannot_be_read_covers_only_its_ids(any_connection: Connection):
    """Somebody changed it by hand. Nothing is lost, and a second deletion repairs it."""
    key = {"layout": "messages", "session_id": "s1"}
    any_connection.collection(TOMBSTONES).insert_one({"_id": key, "deleted_at": "yesterday", "row_ids": ["a"]})
    known = tombstones_of(any_connection, "messages", ["s1"])["s1"]
    assert (known.covers(NOW - timedelta(days=900), "x"), known.covers(LATER, "a")) == (False, True)
    any_connection.collection(TOMBSTONES).update_one({"_id": key}, {"$unset": {"deleted_at": 1}})
    assert not tombstones_of(any_connection, "messages", ["s1"])["s1"].covers(NOW, "x")
    write_tombstone(any_connection, "messages", "s1", NOW)
    assert tombstones_of(any_connection, "messages", ["s1"])["s1"].covers(NOW, "x")


@pytest.mark.real
@pytest.mark.parametrize("before", range(1, 5))
def test_two_processes_that_write_one_tombstone_lose_nothing(
    mongod: Mongod, connection: Connection, few: None, before: int
):
    """The other one writes as a whole before each command of the first one."""

    def other() -> None:
        write_tombstone(connection, "messages", "s1", LATER, numbered(20, 27))

    listener = AtCommand(before, other)
    first = connect(mongod.uri, connection.database.name, timeout_seconds=10, listener=listener)
    write_tombstone(first, "messages", "s1", NOW, numbered(0, 14))
    if not listener.reached:
        other()
    known = tombstones_of(connection, "messages", ["s1"])["s1"]
    assert (known.deleted_at, known.row_ids) == (LATER, frozenset(numbered(0, 14) + numbered(20, 27)))


@pytest.mark.real
def test_many_processes_that_create_one_tombstone_at_once_lose_nothing(connection: Connection, few: None):
    barrier = threading.Barrier(6)
    failures: list[Exception] = []

    def write(number: int) -> None:
        barrier.wait()
        try:
            write_tombstone(
                connection, "messages", "s1", NOW + timedelta(seconds=number), numbered(10 * number, 10 * number + 4)
            )
        except Exception as error:  # noqa: BLE001 - shown by the assertion
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    known = tombstones_of(connection, "messages", ["s1"])["s1"]
    assert known.deleted_at == NOW + timedelta(seconds=5)
    assert known.row_ids == {each for number in range(6) for each in numbered(10 * number, 10 * number + 4)}


def test_a_workflow_session_has_a_tombstone_without_ids(any_connection: Connection):
    remove_parts(any_connection, "workflow", "w1", [("chat_sessions", {"chat_id": "w1"})], NOW)
    [row] = any_connection.collection(TOMBSTONES).find()
    assert row == {"_id": {"layout": "workflow", "session_id": "w1"}, "deleted_at": NOW}
