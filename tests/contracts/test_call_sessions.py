"""The contract of calls, in memory and on real servers: one open call in a room, from its start to its end."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.call_sessions.calls import CallSessions
from chatstore_cli.domain.errors import BadValue, Conflict, ForeignCollection, InvalidCall, NotFound
from chatstore_cli.mongo.call_sessions.store import MongoCallSessionStore
from chatstore_cli.mongo.connection import Connection

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
AGENT = "65e000000000000000000001"


class Calls(CallSessions):
    """The calls of a database, at a time that the test sets."""

    def __init__(self, connection: Connection) -> None:
        self.now = NOON
        self.documents = connection.database["call_sessions"]
        super().__init__(MongoCallSessionStore(connection, Settings(), server_now=lambda: self.now))


@pytest.fixture
def connection(each_connection: Connection) -> Connection:
    """An empty database."""
    return each_connection


@pytest.fixture
def calls(connection: Connection) -> Calls:
    """The calls of an empty database."""
    return Calls(connection)


def test_a_call_from_its_start_to_its_end(calls: Calls, connection: Connection) -> None:
    begun = calls.start(
        "r",
        session_id="s",
        tenant_id="acme",
        user_identity="ana",
        agent_id=AGENT,
        number="4930123456",
        direction="inbound",
    )
    stored = {
        "_id": "s",
        "room": "r",
        "tenant_id": "acme",
        "user_identity": "ana",
        "agent_id": AGENT,
        "number": "+4930123456",
        "direction": "inbound",
        "started_at": NOON,
        "ended_at": None,
        "close_reason": None,
        "open": True,
    }
    assert list(calls.documents.find()) == [stored]
    restarted = Calls(connection)
    assert restarted.find_by_room("r", tenant_id="acme") == restarted.find("s") == begun
    restarted.now = later = NOON + timedelta(minutes=3)
    ended = restarted.end(room="r", close_reason="hung up")
    assert ended == replace(begun, ended_at=later, close_reason="hung up", is_open=False)
    assert list(calls.documents.find()) == [{**stored, "ended_at": later, "close_reason": "hung up", "open": False}]
    assert calls.find_by_room("r") is None
    assert calls.find("s") == ended


def test_a_call_without_an_id_gets_one(calls: Calls) -> None:
    assert uuid.UUID(calls.start("r").session_id).version == 4


def test_an_open_room_is_not_taken_over(calls: Calls) -> None:
    begun = calls.start("r", session_id="s", tenant_id="acme")
    with pytest.raises(Conflict, match=r"^Room 'r' has an open call: call session 's'. Nothing was changed.$"):
        calls.start("r", session_id="t", tenant_id="acme")
    with pytest.raises(Conflict, match=r"^Room 'r' has an open call. Nothing was changed.$"):
        calls.start("r", session_id="t", tenant_id="other")
    assert calls.list_open().calls == (begun,)
    calls.end(session_id="s")
    assert calls.start("r", session_id="t").is_open


def test_the_same_call_again_changes_nothing(calls: Calls) -> None:
    begun = calls.start("r", session_id="s")
    calls.now += timedelta(minutes=1)
    assert calls.start("r", session_id="s") == begun
    for room, tenant in (("other", None), ("r", "acme")):
        with pytest.raises(Conflict, match="'s' exists already, in another room or of another tenant"):
            calls.start(room, session_id="s", tenant_id=tenant)
    calls.end(session_id="s")
    with pytest.raises(Conflict, match="'s' has ended"):
        calls.start("r", session_id="s")


@pytest.mark.parametrize("chosen", [{"session_id": "s"}, {"room": "r"}])
def test_ending_twice_is_harmless(calls: Calls, chosen: dict[str, str]) -> None:
    calls.start("r", session_id="older")
    calls.end(session_id="older")
    calls.now += timedelta(minutes=1)
    calls.start("r", session_id="s")
    ended = calls.end(**chosen, close_reason="first")
    calls.now += timedelta(minutes=1)
    assert calls.end(**chosen, close_reason="second") == ended
    assert (ended.session_id, ended.close_reason) == ("s", "first")


def test_a_late_end_by_id_does_not_end_the_next_call_in_the_room(calls: Calls) -> None:
    calls.start("r", session_id="s")
    calls.end(session_id="s")
    following = calls.start("r", session_id="t")
    calls.end(session_id="s")
    assert calls.find_by_room("r") == following


def test_a_tenant_finds_and_ends_its_own_calls_only(calls: Calls) -> None:
    begun = calls.start("r", session_id="s", tenant_id="acme")
    nobodys = calls.start("n")
    assert calls.find("s", tenant_id="other") is None
    assert calls.find_by_room("r", tenant_id="other") is None
    assert calls.find_by_room("n", tenant_id="acme") is None
    assert calls.list_open(tenant_id="other").calls == ()
    with pytest.raises(NotFound, match="No call session 's' in call_sessions"):
        calls.end(session_id="s", tenant_id="other")
    with pytest.raises(NotFound, match="No call session in the room 'r' in call_sessions"):
        calls.end(room="r", tenant_id="other")
    assert calls.list_open(tenant_id="acme").calls == (begun,)
    assert {call.session_id for call in calls.list_open().calls} == {"s", nobodys.session_id}


def test_pages_of_open_calls_are_complete_and_newest_first(calls: Calls) -> None:
    wanted = []
    for number in range(9):
        calls.now = NOON + timedelta(minutes=number // 3)
        wanted.append(calls.start(f"r{number}", session_id=f"s{number}").session_id)
    calls.end(session_id="s4")
    wanted.remove("s4")
    for size in (1, 2, 3, 8, 50):
        found: list[str] = []
        cursor = None
        while True:
            page = calls.list_open(limit=size, cursor=cursor)
            found += [call.session_id for call in page.calls]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert found == wanted[::-1]


@pytest.mark.parametrize(
    "wrong",
    [{"room": ""}, {"room": None}, {"room": 7}, {"room": "r" * 501}, {"room": "a\0"}, {"room": "\ud800"}, {"session_id": ""},
     {"tenant_id": ""}, {"user_identity": {"$gt": ""}}, {"direction": "up"}, {"direction": ["inbound"]}, {"number": "x"},
     {"agent_id": "x"}],
)  # fmt: skip
def test_wrong_values_are_rejected_before_anything_is_looked_up(calls: Calls, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        calls.start(**{"room": "r", **wrong})
    assert calls.documents.name not in calls.documents.database.list_collection_names()


def test_wrong_arguments(calls: Calls) -> None:
    for both in ({}, {"session_id": "s", "room": "r"}):
        with pytest.raises(InvalidCall, match="Either session_id or room is required"):
            calls.end(**both)
    for wrong in ({"limit": 0}, {"limit": 201}, {"limit": True}, {"cursor": "x"}):
        with pytest.raises(BadValue):
            calls.list_open(**wrong)


def test_a_collection_of_another_product_is_not_written(calls: Calls) -> None:
    calls.documents.insert_many([{"call": number} for number in range(20)])
    with pytest.raises(ForeignCollection):
        calls.start("r")
    assert calls.list_open().calls == ()
    assert calls.documents.count_documents({}) == 20
