"""The workflow layout on a real server: its cost, ties, precedence of ids, and documents that change while they are read."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from bson import Binary, ObjectId
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.monitoring import CommandListener

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.errors import Conflict
from chatstore_cli.domain.queries import MessageSelection, SessionKey, SessionQuery
from chatstore_cli.domain.session import SessionStatus
from chatstore_cli.mongo import bson_arrays as raw_arrays
from chatstore_cli.mongo.bson_arrays import StoredArray
from chatstore_cli.mongo.connection import Connection, connect
from chatstore_cli.mongo.session_documents.documents import to_session
from chatstore_cli.mongo.session_documents.segment_mover import MongoSegmentStore
from chatstore_cli.mongo.workflow.layout import WorkflowLayout
from chatstore_cli.mongo.workflow.shape import WORKFLOW
from tests.support.mongod import Mongod
from tests.support.stored_sessions import to_messages

START = datetime(2026, 3, 1, tzinfo=UTC)
EVERYTHING = SessionQuery()
SESSIONS = 3000


def stored(number: int, **more: Any) -> dict[str, Any]:
    return {
        "chat_id": f"chat-{number:05}",
        "enterprise_id": f"tenant-{number % 40}",
        "user_id": f"user-{number % 300}",
        "workflow_name": f"workflow-{number % 9}",
        "status": (0, 1, -1)[number % 3],
        "updated_at": START + timedelta(seconds=number),
        "messages": [{"content": "x" * 200, "role": "user", "sequence": 1}],
        **more,
    }


def prepared(connection: Connection) -> WorkflowLayout:
    layout = WorkflowLayout(connection, Settings())
    for spec in layout.index_specs():
        options: dict[str, Any] = {"unique": True} if spec.unique else {}
        options |= {"partialFilterExpression": spec.partial_filter} if spec.partial_filter else {}
        connection.collection(spec.collection).create_index(list(spec.keys), name=spec.name, **options)
    return layout


def store(connection: Connection, documents: list[dict[str, Any]]) -> WorkflowLayout:
    connection.collection("chat_sessions").insert_many(documents)
    return prepared(connection)


def listed(layout: WorkflowLayout, query: SessionQuery = EVERYTHING, size: int = 1000) -> list[str]:
    found: list[str] = []
    after = None
    while page := list(layout.newest_first(query, after, size)):
        found += [session.session_id for session in page]
        after = SessionKey.of(page[-1])
    return found


# --- what it costs ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many_sessions(mongod: Mongod, module_database: Database[dict[str, Any]]) -> Connection:
    """The module's database with its sessions, which tests only read."""
    connection = connect(mongod.uri, module_database.name, timeout_seconds=10)
    store(connection, [stored(number) for number in range(SESSIONS)])
    return connection


@pytest.fixture
def profiled(many_sessions: Connection) -> Iterator[Connection]:
    """The module's database with every command of one test profiled."""
    many_sessions.database.command("profile", 2)
    yield many_sessions
    many_sessions.database.command("profile", 0)
    many_sessions.database.drop_collection("system.profile")


def examined(connection: Connection) -> int:
    """Documents and index keys that were examined for reading sessions since the profiler was switched on."""
    profile = connection.database["system.profile"]
    entries = list(profile.find({"ns": {"$regex": "chat_sessions$"}, "op": {"$in": ["command", "query"]}}))
    assert entries
    return sum(max(entry.get("docsExamined", 0), entry.get("keysExamined", 0)) for entry in entries)


@pytest.mark.parametrize(
    "query",
    [
        EVERYTHING,
        SessionQuery(tenant_id="tenant-7"),
        SessionQuery(tenant_id="nobody"),
        SessionQuery(user_id="user-7"),
        SessionQuery(workflow="workflow-7"),
        SessionQuery(workflow="none"),
        SessionQuery(status=SessionStatus.RUNNING),
        SessionQuery(status=SessionStatus.COMPLETED),
        SessionQuery(status=SessionStatus.FAILED),
        SessionQuery(status=SessionStatus.UNKNOWN),
        SessionQuery(since=START + timedelta(seconds=100)),
        SessionQuery(until=START + timedelta(seconds=100)),
    ],
)
def test_a_page_costs_what_it_shows_and_not_what_is_stored(profiled: Connection, query: SessionQuery) -> None:
    list(WorkflowLayout(profiled, Settings()).newest_first(query, None, 20))
    assert examined(profiled) <= 80


