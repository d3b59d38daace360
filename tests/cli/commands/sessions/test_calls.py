"""Calls in the commands for sessions: they are read, and nothing writes to them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from bson import ObjectId

from tests.support.mongod import poll
from tests.support.samples import store_sample
from tests.support.watch_processes import watching

pytestmark = pytest.mark.real

CALL = "3f0c1c5e-8d6b-4a55-9c5f-0b6f4f4d7a01"
WRITING = [
    ("sessions", "delete", CALL, "--yes"), ("sessions", "complete", CALL), ("sessions", "fail", CALL),
    ("sessions", "pause", CALL), ("sessions", "unpause", CALL), ("sessions", "split", CALL, "--yes"),
]  # fmt: skip


@pytest.fixture
def calls(database: Any) -> Any:
    """The sample's calls, in the database."""
    store_sample(database, "calls")
    return database


def items(outcome: Any) -> list[dict[str, Any]]:
    assert outcome.code == 0, outcome.err
    return list(json.loads(outcome.out)["items"])


def test_calls_are_listed_and_shown(chatstore: Any, calls: Any) -> None:
    listed = chatstore("sessions", "list", "--tenant", "acme", "-o", "json")
    assert [row["title"] for row in items(listed)] == ["room-7b1e", "room-a", "room-c"]
    assert "lk_transcripts holds 1 document that is not a transcript" in listed.err
    failed = chatstore("sessions", "list", "--status", "failed", "--layout", "calls", "-o", "json")
    assert [row["title"] for row in items(failed)] == ["room-a"]
    shown = json.loads(chatstore("sessions", "show", CALL, "-o", "json").out)
    assert (shown["workflow"], shown["message_count"], shown["status"]) == ("65e1a0b2c3d4e5f600000a01", 8, "completed")


def test_resume_prints_calls_of_functions_as_tool_calls(chatstore: Any, calls: Any) -> None:
    done = chatstore("resume", CALL, "--as", "openai")
    assert done.code == 0, done.err
    rows = json.loads(done.out)
    assert [row["role"] for row in rows] == ["system", "user", "assistant", "tool", "tool", "assistant", "assistant"]
    assert [each["id"] for each in rows[2]["tool_calls"]] == [row["tool_call_id"] for row in rows[3:5]]
    assert [row["content"] for row in rows[3:5]] == ["sunny", "no such city"]


def test_usage_adds_up_the_metrics(chatstore: Any, calls: Any) -> None:
    [row] = items(chatstore("usage", "--layout", "calls", "--tenant", "acme", "--by", "tenant", "-o", "json"))
    assert row["usage"] == {
        "prompt_tokens": 180,
        "completion_tokens": 20,
        "total_tokens": 201,
        "cached_tokens": None,
        "reasoning_tokens": None,
        "cost": "0.002",
    }
    explained = chatstore("usage", "explain", CALL)
    assert (explained.code, "is a call, which has no usage ledger" in explained.out + explained.err) == (0, True)


@pytest.mark.parametrize("command", WRITING, ids=lambda command: command[1])
def test_commands_that_write_reject_a_call(chatstore: Any, calls: Any, command: tuple[str, ...]) -> None:
    before = list(calls["lk_transcripts"].find())
    outcome = chatstore(*command)
    if command[1] == "delete":
        assert (outcome.code, "Sessions of the layout calls cannot be deleted." in outcome.err) == (4, True)
    else:
        assert (outcome.code, f"No session {CALL!r} " in outcome.err) == (3, True)
    assert list(calls["lk_transcripts"].find()) == before


def test_indexes_are_proposed_only_if_the_layout_is_named(chatstore: Any, calls: Any) -> None:
    assert "lk_transcripts" not in chatstore("indexes", "check", "-o", "json").out
    assert chatstore("indexes", "apply", "--yes").code == 0
    assert list(calls["lk_transcripts"].index_information()) == ["_id_"]
    assert chatstore("indexes", "apply", "--layout", "calls").code == 0
    assert set(calls["lk_transcripts"].index_information()) == {
        "_id_", "calls_org_idx", "calls_user_idx", "calls_agent_idx", "calls_reason_idx",
    }  # fmt: skip


def test_new_calls_are_watched(chatstore: Any, calls: Any) -> None:
    with watching(chatstore, "--layout", "calls") as sessions:
        document = {"sessionId": "new", "chatHistory": [], "roomName": "r"}
        calls["lk_transcripts"].insert_one({"_id": ObjectId("7fffffff0000000000000001"), **document})
        poll(lambda: any(row["session_id"] == "new" for row in sessions.rows), what="the row of the new call")


def test_without_the_collection_nothing_is_reported(chatstore: Any, database: Any) -> None:
    database["chat_sessions"].insert_one({"chat_id": "w", "messages": []})
    listed = chatstore("sessions", "list", "--workflow", "x", "-o", "json")
    assert (items(listed), "lk_transcripts" in listed.err) == ([], False)


def test_a_collection_that_an_older_setting_names_keeps_its_meaning(chatstore: Any, database: Any) -> None:
    """Somebody keeps workflow sessions under a name that is now the default name of calls."""
    database["call_sessions"].insert_one({"chat_id": "w", "enterprise_id": "acme", "messages": [{"content": "hi"}]})
    older = {"CHATSTORE_MONGO__SESSION_COLLECTION": "call_sessions"}
    assert [row["session_id"] for row in items(chatstore("sessions", "list", "-o", "json", env=older))] == ["w"]
    assert chatstore("sessions", "complete", "w", env=older).code == 0
    assert chatstore("indexes", "apply", "--layout", "workflow", "--yes", env=older).code == 0
