"""docs/layouts.md names every collection that chatstore writes, and every field that its documents get there."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pymongo.database import Database

from chatstore_cli.mongo.connection import Connection
from tests.conftest import Chatstore
from tests.support.ag2_events import event, new_manager, text
from tests.support.journals import as_line, record
from tests.support.paths import ROOT

pytestmark = pytest.mark.real


def test_every_field_that_is_stored_is_documented(
    chatstore: Chatstore, connection: Connection, database: Database[dict[str, Any]]
) -> None:
    _store_one_of_everything(chatstore, connection)
    page = (ROOT / "docs" / "layouts.md").read_text(encoding="utf-8")
    names = {
        f"{collection}: {field}"
        for collection in database.list_collection_names()
        for document in database[collection].find()
        for field in _fields(document)
        if not re.search(rf"[`.]{re.escape(field)}[`.]", page)
    }
    assert names == set()
    assert {name for name in database.list_collection_names() if f"`{name}`" not in page} == set()
    assert len(database.list_collection_names()) == 6


def _store_one_of_everything(chatstore: Chatstore, connection: Connection) -> None:
    """A flushed journal, a session with segments, an echo, a failure, a pause and usage, daily sums, a deletion."""
    journals = chatstore.folder / "journals"
    journals.mkdir()
    (journals / "a.jsonl").write_bytes(as_line(record(1, message_id="m1")) + as_line(record(2)))
    assert chatstore("flush-cache", journals).code == 0
    manager = new_manager(connection, segment_messages=10)

    def save(given: dict[str, Any]) -> None:
        manager.save_event(given, chat_id="c", enterprise_id="acme", user_id="ada", workflow_name="plan")

    for number in range(25):
        save(text(f"message {number}", "user" if number % 2 else "Writer"))
    save(event("tool_call", sender="Writer", recipient="chat_manager", content=None, tool_calls=[{"id": "1"}]))
    answers = [{"tool_call_id": "1", "content": "x"}, {"tool_call_id": "2", "content": "y"}]
    save(event("tool_response", sender="Tool", recipient="chat_manager", content="x", tool_responses=answers))
    save(event("tool_response", sender="Tool", recipient="chat_manager", content="x", tool_responses=answers[:1]))
    save(text("the last", "Writer"))
    manager.resume_chat("c", enterprise_id="acme")
    save(text("the last", "Writer"))
    usage = {
        "model": "m",
        "prompt_tokens": 3,
        "completion_tokens": 2,
        "total_tokens": 5,
        "cached_tokens": 1,
        "cost": 0.1,
    }
    save(event("usage_summary", actual={"usages": [usage], "total_cost": 0.1}, mode="both"))
    save(event("termination", sender="Writer", recipient="chat_manager", termination_reason="done"))
    save(text("again"))
    manager.pause("c", "waiting", enterprise_id="acme")
    manager.mark_failed("c", "broken", enterprise_id="acme")
    manager.resume_chat("c", enterprise_id="acme")  # an echo is awaited
    assert chatstore("usage", "rollup").code == 0
    manager.save_event(text("gone"), chat_id="gone", enterprise_id="acme")
    assert chatstore("sessions", "delete", "gone", "--yes").code == 0


def _fields(value: Any) -> set[str]:
    """The names of the fields of a document and of its own documents; not those within an agent's content."""
    if isinstance(value, list):
        return {name for item in value for name in _fields(item)}
    if not isinstance(value, dict):
        return set()
    inner = [field for name, field in value.items() if name not in {"content", "tool_calls", "tool_responses"}]
    return {*value, *(name for field in inner for name in _fields(field))}
