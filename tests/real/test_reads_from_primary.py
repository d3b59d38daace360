"""What decides about a write is read from the primary, and a journal is removed only on what a majority has."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo.database import Database

from chatstore_cli import Message, MongoChatStorage
from chatstore_cli.library.ag2 import AG2PersistenceManager
from tests.conftest import Chatstore
from tests.support.ag2_events import text
from tests.support.journals import record, write_journal
from tests.support.mongod import Mongod

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]]
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def secondary_only(mongod: Mongod) -> str:
    """A URI that prefers secondaries, which this set of one server does not have: any read from one of them fails."""
    options = {"directConnection": "false", "replicaSet": "rs0", "serverSelectionTimeoutMS": "20000"}
    return mongod.uri_as(None, None, readPreference="secondary", **options)


@pytest.fixture
def stored(chatstore: Chatstore, database: Documents) -> None:
    """A journal, stored messages, and a workflow session with messages."""
    write_journal(chatstore.folder / "j" / "s1.jsonl", [record(number) for number in range(3)])
    database.chat_messages.insert_one({"session_id": "old", "role": "user", "text": "x", "created_at": "2026-03-02"})
    messages = [{"content": str(number), "sequence": number} for number in range(1, 9)]
    document = {"chat_id": "c", "enterprise_id": "acme", "status": 0, "messages": messages, "last_sequence": 8}
    database.chat_sessions.insert_one(document)


COMMANDS = [
    "flush-cache j", "flush-cache j --dry-run", "worker --once j", "sessions delete old --yes", "sessions delete c --yes",
    "sessions delete c --keep-usage --yes", "sessions fail c", "sessions pause c", "sessions split c --keep 1KiB --yes",
    "indexes apply --yes", "indexes apply --dry-run", "ttl set --days 30 --yes", "ttl set --days 30 --dry-run",
    "usage rollup", "usage reconcile --yes", "cache prune j --older-than 2026-03-03 --dry-run",
    "cache quarantine retry j", "threads repair", "threads repair --yes",
]  # fmt: skip


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("command", COMMANDS)
def test_every_writing_command_works_although_the_uri_prefers_a_secondary(
    chatstore: Chatstore, secondary_only: str, command: str
) -> None:
    outcome = chatstore(*command.split(), env={"CHATSTORE_URI": secondary_only})
    assert outcome.code == 0, outcome.err


@pytest.mark.usefixtures("stored")
def test_a_reading_command_follows_the_uri(chatstore: Chatstore, secondary_only: str) -> None:
    soon = secondary_only.replace("=20000", "=300")
    assert chatstore("sessions", "list", env={"CHATSTORE_URI": soon}).code == 5


def test_the_library_stores_although_the_uri_prefers_a_secondary(secondary_only: str, database: Documents) -> None:
    message = Message("s1", "user", "hello", message_id="m1", created_at=NOON)
    with MongoChatStorage(secondary_only, database.name) as storage:
        storage.ensure_indexes()
        assert storage.insert_messages([message]).stored == 1
        assert storage.insert_messages([message]).already_stored == 1
    with AG2PersistenceManager(secondary_only, database.name, segment_messages=2) as manager:
        manager.ensure_indexes()
        for number in range(6):
            manager.save_event(text(f"message {number}"), chat_id="c", enterprise_id="acme")
    assert database.chat_session_segments.count_documents({}) > 0


def test_a_journal_is_removed_only_on_what_a_majority_of_the_servers_has(
    chatstore: Chatstore, database: Documents
) -> None:
    lines = [record(0), record(1, message_id="m1")]
    journal = write_journal(chatstore.folder / "j" / "s1.jsonl", lines)
    os.utime(journal, (NOON.timestamp(), NOON.timestamp()))
    assert chatstore("flush-cache", "j").code == 0
    database.command("profile", 2)
    try:
        pruned = chatstore("cache", "prune", "j", "--older-than", "2026-03-04", "--yes", "-o", "json")
    finally:
        database.command("profile", 0)
    assert [item["action"] for item in json.loads(pruned.out)["items"]] == ["pruned"]
    reads = [
        row for row in database["system.profile"].find({"appName": "chatstore"}) if _reads_documents(row["command"])
    ]
    assert {row["ns"].partition(".")[2] for row in reads} == {"chat_messages", "chatstore_tombstones"}
    assert {row["command"].get("readConcern", {}).get("level") for row in reads} == {"majority"}


def _reads_documents(command: dict[str, Any]) -> bool:
    return bool({"find", "aggregate", "distinct", "count"} & command.keys())
