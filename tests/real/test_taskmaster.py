"""Real conversations through the real process, counted without our own code."""

from __future__ import annotations

import json
import random
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from tests.conftest import Chatstore
from tests.support.journals import Key, forget, stored
from tests.support.paths import SHARED_DATA

pytestmark = pytest.mark.real
CONVERSATIONS = SHARED_DATA / "taskmaster4"


@pytest.fixture
def journals(tmp_path: Path) -> Path:
    """A copy of the journals, beside which chatstore may write its ledger."""
    if not CONVERSATIONS.is_dir():
        pytest.skip(f"the Taskmaster-4 conversations are not beside this project ({CONVERSATIONS.parent})")
    folder = tmp_path / "taskmaster4"
    folder.mkdir()
    for file in CONVERSATIONS.glob("*.jsonl"):
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def use_plain_readers(folder: Path) -> Counter[Key]:
    return Counter(
        (line["session_id"], line["role"], line["text"], line["created_at"])
        for file in folder.glob("*.jsonl")
        for line in map(json.loads, file.read_text(encoding="utf-8").splitlines())
    )


def flush(chatstore: Chatstore, *arguments: str | Path, code: int = 0) -> dict[str, Any]:
    outcome = chatstore("flush-cache", *arguments, "-o", "json")
    assert outcome.code == code, outcome.err
    row: dict[str, Any] = json.loads(outcome.out)
    return row


def counts(row: dict[str, Any]) -> tuple[int, int, int, int, int]:
    return row["files"], row["lines"], row["stored"], row["already_stored"], row["quarantined"] + row["pending"]


def test_all_conversations_once_and_only_once(chatstore: Chatstore, database: Database[dict[str, Any]], journals: Path):
    expected = use_plain_readers(journals)
    assert (sum(expected.values()), len({key[0] for key in expected})) == (786, 210)

    assert counts(flush(chatstore, journals)) == (210, 786, 786, 0, 0)
    assert stored(database) == expected
    assert counts(flush(chatstore, journals)) == (210, 0, 0, 0, 0)
    forget(journals)
    assert counts(flush(chatstore, journals)) == (210, 786, 0, 786, 0)
    assert stored(database) == expected

    messages = database["chat_messages"]
    ids = sorted(row["_id"] for row in messages.find({}, {"_id": 1}))
    missing = random.Random(4).sample(ids, len(ids) // 2)
    messages.delete_many({"_id": {"$in": missing}})
    assert counts(flush(chatstore, journals)) == (210, 0, 0, 0, 0)
    assert counts(flush(chatstore, journals, "--ignore-ledger")) == (210, 786, 393, 393, 0)
    assert stored(database) == expected
    assert sorted(row["_id"] for row in messages.find({}, {"_id": 1})) == ids


def test_the_applications_own_rows_and_deleted_sessions(
    chatstore: Chatstore, database: Database[dict[str, Any]], journals: Path
):
    """The application stored a third itself, under ObjectIds, and one session was deleted on purpose."""
    expected = use_plain_readers(journals)
    lines = [json.loads(line) for file in sorted(journals.glob("*.jsonl")) for line in file.read_text().splitlines()]
    deleted = lines[0]["session_id"]
    database["chat_messages"].insert_many([line for line in lines[10:] if random.Random(line["text"]).random() < 1 / 3])
    own = database["chat_messages"].count_documents({})
    tombstone = {"_id": {"layout": "messages", "session_id": deleted}, "deleted_at": datetime.now(UTC)}
    database["chatstore_tombstones"].insert_one(tombstone)
    of_deleted = sum(count for key, count in expected.items() if key[0] == deleted)

    row = flush(chatstore, journals)
    assert (row["stored"], row["skipped"]) == (786 - own - of_deleted, of_deleted)
    assert stored(database) == Counter({key: count for key, count in expected.items() if key[0] != deleted})
    row = flush(chatstore, journals, "--ignore-ledger")
    assert (row["stored"], row["skipped"]) == (0, of_deleted)
