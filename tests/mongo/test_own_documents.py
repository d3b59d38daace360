"""Which documents are a layout's own: the filter and the test in Python agree, and every known variant passes."""

from __future__ import annotations

import random
from typing import Any

import bson
import pytest
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.foreign import ForeignDocuments, OwnKind, shown_names, usual_fields
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.general import own_chats
from chatstore_cli.mongo.layouts.contents import own_documents_of
from chatstore_cli.mongo.messages.own_messages import OWN_MESSAGES
from chatstore_cli.mongo.usage.rows import OWN_DAILY_SUMS, OWN_ROWS
from chatstore_cli.mongo.workflow.own_sessions import OWN_SEGMENTS, OWN_SESSIONS
from tests.support.samples import sample_documents

EVERY = {
    "sessions": OWN_SESSIONS,
    "messages": OWN_MESSAGES,
    "general chats": own_chats.OWN_CHATS,
    "general segments": own_chats.OWN_SEGMENTS,
    "counters": own_chats.OWN_COUNTERS,
    "segments": OWN_SEGMENTS,
    "usage": OWN_ROWS,
    "daily sums": OWN_DAILY_SUMS,
}
FIELDS = (
    "chat_id", "messages", "workflow_name", "workflow_status", "real_time_tracking", "usage_summary", "enterprise_id",
    "app_id", "status", "session_id", "role", "text", "run", "days", "expires", "session", "session_type",
    "general_label", "general_sequence", "user_id",
)  # fmt: skip
VALUES: list[Any] = [
    None, True, 0, 1.5, Int64(2**40), Decimal128("1"), "", "text", b"bytes", Binary(b"x" * 16, 4), ObjectId(), Regex("a"),
    Code("f()"), Code("f()", {"a": 1}), DBRef("c", 1), MinKey(), MaxKey(), Timestamp(1, 1), {}, {"0": {"a": 1}}, [],
]  # fmt: skip

LOGIN = {"_id": "b64-secret", "expires": "2026-12-01", "session": "{}"}
OTHERS: list[dict[str, Any]] = [
    LOGIN,
    {},
    {"session_id": "s", "role": "user", "content": "hi", "timestamp": 1},
    {"chat_id": 7, "message_id": 9, "text": "hi", "date": 1, "status": "sent"},
    {"SessionId": "s", "History": "[]"},
    {"conversationId": "c", "title": "t", "messages": [ObjectId(), ObjectId()], "user": "u"},
    {"thread_id": "t", "checkpoint_ns": "", "checkpoint": b""},
    {"session_id": "s", "agent_id": "a", "memory": {}, "runs": [], "created_at": 1},
]
VARIANTS: list[dict[str, Any]] = [
    {"chat_id": "a", "enterprise_id": ObjectId(), "is_complete": False, "messages": []},
    {"chat_id": "a", "enterprise_id": "acme", "status": "in_progress", "last_updated_at": "2026-01-01"},
    {"_id": "c", "enterprise_id": "acme", "status": 0, "usage_total_tokens_final": 3},
    {"_id": "d", "app_id": "acme", "status": 1, "messages": []},
    {"_id": "e", "app_id": "acme", "status": 2, "failed_at": None},
    {"chat_id": "a", "workflow_status": {"Trips": 1}},
    {"chat_id": "a", "real_time_tracking": {"current_status": "running"}},
    {"chat_id": "a", "usage_summary": {"raw": {}}},
    {"_id": "m", "messages": ["text"]},
    {"_id": "m", "messages": [{"content": "hi"}]},
]


@pytest.mark.real
@pytest.mark.parametrize("kind", EVERY)
def test_the_filter_and_the_test_in_python_agree_on_every_type(connection: Connection, kind: str) -> None:
    own, chance = EVERY[kind], random.Random(kind)
    values = [*VALUES, *([value, *VALUES[chance.randrange(len(VALUES)) :]] for value in VALUES), [[]], [["a"]], [[{}]]]
    documents = [
        {name: chance.choice(values) for name in chance.sample(FIELDS, chance.randrange(6))} | {"_id": number}
        for number in range(800)
    ]
    collection = connection.collection("mixed")
    collection.insert_many(documents)
    stored = list(collection.find())
    assert {document["_id"] for document in collection.find(own.filter())} == {
        document["_id"] for document in stored if own.matches(document)
    }
    nested = connection.collection("nested")
    nested.insert_many([{"_id": document["_id"], "inside": document} for document in documents])
    assert {document["_id"] for document in nested.find(own.filter("inside."))} == {
        document["_id"] for document in stored if own.matches(document)
    }


@pytest.mark.parametrize("sample", ["workflow", "messages", "general", "multi_agent"])
def test_every_sample_is_own(sample: str) -> None:
    own = {**own_documents_of(Settings()), "ChatSessions": OWN_SESSIONS}
    checked = [(own[name], documents) for name, documents in sample_documents(sample) if name in own]
    assert checked
    for kind, documents in checked:
        assert [document for document in documents if not kind.matches(document)] == []


def test_every_variant_of_a_session_is_own_and_documents_of_other_products_are_not() -> None:
    assert [each for each in VARIANTS if not OWN_SESSIONS.matches(each)] == []
    assert [each for each in OTHERS if OWN_SESSIONS.matches(each) or OWN_MESSAGES.matches(each)] == []
    assert all(OWN_SESSIONS.matches(bson.decode(bson.encode(each))) for each in VARIANTS)


def found(foreign: int, looked_at: int, *, is_complete: bool = True) -> ForeignDocuments:
    kind = OwnKind("a session", "sessions", "layout workflow")
    return ForeignDocuments("chat_sessions", kind, looked_at, foreign, ("_id", "expires"), is_complete)


def test_what_was_found_is_said_in_words_without_values() -> None:
    assert found(18, 20).remark == (
        "chat_sessions holds 18 documents that are not sessions of layout workflow: _id, expires"
    )
    assert "holds 1 document that is not a session of" in found(1, 9).remark
    assert "holds 3 of 100 sampled documents that are not" in found(3, 100, is_complete=False).remark
    assert found(0, 9).remark == ""
    assert [found(foreign, 10).is_mainly_foreign for foreign in (0, 5, 6, 10)] == [False, False, True, True]
    assert not found(0, 0).is_mainly_foreign
    assert not found(10, 10).is_another_products


def test_names_are_few_short_and_harmless() -> None:
    shown = shown_names([f"name{number}" for number in range(20)])
    assert shown.endswith("name7, and 12 more")
    assert shown_names(["a\x1b[31m\nb", "x" * 500, "ü\u202e"]) == f"a\\x1b[31m\\nb, {'x' * 40}…, ü\\u202e"
    assert usual_fields([["_id", "a"], ["_id", "a"], ["_id", "b"], ["_id", "c"]]) == ("_id", "a")
    assert usual_fields([]) == ()
