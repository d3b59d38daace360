"""No session vanishes: with a value of any type as its time or as its id, in every layout, over pages of any size."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pymongo.errors
import pytest
from bson import Decimal128, Int64, ObjectId
from bson.raw_bson import RawBSONDocument

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.readers import find_session
from chatstore_cli.core.sessions.listing import SessionPage, list_sessions
from chatstore_cli.core.sessions.removal import plan_removal
from chatstore_cli.domain.queries import MessageSelection, SessionKey, SessionQuery
from chatstore_cli.domain.session import Session
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.general.index_specs import index_specs as chat_indexes
from chatstore_cli.mongo.identifiers import addressable_id
from chatstore_cli.mongo.layouts.registry import LAYOUTS
from chatstore_cli.mongo.messages.layout import index_specs as message_indexes
from chatstore_cli.mongo.threads.index_specs import index_specs as thread_indexes
from chatstore_cli.mongo.workflow.index_specs import index_specs as session_indexes
from tests.conftest import Chatstore
from tests.support.bson_values import VALUES, with_value

pytestmark = pytest.mark.real

SYMBOL = 0x0E
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECONDS = int(NOON.timestamp())
TIMES: tuple[Any, ...] = (
    SECONDS, SECONDS + 1.5, (SECONDS + 2) * 1000, (SECONDS + 3) * 1000.0, Decimal128(str(SECONDS + 4)), 5, -SECONDS, 1e15,
    NOON, NOON + timedelta(seconds=1), datetime(1, 1, 1, tzinfo=UTC), "2026-03-02T12:00:06.000001+00:00", "2026-03-02t12:00:07z",
    "2026-03-01T24:00:00Z", "20260302T120008Z", "2026-03-02 12:00:09", "2026-03-02T17:30:10+05:30", "2026-03-02T04:00:11-08:00",
    "Mon, 02 Mar 2026 12:00:00 GMT", "3/2/2026", " 2026-03-02", "2026-13-45", None,
)  # fmt: skip
IDS: tuple[Any, ...] = (42.0, float(SECONDS * 1000), 2.5, Decimal128("7"), 9, "text", "43", True, {"a": 1}, ["text", 9])

COLLECTIONS = {
    "messages": "chat_messages",
    "workflow": "chat_sessions",
    "threads": "chat_threads",
    "general": "GeneralChatSessions",
}


def some_values(request: pytest.FixtureRequest) -> tuple[Any, ...]:
    """Values of every type; with --soak all of them."""
    return VALUES if request.config.getoption("--soak") else VALUES[3::13]


def store(connection: Connection, layout: str, field: str, values: Iterable[Any], *, indexed: bool = True) -> int:
    """Store a session for each value, with the value in a field. Returns how many the server took."""
    needed = (
        *message_indexes("chat_messages"),
        *session_indexes("chat_sessions"),
        *thread_indexes("chat_threads", "chat_thread_messages"),
        *chat_indexes("GeneralChatSessions"),
    )
    for spec in needed if indexed else ():
        if not spec.unique:
            connection.database[spec.collection].create_index(list(spec.keys), name=spec.name)
    stored = 0
    for number, value in enumerate(values):
        at = NOON + timedelta(minutes=number)
        if layout == "messages":
            document = {"session_id": f"s{number}", "role": "user", "text": str(number), "created_at": at.isoformat()}
        elif layout == "threads":
            document = {"_id": f"s{number}", "user_id": "u", "org_id": "t", "name": "", "updated_at": at}
        else:
            message = {"role": "user", "content": str(number)}
            changed = "last_updated_at" if layout == "general" else "updated_at"
            document = {"enterprise_id": "t", changed: at, "messages": [message]}
            document |= {} if field == "_id" else {"chat_id": f"s{number}"}
        with contextlib.suppress(pymongo.errors.WriteError):  # not every value may be an _id
            connection.database[COLLECTIONS[layout]].insert_one(with_value(document, field, value))
            if layout == "threads":
                thread = {"chat_thread_id": document["_id"], "sender_role": "user", "sequence": 1}
                message = {**thread, "content": {"type": "text", "text": str(number)}}
                connection.database["chat_thread_messages"].insert_one(
                    with_value(message, "chat_thread_id", value) if field == "_id" else message
                )
            stored += 1
    return stored


def page(connection: Connection, layout: str, query: SessionQuery, cursor: str | None, limit: int) -> SessionPage:
    return list_sessions([LAYOUTS[layout](connection, Settings())], query, cursor=cursor, limit=limit)


def listed(connection: Connection, layout: str, limit: int, **filters: Any) -> list[Session]:
    """The sessions of all pages of that size."""
    found: list[Session] = []
    cursor: str | None = None
    while True:
        read = page(connection, layout, SessionQuery(**filters), cursor, limit)
        found += read.sessions
        cursor = read.next_cursor
        if cursor is None:
            return found


@pytest.mark.parametrize(
    ("layout", "field", "indexed"),
    [
        ("messages", "created_at", True),
        ("messages", "created_at", False),
        ("workflow", "updated_at", True),
        ("threads", "updated_at", True),
        ("general", "last_updated_at", True),
    ],
)
def test_a_session_with_any_value_as_its_time_is_on_exactly_one_page(
    connection: Connection, request: pytest.FixtureRequest, layout: str, field: str, indexed: bool
) -> None:
    values = [value for value in (*TIMES, *some_values(request)) if not is_nested_list(value)]
    number = store(connection, layout, field, values, indexed=indexed)

    every = listed(connection, layout, 1000)
    times = {session.session_id: session.updated_at for session in every}

    assert len(times) == len(every) == number
    assert [*map(SessionKey.of, every)] == sorted(map(SessionKey.of, every), reverse=True)
    for limit in (1, 2, 3):
        assert listed(connection, layout, limit) == every, limit
    expected = {"s0": 0, "s1": 1.5, "s2": 2, "s3": 3, "s4": 4, "s8": 0, "s9": 1, "s11": 6.000001, "s12": 7}
    expected |= {"s14": 8, "s15": 9, "s16": 10, "s17": 11}
    assert {name: times[name] for name in expected} == {
        name: NOON + timedelta(seconds=seconds) for name, seconds in expected.items()
    }
    assert times["s13"] == datetime(2026, 3, 2, tzinfo=UTC)
    for since, until in ((NOON, None), (None, NOON), (NOON, NOON + timedelta(seconds=5))):
        within = [
            session
            for session in every
            if (moment := session.updated_at) is not None
            and (since is None or moment >= since)
            and (until is None or moment < until)
        ]
        for limit in (2, 1000):
            assert listed(connection, layout, limit, since=since, until=until) == within, (since, until, limit)
    reader = LAYOUTS[layout](connection, Settings())
    assert {session.session_id: session.updated_at for session in reader.all_facts(SessionQuery())} == times
    for name, moment in times.items():
        found = reader.find(name)
        assert found is not None
        assert (found.updated_at, found.message_count) == (moment, 1)
        assert len(list(reader.messages(name, MessageSelection()))) == 1


def is_nested_list(value: Any) -> bool:
    """Lists in a list have a place in the index that no condition finds."""
    return isinstance(value, list) and any(isinstance(each, list) for each in value)


@pytest.mark.parametrize(
    ("layout", "field"),
    [
        ("messages", "session_id"),
        ("workflow", "chat_id"),
        ("workflow", "_id"),
        ("threads", "_id"),
        ("general", "chat_id"),
        ("general", "_id"),
    ],
)
def test_a_listed_id_finds_its_session_and_the_others_are_counted(
    connection: Connection, request: pytest.FixtureRequest, layout: str, field: str
) -> None:
    values = (*IDS, *some_values(request))
    store(connection, layout, field, values)

    read = page(connection, layout, SessionQuery(), None, 1000)
    shown: list[Any] = []
    for session in read.sessions:
        reader, found = find_session([LAYOUTS[layout](connection, Settings())], session.session_id)
        messages = list(reader.messages(session.session_id, MessageSelection()))
        assert found.message_count == session.message_count == len(messages)
        documents = len(messages) + (layout == "threads")
        assert sum(part.documents for part in plan_removal([reader], session.session_id).parts) == documents
        shown += [message.content for message in messages]

    names = {session.session_id for session in read.sessions}
    if field != "chat_id":  # without a usable chat_id, the `_id` is the id
        assert sorted(shown) == sorted(str(number) for number, value in enumerate(values) if is_text_like(value))
    assert {"42", str(SECONDS * 1000), "2.5", "7", "9", "text", "43"} <= names
    assert not {"True", "true", "42.0"} & names
    assert read.unaddressable == 0 if field == "chat_id" else read.unaddressable > 0
    assert ("left out" in " ".join(read.notes)) is (read.unaddressable > 0)
    for limit in (1, 3):
        assert [each.session_id for each in listed(connection, layout, limit)] == [
            each.session_id for each in read.sessions
        ]
    reader = LAYOUTS[layout](connection, Settings())
    assert {each.session_id for each in reader.all_facts(SessionQuery())} == names


def is_text_like(value: Any) -> bool:
    """Whether a text can address the value: as far as the driver can write it, or a symbol, which is compared as text."""
    if isinstance(value, RawBSONDocument):
        return value.raw[4] == SYMBOL
    return addressable_id(value) is not None and value != ""


def test_threads_with_ids_of_other_types_are_in_the_order_of_their_texts(connection: Connection) -> None:
    """All of one instant: their order in the index is that of the types, then of the values."""
    ids = [9, 10, 2.5, "9a", "11", "1", ObjectId("65e1a0b2c3d4e5f601234567"), Decimal128("100"), "65e2", Int64(2)]
    threads = [{"_id": each, "user_id": 7, "org_id": "t", "name": "n", "updated_at": NOON} for each in ids]
    connection.database["chat_threads"].insert_many(threads)

    for limit in (1, 2, 3, 4, 1000):
        found = [session.session_id for session in listed(connection, "threads", limit, user_id="7")]
        assert found == sorted({str(each) for each in ids}, reverse=True)


def test_a_thread_whose_time_is_an_array_of_dates_is_listed_once(connection: Connection) -> None:
    """Each of its dates meets a condition, and the newest one is its time."""
    for number in range(12):
        times: Any = [NOON, NOON - timedelta(minutes=number)] if number % 3 == 0 else NOON - timedelta(minutes=number)
        identity: Any = number if number % 2 else f"t{number}"
        thread = {"_id": identity, "user_id": "u", "org_id": "t", "name": "n", "updated_at": times}
        connection.database["chat_threads"].insert_one(thread)
    every = [session.session_id for session in listed(connection, "threads", 1000)]
    assert len(set(every)) == len(every) == 12
    assert every[:4] == ["t6", "t0", "9", "3"]
    for limit in (1, 2, 5):
        assert [session.session_id for session in listed(connection, "threads", limit)] == every


def test_a_session_has_the_newest_instant_of_its_texts_with_several_offsets(connection: Connection) -> None:
    store(connection, "messages", "session_id", ["a"])
    texts = ["2026-03-02T20:00:00+05:30", "2026-03-02T15:00:00Z", "2026-03-02T09:00:00-08:00"]
    messages = [{"session_id": "b", "role": "user", "text": "x", "created_at": text} for text in texts]
    connection.database["chat_messages"].insert_many(messages)

    [first, second] = listed(connection, "messages", 1)

    assert (first.session_id, first.updated_at, first.created_at) == (
        "b",
        datetime(2026, 3, 2, 17, tzinfo=UTC),
        datetime(2026, 3, 2, 14, 30, tzinfo=UTC),
    )
    assert second.session_id == "a"
    assert LAYOUTS["messages"](connection, Settings()).find("b") == first


def test_numbers_as_tenants_and_users_are_found_by_their_text(connection: Connection) -> None:
    store(connection, "workflow", "enterprise_id", [42.0, 42, "42", Decimal128("42"), 43.0])
    store(connection, "workflow", "user_id", [])
    connection.database["chat_sessions"].update_many({}, {"$set": {"user_id": 7.0}})

    found = listed(connection, "workflow", 10, tenant_id="42", user_id="7")

    assert [(each.tenant_id, each.user_id) for each in found] == [("42", "7")] * 4


def test_commands_read_a_session_whose_id_is_a_double(chatstore: Chatstore, connection: Connection) -> None:
    store(connection, "messages", "session_id", [42.0, True])

    outcome = chatstore("sessions", "list", "-o", "json")
    assert '"session_id": "42"' in outcome.out
    assert '"unaddressable_sessions": 1' in outcome.out
    assert "1 session was left out" in outcome.err
    for command in (("sessions", "show", "42"), ("resume", "42"), ("history", "42", "-o", "json")):
        outcome = chatstore(*command)
        assert outcome.code == 0, outcome.err
    assert chatstore("sessions", "delete", "42", "--yes").code == 0
    assert chatstore("sessions", "show", "42").code == 3


def test_a_history_without_readable_times_does_not_say_that_mongodb_has_none(
    chatstore: Chatstore, connection: Connection
) -> None:
    store(connection, "messages", "created_at", ["yesterday"])

    outcome = chatstore("history", "s0")

    assert "1 only in MongoDB" in outcome.err
    assert "No stored message has a time that can be read." in outcome.err
    assert "MongoDB has no message" not in outcome.err
