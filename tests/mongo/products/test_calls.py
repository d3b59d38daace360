"""Calls: no call vanishes whatever is stored, ids are exact, and lists read what they show."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pymongo.errors
import pytest
from bson import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient, monitoring
from pymongo.database import Database

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.sessions.listing import list_sessions
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.queries import MessageSelection, SessionQuery
from chatstore_cli.domain.session import Session, SessionStatus
from chatstore_cli.domain.workflow.repairs import Repairs
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.identifiers import addressable_id
from chatstore_cli.mongo.products.calls import CallsLayout
from chatstore_cli.transcripts.registry import TRANSCRIPTS
from tests.support.bson_values import VALUES, with_value
from tests.support.mongod import Mongod

pytestmark = pytest.mark.real

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
ALIKE = ["Ann", "ann", "ANN", "ÄNN", "Änn", "anñ"]
STRENGTH_2 = {"locale": "en", "strength": 2}
ITEMS = [
    {"type": "message", "id": "i1", "role": "user", "content": ["hello"], "created_at": 1772452800.5, "metrics": {"total_tokens": 3}},
    {"type": "function_call", "id": "i2", "call_id": "c", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "id": "i3", "call_id": "c", "name": "f", "output": "x", "is_error": False},
    {"type": "agent_handoff", "id": "i4", "new_agent_id": "b"},
    {"type": "message", "id": "i5", "role": "assistant", "content": [{"type": "audio_content", "transcript": "hi"}]},
]  # fmt: skip
FIELDS = [
    "sessionId", "roomName", "agentId", "orgId", "createdByUserId", "sessionReport", "chatHistory", "chatHistory.items",
    "closeReason", "durationMs", "messageCount", "startedAt", "endedAt", "createdAt", "updatedAt", "item_count",
    *(f"chatHistory.{place}" for place in range(5)), *(f"chatHistory.0.{name}" for name in ITEMS[0]), "chatHistory.0.content.0",
    "chatHistory.0.interrupted", *(f"chatHistory.1.{name}" for name in ITEMS[1]), *(f"chatHistory.2.{name}" for name in ITEMS[2]),
    "chatHistory.3.type", "chatHistory.4.content.0.type", "chatHistory.4.content.0.transcript",
    *(f"chatHistory.0.metrics.{name}" for name in ("prompt_tokens", "input_tokens", "total_tokens", "cost", "total_cost")),
]  # fmt: skip


def identity(second: int, number: int = 0) -> ObjectId:
    """An id that was made in that second after noon."""
    at = int((NOON + timedelta(seconds=second)).timestamp())
    return ObjectId(at.to_bytes(4, "big") + number.to_bytes(8, "big"))


def call(number: int, **fields: Any) -> dict[str, Any]:
    """A call, one a second."""
    facts = {"_id": identity(number), "sessionId": f"s{number}", "roomName": "r", "orgId": "t", "createdByUserId": "u"}
    return {**facts, "agentId": "a", "chatHistory": ITEMS, "endedAt": NOON, **fields}


def listed(connection: Connection, limit: int, **filters: Any) -> list[Session]:
    """The calls of all pages of that size."""
    found: list[Session] = []
    cursor: str | None = None
    while True:
        page = list_sessions([CallsLayout(connection, Settings())], SessionQuery(**filters), cursor=cursor, limit=limit)
        found += page.sessions
        cursor = page.next_cursor
        if cursor is None:
            return found


def messages(connection: Connection, session_id: str) -> list[Message]:
    return list(CallsLayout(connection, Settings()).messages(session_id, MessageSelection()))


@pytest.fixture
def transcripts(database: Database[dict[str, Any]]) -> Any:
    """The empty collection."""
    return database["lk_transcripts"]


def test_no_value_in_any_field_hides_a_call_or_breaks_a_command(
    connection: Connection, transcripts: Any, request: pytest.FixtureRequest
) -> None:
    step = 1 if request.config.getoption("--soak") else 23
    number = 0
    for place, field in enumerate(FIELDS):
        documents = [with_value(call(number + each), field, value) for each, value in enumerate(VALUES[place % step :: step])
                     if field != "chatHistory.items"]  # fmt: skip
        for document in documents:
            number += 1
            with contextlib.suppress(pymongo.errors.WriteError):
                transcripts.insert_one(document)
    reader = CallsLayout(connection, Settings())
    every = list(reader.newest_first(SessionQuery(), None, 100_000))
    stored = list(transcripts.find({}, {"sessionId": 1}))
    addressable = [each for each in stored if addressable_id(each.get("sessionId"))]
    assert len(every) + reader.unaddressable >= len(stored) > 150
    assert len({session.session_id for session in every}) <= len(addressable)
    assert [each.session_id for each in listed(connection, 97)] == [each.session_id for each in every]
    facts = {each.session_id: each for each in reader.all_facts(SessionQuery())}
    for session in every:
        found = reader.find(session.session_id)
        assert found is not None
        assert (found.message_count, found.status) == (session.message_count, session.status)
        assert session.session_id in facts
        read = messages(connection, session.session_id)
        assert all(b"".join(each(read, Repairs())) for each in TRANSCRIPTS.values() if read)
    for status in SessionStatus:
        expected = [each.session_id for each in every if each.status is status]
        assert [each.session_id for each in listed(connection, 1_000, status=status)] == expected


def test_ids_of_any_type_are_listed_and_those_that_are_not_object_ids_are_reported(
    connection: Connection, transcripts: Any
) -> None:
    stored = 0
    for number, value in enumerate(VALUES[::5]):
        if isinstance(value, RawBSONDocument):
            continue
        with contextlib.suppress(pymongo.errors.WriteError):
            transcripts.insert_one(call(number, _id=value, updatedAt=NOON + timedelta(minutes=number)))
            stored += 1
    transcripts.insert_many(call(1_000 + number) for number in range(5))
    reader = CallsLayout(connection, Settings())
    every = list(reader.newest_first(SessionQuery(), None, 1_000))
    assert len(every) == len({each.session_id for each in every}) == stored + 5
    assert any("whose _id is not an ObjectId" in each for each in reader.remarks)
    for limit in (1, 3):
        assert listed(connection, limit) == every


@pytest.mark.parametrize("limit", [1, 2, 5, 1_000])
def test_calls_of_one_second_are_ordered_by_their_session_ids(
    connection: Connection, transcripts: Any, limit: int
) -> None:
    documents = [
        call(0, _id=identity(second, number), sessionId=f"{(number * 7) % 10}-{second}", orgId=f"t{number % 2}")
        for second in range(3)
        for number in range(10)
    ]
    transcripts.insert_many(documents)
    expected = [f"{number}-{second}" for second in (2, 1, 0) for number in range(9, -1, -1)]
    assert [each.session_id for each in listed(connection, limit)] == expected
    of_tenant = [each["sessionId"] for each in documents if each["orgId"] == "t1"]
    assert [each.session_id for each in listed(connection, limit, tenant_id="t1")] == [
        name for name in expected if name in of_tenant
    ]
    bounds = {"since": NOON + timedelta(seconds=0.5), "until": NOON + timedelta(seconds=2)}
    assert [each.session_id for each in listed(connection, limit, **bounds)] == expected[10:20]


@pytest.mark.parametrize("collation", [None, STRENGTH_2])
def test_ids_are_compared_byte_by_byte(connection: Connection, database: Any, collation: Any) -> None:
    transcripts = database.create_collection(
        "lk_transcripts", **({} if collation is None else {"collation": collation})
    )
    transcripts.insert_many(
        call(number, sessionId=name, orgId=name, createdByUserId=name, agentId=name)
        for number, name in enumerate(ALIKE)
    )
    reader = CallsLayout(connection, Settings())
    assert [each.session_id for each in listed(connection, 2)] == ALIKE[::-1]
    assert {each.session_id for each in reader.all_facts(SessionQuery())} == set(ALIKE)
    for name in ALIKE:
        found = reader.find(name)
        assert found is not None
        assert found.session_id == name
        assert {message.session_id for message in reader.messages(name, MessageSelection())} == {name}
        for key in ("tenant_id", "user_id", "workflow"):
            assert [each.session_id for each in listed(connection, 2, **{key: name})] == [name]
    assert reader.find("aNN") is None
    assert listed(connection, 2, tenant_id="aNN") == []


def test_a_look_up_is_served_by_the_platforms_index_under_any_collation(mongod: Mongod, database: Any) -> None:
    transcripts = database.create_collection("lk_transcripts", collation=STRENGTH_2)
    transcripts.create_index("sessionId", unique=True)
    transcripts.insert_many(call(number) for number in range(300))
    recorder = Recorder()
    with MongoClient[Any](mongod.uri, tz_aware=True, event_listeners=[recorder]) as client:
        assert CallsLayout(Connection(client, client[database.name], "test"), Settings()).find("s77") is not None
    [query] = [each for each in recorder.sent if each.get("aggregate") == "lk_transcripts"]
    kept = {key: each for key, each in query.items() if key in ("aggregate", "pipeline", "cursor", "collation")}
    explained = database.command("explain", kept, verbosity="executionStats")
    assert "'totalDocsExamined': 1," in str(explained)


class Recorder(monitoring.CommandListener):
    """Keeps the commands that were sent."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.sent.append(dict(event.command))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Nothing to keep."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Nothing to keep."""


def test_a_filter_without_an_index_is_reported_if_there_are_many_calls(
    connection: Connection, transcripts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatstore_cli.mongo.products.calls._MANY", 3)
    transcripts.insert_many(call(number) for number in range(4))

    def remarks(**filters: Any) -> list[str]:
        reader = CallsLayout(connection, Settings())
        assert len(list(reader.newest_first(SessionQuery(**filters), None, 10))) == 4
        return reader.remarks

    assert remarks() == []
    assert remarks(tenant_id="t") == [
        "lk_transcripts has no index on orgId, so all calls were read. To create one, run: chatstore indexes apply "
        "--layout calls"
    ]
    transcripts.create_index([("orgId", 1), ("x", 1)])
    assert remarks(tenant_id="t", user_id="u") == []
    assert len(remarks(user_id="u")) == 1
