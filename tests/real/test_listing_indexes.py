"""`sessions list` asks nothing that an index does not serve: the server explains each query, and the exceptions are named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from bson import ObjectId
from pymongo import MongoClient, monitoring
from pymongo.database import Database

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.queries import SessionKey, SessionQuery
from chatstore_cli.domain.session import Session, SessionStatus
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.layouts.registry import LAYOUTS
from tests.support.mongod import Mongod

pytestmark = pytest.mark.real
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SESSIONS = 2_000
PAGE = 20
MOST = 10 * PAGE
"""Documents that a query of one page may look at: of two filters only one can be in an index."""

FILTERS: dict[str, dict[str, Any]] = {
    "none": {},
    "tenant": {"tenant_id": "t1"},
    "an ObjectId's tenant": {"tenant_id": "65e1a0b2c3d4e5f601234567"},
    "user": {"user_id": "u1"},
    "workflow": {"workflow": "w1"},
    "paused": {"paused": True},
    **{f"status {status}": {"status": status} for status in SessionStatus},
    "since": {"since": NOON + timedelta(seconds=100)},
    "until": {"until": NOON + timedelta(seconds=SESSIONS // 2)},
    "tenant and status": {"tenant_id": "t1", "status": SessionStatus.FAILED},
    "tenant and workflow": {"tenant_id": "t1", "workflow": "w1"},
    "user and status": {"user_id": "u1", "status": SessionStatus.RUNNING},
    "tenant and user": {"tenant_id": "t1", "user_id": "u1"},
}

OF_FLAT_MESSAGES = ("none", "status unknown", "since", "until")
"""The layout has no field for the others, and asks nothing."""

OF_GENERAL_CHATS = tuple(name for name in FILTERS if "workflow" not in name)
"""The same."""

OF_CALLS = tuple(name for name in FILTERS if name != "paused")
"""The same. A call is never running, so the layout asks nothing."""
NO_CALL = ("status running", "user and status")

OF_THREADS = ("none", "tenant", "an ObjectId's tenant", "user", "status unknown", "since", "until", "tenant and user")
"""The same."""

SORTED_IN_MEMORY = {
    # If `status` is absent or of an unknown scale, other fields decide. Only such documents are read and sorted, and
    # there are none here.
    **{name: 0 for name in FILTERS if "status" in name},
    # The server may take the index that has both instead of the one that has the order: then it reads one tenant's
    # sessions of one workflow, and sorts those. It decides by trying which is less.
    "tenant and workflow": SESSIONS // 35 + 1,
    "tenant and user": SESSIONS // 77 + 1,  # the same, for general chats
}
"""The exceptions: filters of which a query may be sorted in memory, with how many documents that reads here at most."""


@dataclass
class Listener(monitoring.CommandListener):
    """Keeps the queries that were sent."""

    sent: list[dict[str, Any]] = field(default_factory=list)

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name in {"find", "aggregate", "count"}:
            left_out = {"lsid", "$db", "$clusterTime", "$readPreference", "txnNumber"}
            self.sent.append({key: value for key, value in event.command.items() if key not in left_out})

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Nothing to keep."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Nothing to keep."""


@dataclass(frozen=True)
class Explained:
    """What the server says of one query."""

    query: dict[str, Any]
    stages: frozenset[str]
    documents: int


@dataclass
class Store:
    """Sessions of every layout under all indexes, and whoever lists them."""

    database: Database[dict[str, Any]]
    connection: Connection
    listener: Listener

    def explain(self, layout: str, query: SessionQuery, after: SessionKey | None = None) -> list[Explained]:
        """List a page, and let the server explain each query of it."""
        reader = LAYOUTS[layout](self.connection, Settings())
        self.listener.sent.clear()
        self.page: list[Session] = list(reader.newest_first(query, after, PAGE))
        sent = list(self.listener.sent)
        assert sent
        return [self._explained(each) for each in sent]

    def _explained(self, query: dict[str, Any]) -> Explained:
        answer = self.database.command("explain", query, verbosity="executionStats")
        found: set[str] = set()
        _collect(answer.get("queryPlanner", answer.get("stages")), found)
        first = answer["stages"][0]["$cursor"] if "stages" in answer else answer
        return Explained(query, frozenset(found), first["executionStats"]["totalDocsExamined"])