def test_the_last_page_costs_no_more_than_the_first(profiled: Connection) -> None:
    after = SessionKey.of(to_session(WORKFLOW, stored(25)))
    page = list(WorkflowLayout(profiled, Settings()).newest_first(EVERYTHING, after, 20))
    assert [session.session_id for session in page] == [f"chat-{number:05}" for number in range(24, 4, -1)]
    assert examined(profiled) <= 80


def test_listing_and_finding_load_no_message_body(mongod: Mongod, connection: Connection) -> None:
    class Replies(CommandListener):
        texts: list[str] = []  # noqa: RUF012 - one listener, one test

        def started(self, event: Any) -> None:
            pass

        def succeeded(self, event: Any) -> None:
            self.texts.append(str(event.reply))

        def failed(self, event: Any) -> None:
            pass

    secret = {"messages": [{"content": "the body"}]}
    store(
        connection, [stored(1, **secret), {"_id": "old", "last_updated_at": START, **secret}, {"_id": "odd", **secret}]
    )
    client: MongoClient[dict[str, Any]] = mongod.client(event_listeners=[Replies()])
    layout = WorkflowLayout(Connection(client, client[connection.database.name], "test"), Settings())
    assert [session.message_count for session in layout.newest_first(EVERYTHING, None, 10)] == [1, 1, 1]
    assert layout.find("old") is not None
    assert len(list(layout.all_facts(EVERYTHING))) == 3
    assert Replies.texts
    assert not any("the body" in text for text in Replies.texts)


# --- order -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7, 30])
def test_pages_are_exact_where_many_sessions_have_one_instant(connection: Connection, size: int) -> None:
    names = [f"chat-{number}" for number in range(40)]
    random.Random(3).shuffle(names)
    layout = store(connection, [{"chat_id": name, "messages": [], "updated_at": START, "status": 0} for name in names])
    assert listed(layout, size=size) == sorted(names, reverse=True)
    assert listed(layout, SessionQuery(status=SessionStatus.RUNNING), size) == sorted(names, reverse=True)


def test_a_page_is_filled_however_many_sessions_pass_a_filter_in_vain(connection: Connection) -> None:
    # The status of these is said elsewhere, so that the server cannot tell them from those of an unknown status.
    said = [
        {"chat_id": f"said-{n}", "messages": [], "is_complete": True, "updated_at": START + timedelta(seconds=n)}
        for n in range(50)
    ]
    unsaid = [
        {"chat_id": f"unsaid-{n}", "messages": [], "updated_at": START - timedelta(milliseconds=n)} for n in range(50)
    ]
    layout = store(connection, [*said, *unsaid])
    expected = [document["chat_id"] for document in unsaid]
    assert listed(layout, SessionQuery(status=SessionStatus.UNKNOWN), 3) == expected
    assert listed(layout, SessionQuery(status=SessionStatus.UNKNOWN), 1000) == expected


def _any_time(chance: random.Random) -> dict[str, Any]:
    moment = START + timedelta(milliseconds=chance.randrange(400) * 250)
    forms: list[Any] = [
        moment, moment, moment, moment.isoformat(), moment.replace(tzinfo=None).isoformat(), moment.timestamp(),
        (moment + timedelta(hours=2)).isoformat().replace("+00:00", "+02:00"), "never", None, True, [moment], [moment, "x"], [], {"a": 1},
        (moment + timedelta(microseconds=5)).isoformat(),
    ]  # fmt: skip
    return {
        field: chance.choice(forms)
        for field in chance.sample(WORKFLOW.updated_fields, chance.randrange(len(WORKFLOW.updated_fields)))
    }


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 8))])
@pytest.mark.parametrize("indexed", [True, False])
def test_variants_side_by_side_are_one_exact_list(connection: Connection, seed: int, indexed: bool) -> None:
    chance = random.Random(seed)
    documents = [
        {
            "chat_id": f"chat-{number}",
            "messages": [],
            "status": chance.choice([0, 1, "failed", None]),
            **_any_time(chance),
        }
        | ({"enterprise_id": "t"} if chance.random() < 0.5 else {"app_id": "t"} if chance.random() < 0.5 else {})
        for number in range(150)
    ]
    connection.collection("chat_sessions").insert_many(documents)
    layout = prepared(connection) if indexed else WorkflowLayout(connection, Settings())
    sessions = sorted((to_session(WORKFLOW, each) for each in documents), key=SessionKey.of, reverse=True)
    for query in (
        EVERYTHING,
        SessionQuery(tenant_id="t"),
        SessionQuery(status=SessionStatus.UNKNOWN),
        SessionQuery(tenant_id="t", status=SessionStatus.FAILED),
        SessionQuery(since=START + timedelta(seconds=20), until=START + timedelta(seconds=70)),
    ):
        expected = [session.session_id for session in sessions if query.matches(session)]
        assert listed(layout, query, 1000) == expected
        assert listed(layout, query, 8) == expected
        assert {session.session_id for session in layout.all_facts(query)} == set(expected)


