"""`chatstore sessions delete`: it needs --yes, and an old journal does not restore the session."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.real

LINE = {
    "session_id": "s-1", "role": "user", "text": "hello", "metadata": {}, "vector_ids": [],
    "created_at": "2026-03-02T11:41:00.195769+00:00",
}  # fmt: skip


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A journal of two sessions, three lines each."""
    path = tmp_path / "journals" / "chats.jsonl"
    path.parent.mkdir()
    lines = [LINE | {"session_id": name, "text": f"line {number}"} for name in ("s-1", "s-2") for number in range(3)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_the_plan_is_printed_and_nothing_is_deleted_without_yes(chatstore: Any, database: Any, journal: Path) -> None:
    chatstore("flush-cache", str(journal))
    refused = chatstore("sessions", "delete", "s-1")
    assert refused.code == 2
    assert "3 documents of chat_messages" in refused.err
    assert "--yes" in refused.err
    assert database.chat_messages.count_documents({}) == 6


def test_a_later_flush_does_not_restore_a_deleted_session(chatstore: Any, database: Any, journal: Path) -> None:
    chatstore("flush-cache", str(journal))
    deleted = chatstore("sessions", "delete", "s-1", "--yes", "-o", "json")
    assert deleted.code == 0
    assert json.loads(deleted.out)["items"] == [{"collection": "chat_messages", "deleted": 3}]
    assert database.chat_messages.distinct("session_id") == ["s-2"]
    again = chatstore("flush-cache", str(journal), "--ignore-ledger", "-o", "json")
    assert (again.code, json.loads(again.out)["skipped"], json.loads(again.out)["stored"]) == (0, 3, 0)
    assert database.chat_messages.distinct("session_id") == ["s-2"]


def test_a_workflow_session_is_deleted_with_its_segments(chatstore: Any, database: Any) -> None:
    database.chat_sessions.insert_one({"chat_id": "w-1", "messages": [], "status": 1})
    database.chat_sessions.insert_one({"chat_id": "w-10", "messages": [], "status": 1})
    database.chat_session_segments.insert_many([{"_id": "w-1:0", "messages": []}, {"_id": "w-10:0", "messages": []}])
    assert chatstore("sessions", "delete", "w-1", "--yes").code == 0
    assert database.chat_sessions.distinct("chat_id") == ["w-10"]
    assert database.chat_session_segments.distinct("_id") == ["w-10:0"]


def test_an_unknown_session_is_status_3_and_read_only_is_status_4(chatstore: Any, database: Any) -> None:
    assert chatstore("sessions", "delete", "nobody", "--yes").code == 3
    assert chatstore("--read-only", "sessions", "delete", "nobody", "--yes").code == 4
