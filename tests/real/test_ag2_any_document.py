"""Events for arbitrary documents: each is stored once or rejected with a reason, and nothing else changes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from bson import Decimal128, Int64, ObjectId, json_util
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from chatstore_cli.core.demo.sample_chats import sample_chats
from chatstore_cli.core.workflow.ag2_manager import AG2Manager
from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.workflow.chats import SavedAs
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.session_documents.documents import to_session
from chatstore_cli.mongo.workflow.shape import WORKFLOW
from tests.support.ag2_events import event, new_manager, text
from tests.support.paths import SAMPLES

pytestmark = pytest.mark.real

START = datetime(2026, 3, 1, tzinfo=UTC)
SAMPLE = json.loads((SAMPLES / "workflow.json").read_text())
DOCUMENTS = [json_util.loads(json.dumps(each)) for each in SAMPLE["collections"]["chat_sessions"]]
DOCUMENTS += [dict(document) for document in sample_chats(START).sessions]
FIELDS = sorted(
    {name for document in DOCUMENTS for name in document} - {"_id", "chat_id"}
    | {"last_sequence", "last_segment", "current_run", "run_start", "expected_echo", "echoes", "run_ends"}
    | {"paused", "app_id", "extra.dotted"}
)
ODD = some.sampled_from([
    None, True, 0, 1, -1, 2, -5, 2**62, Int64(3), 2.5, float("nan"), float("inf"), Decimal128("4"), "", "completed",
    "running", "5", [], [1], {}, {"$gt": 1}, {"run": 1}, {"run": 1, "sender": "user", "fingerprint": "x"}, START,
    ObjectId(), b"x",
])  # fmt: skip
CHANGES = some.dictionaries(some.sampled_from(FIELDS), some.one_of(ODD, some.just(...)), max_size=6)
CHANGED = {
    "messages", "last_sequence", "updated_at", "status", "expected_echo", "enterprise_id", "is_complete",
    "real_time_tracking",
}  # fmt: skip


@pytest.fixture
def manager(connection: Connection) -> AG2Manager:
    return new_manager(connection)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(some.sampled_from(DOCUMENTS), CHANGES)
def test_an_event_for_any_document_is_stored_once_or_rejected_with_a_reason(
    manager: AG2Manager, database: Any, document: dict[str, Any], changes: dict[str, Any]
) -> None:
    changed = {name: value for name, value in {**document, **changes}.items() if value is not ...}
    database.chat_sessions.delete_many({})
    database.chat_sessions.insert_one(bson.decode(bson.encode(changed)))
    [before] = database.chat_sessions.find()
    session = to_session(WORKFLOW, before)
    manager._chats.forget(session.session_id)
    said = {"chat_id": session.session_id, "enterprise_id": session.tenant_id or "acme"}
    given_event = text("hello", "Writer")
    try:
        stored = manager.save_event(given_event, **said)
    except ChatstoreError as error:
        assert "\n" not in error.message
        [after] = database.chat_sessions.find()
        claimed = {"enterprise_id"} if session.tenant_id is None else set()
        assert {name: repr(value) for name, value in after.items() if name not in claimed} == {
            name: repr(value) for name, value in before.items() if name not in claimed
        }
        return
    assert stored.saved_as is SavedAs.MESSAGE
    assert manager.save_event(given_event, **said).saved_as is SavedAs.DUPLICATE
    [after] = database.chat_sessions.find()
    for name in before.keys() - CHANGED:
        assert repr(after[name]) == repr(before[name]), name
    earlier = before["messages"] if isinstance(before.get("messages"), list) else []
    assert repr(after["messages"][:-1]) == repr(earlier)
    assert after["messages"][-1]["content"] == "hello"
    assert after["messages"][-1]["sequence"] == after["last_sequence"] == stored.sequence
    assert to_session(WORKFLOW, after).status == "running"
    if not all(isinstance(before.get(ours, []), list) for ours in ("echoes", "run_ends")):
        return
    manager.resume_chat(session.session_id, any_tenant=True)
    manager.save_event(event("termination", termination_reason="done", sender="user"), **said)
    [after] = database.chat_sessions.find()
    assert to_session(WORKFLOW, after).status == ("running" if to_session(WORKFLOW, after).paused else "completed")