def test_dates_that_python_cannot_hold_are_listed_last(connection: Connection) -> None:
    collection = connection.collection("chat_sessions")
    collection.insert_one({"chat_id": "now", "messages": [], "updated_at": START})
    collection.update_one(
        {"_id": 1}, [{"$set": {"chat_id": "far", "messages": [], "updated_at": {"$toDate": 2**60}}}], upsert=True
    )
    assert listed(prepared(connection)) == ["now", "far"]


# --- one session -----------------------------------------------------------------------------------------------------


def test_a_chat_id_wins_over_an_id_of_the_same_text(connection: Connection) -> None:
    identity = ObjectId()
    layout = store(
        connection,
        [
            {"_id": "shared", "chat_id": "first", "title": "by _id", "messages": []},
            {"_id": 2, "chat_id": "shared", "title": "by chat_id", "messages": [{"content": "mine"}]},
            {"_id": identity, "title": "by ObjectId", "workflow_name": "Trips"},
        ],
    )
    found = layout.find("shared")
    assert found is not None
    assert found.title == "by chat_id"
    assert [message.content for message in layout.messages("shared", MessageSelection())] == ["mine"]
    by_object_id = layout.find(str(identity))
    assert by_object_id is not None
    assert by_object_id.title == "by ObjectId"


def _elements(count: int, chance: random.Random) -> list[Any]:
    scalars: list[Any] = ["text", 7, 2.5, None, True, START.replace(tzinfo=None), ObjectId(), [1, {"sequence": 9}]]
    return [
        {"content": "x" * chance.randrange(300), "sequence": number, "metadata": {"source": "general_agent"} if number % 5 == 0 else {}}
        if chance.random() < 0.9
        else chance.choice([*scalars, {"content": "no sequence"}, {"sequence": "x"}, {"sequence": number + 0.0}])
        for number in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("at_once", [1, 100])
def test_an_array_read_a_few_elements_at_a_time_is_the_array(
    any_connection: Connection, monkeypatch: pytest.MonkeyPatch, shuffled: bool, at_once: int
) -> None:
    monkeypatch.setattr(raw_arrays, "AT_ONCE", at_once)
    chance = random.Random(5)
    elements = _elements(1500, chance)
    if shuffled:
        chance.shuffle(elements)
    any_connection.collection("chat_sessions").insert_one({"_id": "s", "messages": elements})
    layout = WorkflowLayout(any_connection, Settings())
    expected = list(to_messages({"_id": "s", "messages": elements}))
    others = [message for message in expected if not message.from_general_agent]
    assert list(layout.messages("s", MessageSelection())) == expected
    assert list(layout.messages("s", MessageSelection(last=40))) == expected[-40:]
    assert list(layout.messages("s", MessageSelection(include_general=False))) == others
    assert list(layout.messages("s", MessageSelection(last=40, include_general=False))) == others[-40:]
    assert list(layout.messages("s", MessageSelection(after_sequence=5000))) == []


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("first", [[1, 2], [], [{"event_id": "e", "sequence": 3}], None, 7, "text"], ids=repr)
def test_an_array_whose_first_element_is_not_a_document_is_read(
    any_connection: Connection, first: Any, shuffled: bool
) -> None:
    elements = [first, {"content": "a", "sequence": 5 if shuffled else 1}, [3], {"content": "b", "sequence": 2}]
    any_connection.collection("chat_sessions").insert_one({"_id": "s", "messages": elements})
    layout = WorkflowLayout(any_connection, Settings())
    expected = list(to_messages({"_id": "s", "messages": elements}))
    assert expected[0].content == first
    assert list(layout.messages("s", MessageSelection())) == expected
    assert list(layout.messages("s", MessageSelection(last=3))) == expected[-3:]
    assert list(layout.messages("s", MessageSelection(after_sequence=1))) == expected[1 if shuffled else 3 :]


def test_ids_and_values_that_are_uuids_are_read(connection: Connection) -> None:
    identity, legacy = Binary.from_uuid(UUID(int=5)), Binary(UUID(int=6).bytes, 3)
    elements = [
        {"content": "by UUID", "event_id": Binary.from_uuid(UUID(int=7)), "sequence": Binary(b"x", 4)},
        {"content": "by an old one", "event_id": legacy},
    ]
    connection.collection("chat_sessions").insert_one({"_id": identity, "user_id": identity, "messages": elements})
    layout = WorkflowLayout(connection, Settings())
    expected = [("by UUID", str(UUID(int=7))), ("by an old one", UUID(int=6).bytes.hex())]
    for _ in range(2):  # and once more with the first one in a segment
        for selection in (MessageSelection(), MessageSelection(last=2), MessageSelection(after_sequence=-(2**63) - 1)):
            found = list(layout.messages(str(UUID(int=5)), selection))
            assert [(message.content, message.message_id) for message in found] == expected
        MongoSegmentStore(WORKFLOW, connection, Settings()).move_oldest(str(UUID(int=5)), keep_messages=1)
    assert connection.collection("chat_session_segments").count_documents({"chat_id": str(UUID(int=5))}) == 1


@pytest.fixture
def half_read(connection: Connection) -> StoredArray:
    """An array of fifty elements whose order is known, and whose elements are not fetched yet."""
    sessions = connection.collection("chat_sessions")
    sessions.insert_one(
        {"_id": "s", "messages": [{"content": number, "event_id": f"e{number}"} for number in range(50)]}
    )
    stored_array = StoredArray(sessions, "s", "messages", in_memory=False)
    assert stored_array.values("sequence") == [None] * 50
    return stored_array


ORDERS: list[Sequence[int]] = [range(50), range(20, 50), list(reversed(range(50)))]


@pytest.mark.parametrize("order", ORDERS)
def test_messages_pushed_meanwhile_are_not_mixed_in(
    connection: Connection, half_read: StoredArray, order: Sequence[int]
) -> None:
    connection.collection("chat_sessions").update_one({"_id": "s"}, {"$push": {"messages": {"content": "new"}}})
    assert [element["content"] for run in half_read.read(order) for element in run] == list(order)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    "change",
    [
        {"$pop": {"messages": -1}},
        {"$pop": {"messages": 1}},
        [{"$set": {"messages": {"$concatArrays": [{"$slice": ["$messages", 1, 60]}, [{"content": "new"}, "more"]]}}}],
        {"$set": {"messages": []}},
        {"$unset": {"messages": ""}},
        {"$set": {"messages": "gone"}},
        None,
    ],
)
def test_messages_removed_meanwhile_are_a_conflict(
    connection: Connection, half_read: StoredArray, change: Any, order: Sequence[int]
) -> None:
    sessions = connection.collection("chat_sessions")
    if change is None:
        sessions.delete_one({"_id": "s"})
    else:
        sessions.update_one({"_id": "s"}, change)
    with pytest.raises(Conflict, match="rewritten while"):
        list(half_read.read(order))