def _collect(plan: Any, found: set[str]) -> None:
    """The stages of the plan that won, of whatever shape the answer is."""
    if isinstance(plan, list):
        for each in plan:
            _collect(each, found)
    elif isinstance(plan, dict):
        if isinstance(plan.get("stage"), str):
            found.add(plan["stage"])
        for key, value in plan.items():
            if key not in {"rejectedPlans", "executionStats"}:
                _collect(value, found)


@pytest.fixture(scope="module")
def store(mongod: Mongod) -> Iterator[Store]:
    listener = Listener()
    client: MongoClient[dict[str, Any]] = MongoClient(mongod.uri, tz_aware=True, event_listeners=[listener])
    database = client[f"listing_{uuid4().hex[:12]}"]
    database["chat_sessions"].insert_many([_document(place) for place in range(SESSIONS)])
    database["chat_messages"].insert_many([_flat(place) for place in range(SESSIONS)])
    database["GeneralChatSessions"].insert_many([_general_chat(place) for place in range(SESSIONS)])
    database["chat_threads"].insert_many([_thread(place) for place in range(SESSIONS)])
    database["chat_thread_messages"].insert_many([_thread_message(place) for place in range(SESSIONS)])
    database["lk_transcripts"].insert_many([_call(place) for place in range(SESSIONS)])
    connection = Connection(client, database, "test")
    for layout in LAYOUTS.values():
        for spec in layout(connection, Settings()).index_specs():
            options: dict[str, Any] = {"unique": True} if spec.unique else {}
            options |= {"partialFilterExpression": spec.partial_filter} if spec.partial_filter else {}
            database[spec.collection].create_index(list(spec.keys), name=spec.name, **options)
    yield Store(database, connection, listener)
    client.drop_database(database.name)
    client.close()


def _document(place: int) -> dict[str, Any]:
    at = NOON + timedelta(seconds=place)
    return {
        "chat_id": f"c-{place}", "enterprise_id": f"t{place % 7}", "user_id": f"u{place % 11}",
        "workflow_name": f"w{place % 5}", "status": place % 3 - 1, "created_at": at, "updated_at": at,
        **({"paused": True} if place % 4 == 0 else {}),
        "messages": [{"content": "x" * 100}],
    }  # fmt: skip


def _general_chat(place: int) -> dict[str, Any]:
    at = NOON + timedelta(seconds=place)
    return {
        "_id": f"g-{place}", "chat_id": f"g-{place}", "app_id": f"t{place % 7}", "user_id": f"u{place % 11}",
        "session_type": "general", "general_label": "x", "general_sequence": place, "status": place % 3 - 1,
        "created_at": at, "last_updated_at": at, **({"paused": True} if place % 4 == 0 else {}),
        "messages": [{"content": "x" * 100}],
    }  # fmt: skip


