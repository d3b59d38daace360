"""Threads in the commands for sessions, as processes on a real server."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pymongo.database import Database

    from tests.conftest import Chatstore

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def stored(database: Database[dict[str, Any]]) -> None:
    for number, (name, user, tenant) in enumerate(
        [("t-1", "ada", "acme"), ("t-2", "bob", "acme"), ("t-3", "ada", "o")]
    ):
        times = {"created_at": NOON, "updated_at": NOON - timedelta(days=number)}
        owner = {"user_id": user, "org_id": tenant}
        database["chat_threads"].insert_one({"_id": name, **owner, "name": f"Thread =1+{number}", **times})
        usage = {"prompt_tokens": 10, "completion_tokens": number, "cost": 0.5}
        for sequence, role in enumerate(("user", "assistant"), 1):
            metadata = {"usage": usage} if role == "assistant" else {}
            content = {"type": "text", "text": f"{role}: hi \x1b[31m", "metadata": metadata}
            message = {"chat_thread_id": name, "sender_role": role, "content": content, "sequence": sequence}
            database["chat_thread_messages"].insert_one({"_id": f"{name}-{sequence}", **message, "created_at": NOON})
    database["chat_sessions"].insert_one({"chat_id": "w", "messages": [{"content": "x"}], "updated_at": NOON})


def rows(chatstore: Chatstore, *arguments: str) -> list[dict[str, Any]]:
    outcome = chatstore(*arguments, "-o", "json")
    assert outcome.code == 0, outcome.err
    found: list[dict[str, Any]] = json.loads(outcome.out)["items"]
    return found


def listed(chatstore: Chatstore, *arguments: str) -> list[str]:
    return [row["session_id"] for row in rows(chatstore, "sessions", "list", *arguments)]


def test_threads_are_listed_among_other_sessions_and_filtered(chatstore: Chatstore) -> None:
    assert listed(chatstore) == ["w", "t-1", "t-2", "t-3"]
    assert listed(chatstore, "--layout", "threads", "--tenant", "acme") == ["t-1", "t-2"]
    assert listed(chatstore, "--user", "ada", "--since", "2026-03-01") == ["t-1"]
    assert listed(chatstore, "--status", "unknown") == ["w", "t-1", "t-2", "t-3"]
    outcome = chatstore("sessions", "list", "--workflow", "w")
    assert "The layout threads has no workflow, so its sessions are left out." in outcome.err
    assert "messages" not in outcome.err  # the collection of this layout does not exist
    assert chatstore("sessions", "list", "--layout", "thread").code == 2


def test_show_and_resume_read_a_thread(chatstore: Chatstore) -> None:
    shown = json.loads(chatstore("sessions", "show", "t-2", "-o", "json").out)
    assert (shown["tenant_id"], shown["user_id"], shown["title"]) == ("acme", "bob", "Thread =1+1")
    assert (shown["layout"], shown["status"], shown["message_count"]) == ("threads", "unknown", 2)
    assert [message["message_id"] for message in shown["first_messages"]] == ["t-2-1", "t-2-2"]
    assert "\x1b" not in chatstore("sessions", "show", "t-2").out
    for form in ("jsonl", "openai", "ag2"):
        outcome = chatstore("resume", "t-2", "--as", form)
        assert outcome.code == 0, outcome.err
    assert [row["role"] for row in json.loads(chatstore("resume", "t-2", "--as", "openai").out)] == [
        "user",
        "assistant",
    ]


def test_delete_plans_first_and_deletes_only_this_thread(chatstore: Chatstore, database: Database[Any]) -> None:
    outcome = chatstore("sessions", "delete", "t-1")
    assert outcome.code == 2
    assert "2 documents of chat_thread_messages and 1 document of chat_threads would be deleted" in outcome.err
    assert database["chat_threads"].count_documents({}) == 3
    assert chatstore("sessions", "delete", "t-1", "--keep-usage", "--yes").code == 4
    [deleted] = rows(chatstore, "sessions", "delete", "t-1", "--yes")
    numbers = {part["collection"]: part["deleted"] for part in deleted["documents"]}
    assert numbers == {"chat_thread_messages": 2, "chat_threads": 1}
    assert listed(chatstore) == ["w", "t-2", "t-3"]
    assert database["chat_thread_messages"].count_documents({}) == 4
    assert chatstore("sessions", "delete", "t-1", "--yes").code == 3


def test_usage_adds_up_what_messages_used(chatstore: Chatstore) -> None:
    by_tenant = {row["tenant_id"]: row for row in rows(chatstore, "usage", "--by", "tenant", "--layout", "threads")}
    assert {name: row["usage"]["total_tokens"] for name, row in by_tenant.items()} == {"acme": 21, "o": 12}
    assert by_tenant["acme"]["usage"]["cost"] == "1"
    days = rows(chatstore, "usage", "--by", "day", "--layout", "threads", "--user", "ada")
    assert {row["day"]: row["usage"]["total_tokens"] for row in days} == {"2026-02-28": 12, "2026-03-02": 10}


def test_an_id_of_two_layouts_needs_layout(chatstore: Chatstore, database: Database[Any]) -> None:
    database["chat_sessions"].insert_one({"chat_id": "t-1", "messages": [{"content": "x"}]})
    outcome = chatstore("sessions", "show", "t-1")
    assert outcome.code == 8
    assert "in the layouts workflow and threads" in outcome.err
    assert (
        json.loads(chatstore("sessions", "show", "t-1", "--layout", "threads", "-o", "json").out)["message_count"] == 2
    )


def test_indexes_of_threads_are_checked_and_made(chatstore: Chatstore, database: Database[Any]) -> None:
    assert chatstore("indexes", "check", "--layout", "threads").code == 6
    assert chatstore("indexes", "apply", "--layout", "threads").code == 0
    found = {row["name"]: row["state"] for row in rows(chatstore, "indexes", "check", "--layout", "threads")}
    assert found == dict.fromkeys(["updated_idx", "org_updated_idx", "user_updated_idx", "thread_sequence_idx"], "ok")
    assert database["chat_thread_messages"].index_information()["thread_sequence_idx"]["unique"] is True


def test_the_largest_documents_are_those_of_workflow_sessions(chatstore: Chatstore) -> None:
    assert [row["session_id"] for row in rows(chatstore, "sessions", "sizes")] == ["w"]