def test_a_message_as_large_as_a_document_can_be_is_read(start_mongod: Callable[..., Mongod]) -> None:
    server = start_mongod(replica_set=False)
    sessions = server.client()["chats"]["chat_sessions"]
    sessions.insert_one({"_id": "s", "messages": [{"content": "x" * (15 << 20), "event_id": "e"}]})
    layout = WorkflowLayout(connect(server.uri, "chats", timeout_seconds=10), Settings())
    assert [len(message.content) for message in layout.messages("s", MessageSelection())] == [15 << 20]


def test_the_last_messages_are_taken_from_segments_where_the_document_has_too_few(any_connection: Connection) -> None:
    def numbered(first: int, last: int) -> list[dict[str, Any]]:
        return [{"content": number, "sequence": number} for number in range(first, last + 1)]

    any_connection.collection("chat_sessions").insert_one({"_id": 1, "chat_id": "s", "messages": numbered(21, 25)})
    segments = [
        {"_id": f"s:{n}", "chat_id": "s", "n": n, "messages": numbered(n * 10 + 1, n * 10 + 10)} for n in (1, 0)
    ]
    any_connection.collection("chat_session_segments").insert_many(segments)
    layout = WorkflowLayout(any_connection, Settings())

    def read(**selection: Any) -> list[Any]:
        return [message.content for message in layout.messages("s", MessageSelection(**selection))]

    assert read() == list(range(1, 26))
    assert read(last=3) == [23, 24, 25]
    assert read(last=12) == list(range(14, 26))
    assert read(after_sequence=8) == list(range(9, 26))
    assert read(after_sequence=8, last=20) == list(range(9, 26))[-20:]
    found = layout.find("s")
    assert found is not None
    assert found.message_count == 25