def _call(place: int) -> dict[str, Any]:
    at = NOON + timedelta(seconds=place // 3)
    second = int(at.timestamp()).to_bytes(4, "big")
    return {
        "_id": ObjectId(second + place.to_bytes(8, "big")), "sessionId": f"call-{place}", "orgId": f"t{place % 7}",
        "createdByUserId": f"u{place % 11}", "agentId": f"w{place % 5}", "chatHistory": [{"content": "x" * 100}],
        "closeReason": "error" if place % 3 == 0 else None, "endedAt": at if place % 3 == 1 else None,
    }  # fmt: skip


def _flat(place: int) -> dict[str, Any]:
    at = (NOON + timedelta(seconds=place)).isoformat(timespec="microseconds")
    return {"session_id": f"f-{place // 2}", "role": "user", "text": "x", "created_at": at}


def _thread(place: int) -> dict[str, Any]:
    at = NOON + timedelta(seconds=place // 3)
    owner = {"user_id": f"u{place % 11}", "org_id": f"t{place % 7}"}
    return {"_id": f"th-{place}", **owner, "name": "x", "created_at": at, "updated_at": at}


def _thread_message(place: int) -> dict[str, Any]:
    content = {"type": "text", "text": "x"}
    return {"chat_thread_id": f"th-{place}", "sender_role": "user", "content": content, "sequence": 1}


@pytest.mark.parametrize(
    ("layout", "name"),
    [
        *(("workflow", name) for name in FILTERS),
        *(("messages", name) for name in OF_FLAT_MESSAGES),
        *(("threads", name) for name in OF_THREADS),
        *(("general", name) for name in OF_GENERAL_CHATS),
        *(("calls", name) for name in OF_CALLS if name not in NO_CALL),
    ],
)
def test_each_filter_is_served_by_an_index(store: Store, layout: str, name: str) -> None:
    query = SessionQuery(**FILTERS[name])
    after = None
    for _ in range(2):  # the first page, and the second
        for explained in store.explain(layout, query, after):
            assert "COLLSCAN" not in explained.stages, explained
            assert explained.documents <= MOST, explained
            if "SORT" in explained.stages:
                assert name in SORTED_IN_MEMORY, explained
                assert explained.documents <= SORTED_IN_MEMORY[name], explained
        if len(store.page) < PAGE:
            return
        after = SessionKey.of(store.page[-1])


def test_every_layout_is_asked_and_filters_that_are_left_out_are_those_it_cannot_answer(store: Store) -> None:
    # The indexes of the product of agent_sessions are not known: tests/mongo/products/test_agent_sessions.py lists it.
    assert set(LAYOUTS) - {"agent_sessions"} == {"workflow", "messages", "threads", "general", "calls"}
    for layout, expected in (
        ("messages", OF_FLAT_MESSAGES),
        ("threads", OF_THREADS),
        ("general", OF_GENERAL_CHATS),
        ("calls", OF_CALLS),
    ):
        reader = LAYOUTS[layout](store.connection, Settings())
        answered = [name for name, asked in FILTERS.items() if not reader.unanswerable(SessionQuery(**asked))]
        assert answered == list(expected)


def test_the_exception_of_a_status_that_is_not_said_reads_only_such_documents(store: Store) -> None:
    sessions = store.database["chat_sessions"]
    unsaid = [{**_document(SESSIONS + place), "status": None} for place in range(30)]
    sessions.insert_many(unsaid)
    try:
        found = store.explain("workflow", SessionQuery(status=SessionStatus.UNKNOWN))
        assert len(store.page) == PAGE
        assert all("COLLSCAN" not in each.stages for each in found)
        assert max(each.documents for each in found) <= len(unsaid), [(e.stages, e.documents) for e in found]
    finally:
        sessions.delete_many({"status": None})


def test_the_exception_of_older_variants_reads_only_documents_that_have_no_date_in_updated_at(store: Store) -> None:
    sessions = store.database["chat_sessions"]
    older = [_document(SESSIONS + place) for place in range(30)]
    for place, document in enumerate(older):
        document[("last_updated_at", "last_updated", "last_activity")[place % 3]] = document.pop("updated_at")
    sessions.insert_many(older)
    try:
        found = store.explain("workflow", SessionQuery())
        assert {each.session_id for each in store.page} <= {each["chat_id"] for each in older}
        assert all("COLLSCAN" not in each.stages for each in found)
        assert max(each.documents for each in found) <= len(older) + PAGE + 1
    finally:
        sessions.delete_many({"updated_at": None})


def test_the_exception_of_a_database_without_recent_idx_seeks_once_a_session(store: Store) -> None:
    messages = store.database["chat_messages"]
    index = {"created_at": -1, "session_id": 1}
    messages.drop_index("recent_idx")
    try:
        found = store.explain("messages", SessionQuery())
        assert len(store.page) == PAGE
        assert all("COLLSCAN" not in each.stages for each in found)
        # Besides, a page reads some documents to notice those of other products, and one of each of its sessions.
        looks = [each for each in found if "$nor" in str(each.query) or "$$ROOT" in str(each.query)]
        assert sum(each.documents for each in found if each not in looks) == 0
        assert sum(each.documents for each in looks) <= 2 * 25 + PAGE
        assert any("DISTINCT_SCAN" in each.stages for each in found)
    finally:
        messages.create_index(list(index.items()), name="recent_idx")


def test_a_query_that_no_index_serves_is_noticed(store: Store) -> None:
    store.database["chat_sessions"].drop_index("workflow_updated_idx")
    try:
        worst = max(store.explain("workflow", SessionQuery(workflow="nobody")), key=lambda each: each.documents)
        assert worst.documents > MOST
    finally:
        store.database["chat_sessions"].create_index(
            [("workflow_name", 1), ("updated_at", -1)], name="workflow_updated_idx"
        )
