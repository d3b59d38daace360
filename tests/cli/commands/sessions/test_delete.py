"""`chatstore sessions delete`: it needs --yes, and an old journal does not restore the session."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from chatstore_cli import LocalChatCache

pytestmark = pytest.mark.real

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
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


def test_the_plan_shows_whose_session_it_is(chatstore: Any, database: Any) -> None:
    thread = {
        "_id": "t-1",
        "user_id": "ana",
        "org_id": "acme",
        "created_at": NOON,
        "updated_at": NOON,
        "last_sequence": 0,
    }
    database.chat_threads.insert_one({**thread, "name": "Refund\x1b[31m " + "x" * 100})
    refused = chatstore("sessions", "delete", "t-1")
    assert refused.code == 2
    assert (
        "Session 't-1' (threads, 'Refund\\x1b[31m " + "x" * 48 + "…', user 'ana', tenant 'acme', 0 messages): 1 doc"
        in (refused.err)
    )


def test_a_later_flush_does_not_restore_a_deleted_session(chatstore: Any, database: Any, journal: Path) -> None:
    chatstore("flush-cache", str(journal))
    deleted = chatstore("sessions", "delete", "s-1", "--yes", "-o", "json")
    assert deleted.code == 0
    assert json.loads(deleted.out)["items"] == [
        {"session_id": "s-1", "layout": "messages", "result": "deleted", "reason": None,
         "documents": [{"collection": "chat_messages", "deleted": 3}]}
    ]  # fmt: skip
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


def ask(chatstore: Any, *arguments: str, code: int = 0) -> Any:
    """The JSON that a command prints."""
    outcome = chatstore(*arguments, "-o", "json")
    assert outcome.code == code, outcome.err
    return json.loads(outcome.out)


@pytest.fixture
def deleted(chatstore: Any, database: Any) -> LocalChatCache:
    """The cache in the command's folder, after the session `default` of two messages was stored and deleted.

    A recorder whose clock was ahead has dated a third one into 2099.
    """
    folder = chatstore.folder / "data" / "cache" / "chat_sessions"
    cache = LocalChatCache(disk_path=folder)
    for text in ("first", "second"):
        cache.record_chat_event(None, "user", text)
    ahead = LINE | {"session_id": "default", "text": "ahead", "created_at": "2099-03-02T11:41:00.195769+00:00"}
    with (folder / "default.jsonl").open("a") as journal:
        journal.write(json.dumps(ahead) + "\n")
    assert ask(chatstore, "flush-cache")["stored"] == 3
    assert ask(chatstore, "sessions", "delete", "default", "--yes")["items"][0]["documents"] == [
        {"collection": "chat_messages", "deleted": 3}
    ]
    return cache


def test_messages_without_a_session_id_are_stored_again_after_default_was_deleted(
    chatstore: Any, database: Any, deleted: LocalChatCache
) -> None:
    assert ask(chatstore, "cache", "status")["not_persisted"] == 0
    assert chatstore("sessions", "show", "default").code == 3
    deleted.record_chat_event(None, "user", "third")
    assert ask(chatstore, "cache", "status")["not_persisted"] == 1
    assert [(row["content"], row["persisted"]) for row in ask(chatstore, "history", "default")["items"]] == [
        ("third", False)
    ]
    pending = {check["name"]: check for check in ask(chatstore, "verify")["items"]}["journal-flushed"]
    assert "1 are not stored yet" in pending["detail"]
    assert ask(chatstore, "flush-cache")["stored"] == 1
    again = ask(chatstore, "flush-cache", "--ignore-ledger")
    assert [again[key] for key in ("lines", "stored", "already_stored", "skipped")] == [4, 0, 1, 3]

    assert ask(chatstore, "sessions", "show", "default")["message_count"] == 1
    assert [session["session_id"] for session in ask(chatstore, "sessions", "list")["items"]] == ["default"]
    assert [json.loads(line)["content"] for line in chatstore("resume", "default").out.splitlines()] == ["third"]
    assert [(row["content"], row["persisted"]) for row in ask(chatstore, "history", "default")["items"]] == [
        ("third", True)
    ]
    assert ask(chatstore, "cache", "status")["not_persisted"] == 0


def test_deleting_again_covers_what_was_recorded_in_between(
    chatstore: Any, database: Any, deleted: LocalChatCache
) -> None:
    deleted.record_chat_event(None, "user", "third")
    assert ask(chatstore, "flush-cache")["stored"] == 1
    assert ask(chatstore, "sessions", "delete", "default", "--yes")["items"][0]["documents"] == [
        {"collection": "chat_messages", "deleted": 1}
    ]
    deleted.record_chat_event(None, "user", "fourth")
    assert ask(chatstore, "flush-cache", "--ignore-ledger")["skipped"] == 4
    assert [row["text"] for row in database.chat_messages.find()] == ["fourth"]
    [tombstone] = database.chatstore_tombstones.find()
    assert len(tombstone["row_ids"]) == 1  # the one of 2099


def test_a_journal_is_pruned_once_what_the_deletion_does_not_cover_is_stored(
    chatstore: Any, database: Any, deleted: LocalChatCache
) -> None:
    journal = chatstore.folder / "data" / "cache" / "chat_sessions" / "default.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    lines[-1]["created_at"] = "2026-03-02T11:41:00.195769+00:00"
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))  # prune keeps a journal of 2099
    deleted.record_chat_event(None, "user", "third")
    [kept] = ask(chatstore, "cache", "prune", "--older-than", "0s", "--dry-run")["items"]
    assert [kept[key] for key in ("action", "reason", "lines", "covered")] == ["keep", "1 line is not stored", 4, 3]

    assert ask(chatstore, "flush-cache")["stored"] == 1
    plan = chatstore("cache", "prune", "--older-than", "0s")
    assert "Every line of them is stored, except 3 lines that were deleted with the session:" in plan.err
    assert "(4 lines, 3 of them deleted, " in plan.err
    [pruned] = ask(chatstore, "cache", "prune", "--older-than", "0s", "--yes")["items"]
    assert (pruned["action"], pruned["covered"]) == ("pruned", 3)
    assert pruned["reason"] == "3 were deleted with the session, the others are stored"
    assert not journal.exists()


def test_rows_of_other_writers_and_rows_whose_time_cannot_be_read_are_deleted(chatstore: Any, database: Any) -> None:
    times: list[Any] = [
        datetime(2026, 3, 2, tzinfo=UTC), datetime(2099, 3, 2, tzinfo=UTC), "2026-03-02T11:41:00Z", 1_772_451_660, 4e9,
        "2099-03-02", None, "yesterday", {"$date": 5}, ["2026-03-02"], float("nan"), True, b"x",
    ]  # fmt: skip
    row = {"session_id": "s-1", "role": "user", "text": "without a time"}
    rows = [{**row, "text": f"{number}", "created_at": moment} for number, moment in enumerate(times)]
    other = {**row, "session_id": "s-2", "text": "of another session", "created_at": times[0]}
    database.chat_messages.insert_many([*rows, dict(row), other])
    [[part]] = (row["documents"] for row in ask(chatstore, "sessions", "delete", "s-1", "--yes")["items"])
    assert part["deleted"] == len(times) + 1
    assert [row["text"] for row in database.chat_messages.find()] == ["of another session"]
    [tombstone] = database.chatstore_tombstones.find()
    assert len(tombstone["row_ids"]) == len(times) + 1 - 3  # those of 2026 are covered by their time
