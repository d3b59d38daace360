"""`chatstore sessions complete|fail|pause|unpause`: again is no change, nonsense is refused, nothing else is touched."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

pytestmark = pytest.mark.real

START = datetime(2026, 3, 1, tzinfo=UTC)


def store(database: Any, **fields: Any) -> None:
    messages = [{"sender": "user", "content": "hello", "role": "user", "event_id": "e-1", "sequence": 1}]
    chat = {"chat_id": "c-1", "enterprise_id": "acme", "status": 0, "updated_at": START, "messages": messages}
    database.chat_sessions.insert_one(chat | fields)


def taken(chatstore: Any, *arguments: str) -> dict[str, Any]:
    done = chatstore("sessions", *arguments, "-o", "json")
    assert done.code == 0, done.err
    assert "Target: " in done.err
    [row] = json.loads(done.out)["items"]
    return dict(row)


@pytest.mark.parametrize(
    ("step", "status", "field"), [("complete", "completed", "completed_at"), ("fail", "failed", "failed_at")]
)
def test_a_session_is_ended_once_and_says_so_again(
    chatstore: Any, database: Any, step: str, status: str, field: str
) -> None:
    store(database)
    assert taken(chatstore, step, "c-1") == {
        "session_id": "c-1", "status": status, "paused": False, "changed": True
    }  # fmt: skip
    first = database.chat_sessions.find_one({})
    assert first[field] == first["updated_at"] > START
    again = chatstore("sessions", step, "c-1", "-o", "json")
    assert again.code == 0
    assert json.loads(again.out)["items"][0]["changed"] is False
    assert f"is already {status}" in again.err
    assert database.chat_sessions.find_one({}) == first


def test_a_pause_is_kept_with_its_reason_beside_the_status_and_taken_back(chatstore: Any, database: Any) -> None:
    store(database)
    paused = taken(chatstore, "pause", "c-1", "--reason", "waits for approval")
    assert (paused["status"], paused["paused"], paused["changed"]) == ("running", True, True)
    stored = database.chat_sessions.find_one({})
    assert (stored["status"], stored["pause_reason"]) == (0, "waits for approval")
    refused = chatstore("sessions", "complete", "c-1")
    assert refused.code == 8
    assert "'c-1' is running and paused, and cannot be completed" in refused.err
    assert taken(chatstore, "unpause", "c-1")["paused"] is False
    assert taken(chatstore, "unpause", "c-1")["changed"] is False


def test_what_makes_no_sense_is_refused_with_the_state_named_and_changes_nothing(chatstore: Any, database: Any) -> None:
    store(database, status=1)
    before = database.chat_sessions.find_one({})
    for step in ("fail", "pause"):
        refused = chatstore("sessions", step, "c-1", "-o", "json")
        assert (refused.code, refused.out) == (8, "")
        assert "is completed, and cannot be" in json.loads(refused.err.splitlines()[-1])["error"]["message"]
    assert database.chat_sessions.find_one({}) == before


@pytest.mark.parametrize(
    ("status", "tenant", "stored"),
    [("in_progress", "enterprise_id", "failed"), (0, "app_id", 2), (0, "enterprise_id", -1)],
)
def test_an_older_variant_is_changed_in_its_own_words(
    chatstore: Any, database: Any, status: Any, tenant: str, stored: Any
) -> None:
    chat = {"_id": "c-1", tenant: "acme", "status": status, "last_updated_at": START, "messages": []}
    database.chat_sessions.insert_one(chat)
    assert taken(chatstore, "fail", "c-1", "--reason", "lost")["status"] == "failed"
    after = database.chat_sessions.find_one({"_id": "c-1"})
    assert (after["status"], after["failure_reason"]) == (stored, "lost")
    assert {key: value for key, value in after.items() if key in chat and key != "status"} == {
        key: value for key, value in chat.items() if key != "status"
    }


def test_an_unknown_session_is_status_3_and_read_only_is_status_4(chatstore: Any, database: Any) -> None:
    store(database)
    assert chatstore("sessions", "complete", "c-2").code == 3
    assert chatstore("sessions", "complete", "c-1", "--read-only").code == 4
    assert database.chat_sessions.find_one({})["status"] == 0


def test_listing_does_not_load_what_changes_states(chatstore: Any, database: Any) -> None:
    store(database)
    code = (
        "import sys; from chatstore_cli.cli.main import run\n"
        "assert run(['sessions', 'list']) == 0\n"
        "assert not [name for name in sys.modules if name.endswith(('commands.sessions.status', 'workflow.lifecycle'))]"
    )
    done = subprocess.run([sys.executable, "-c", code], env=chatstore.environment, capture_output=True, text=True)
    assert (done.returncode, "c-1" in done.stdout) == (0, True), done.stderr


def test_why_a_session_failed_or_is_paused_is_shown_while_it_is(chatstore: Any, database: Any) -> None:
    database.chat_sessions.insert_one({"chat_id": "c-1", "status": 0, "messages": []})
    assert chatstore("sessions", "pause", "c-1", "--reason", "waiting for \x1b[31mAda").code == 0
    shown = chatstore("sessions", "show", "c-1")
    assert "waiting for" in shown.out and "\x1b" not in shown.out
    listed = json.loads(chatstore("sessions", "list", "--paused", "-o", "json").out)
    assert [row["session_id"] for row in listed["items"]] == ["c-1"]
    chatstore("sessions", "unpause", "c-1")
    assert json.loads(chatstore("sessions", "list", "--paused", "-o", "json").out)["items"] == []
    assert json.loads(chatstore("sessions", "show", "c-1", "-o", "json").out)["reason"] is None
    chatstore("sessions", "fail", "c-1", "--reason", "host lost")
    assert json.loads(chatstore("sessions", "show", "c-1", "-o", "json").out)["reason"] == "host lost"
