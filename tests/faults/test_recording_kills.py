"""kill -9 of a recording process at random instants: acknowledged messages are in the journal, and stored once."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from chatstore_cli import LocalChatCache, MongoChatStorage
from tests.support.journals import COLLECTION, quarantined
from tests.support.mongod import Mongod, poll
from tests.support.recording_processes import kill, record_and_store_for_ever, record_for_ever, recorded_ids, start

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]]
SEED = int(os.environ.get("CHATSTORE_TEST_SEED", "20260302"))
ROUNDS = 10
"""In one folder: journals that only grow would make later rounds slow for no gain."""
FOLDERS = [
    pytest.param(1, id="10"),
    pytest.param(20, id="200", marks=[pytest.mark.soak, pytest.mark.timeout(3600)]),
]


def stored_ids(database: Documents) -> Counter[str]:
    return Counter(row["message_id"] for row in database[COLLECTION].find({}, {"message_id": 1}))


@pytest.mark.parametrize("folders", FOLDERS)
def test_what_was_acknowledged_before_a_kill_is_in_the_journal_and_stored_once(
    mongod: Mongod, database: Documents, tmp_path: Path, folders: int
) -> None:
    """Two processes record into the same sessions at once; one is killed, then the other."""
    chance = random.Random(SEED)
    storage = MongoChatStorage(mongod.uri, database.name)
    for number in range(folders):
        kill_recorders(tmp_path / f"journals{number}", storage, database, chance)
        database[COLLECTION].delete_many({})
    storage.close()


def kill_recorders(folder: Path, storage: MongoChatStorage, database: Documents, chance: random.Random) -> None:
    acknowledged: list[str] = []
    lines: Counter[str] = Counter()
    torn = 0
    for number in range(ROUNDS):
        running = [start(record_for_ever, str(folder), chance.random()) for _ in range(2)]
        for process, acknowledgements in running:
            assert acknowledgements.poll(60), "it does not record"
            time.sleep(chance.uniform(0, 0.02))  # the kill comes at a random instant
            acknowledged += kill(process, acknowledgements)
        lines = recorded_ids(folder)
        assert max(lines.values()) == 1
        assert set(acknowledged) <= set(lines), f"round {number} in {folder}, seed {SEED}"
        torn += sum(not path.read_bytes().endswith(b"\n") for path in folder.glob("*.jsonl"))
        if number % 5 == 4:
            # The next recorder closes off the torn tails, and all that is whole is stored.
            cache = LocalChatCache(disk_path=folder)
            acknowledged += [str(cache.record_chat_event(f"s{one}", "user", "after").message_id) for one in range(3)]
            cache.close()
            result = storage.flush_journals(folder)
            lines = recorded_ids(folder)
            assert result.pending == 0
            assert stored_ids(database) == lines
            again = storage.flush_journals(folder)
            assert (again.stored, again.quarantined) == (0, 0)
    kept = quarantined(folder)
    assert len({line.raw for line in kept}) == len(kept)
    print(
        f"{len(acknowledged)} acknowledged, {sum(lines.values())} whole lines, {torn} torn tails, {len(kept)} torn lines"
    )


@pytest.mark.parametrize("folders", FOLDERS)
def test_a_process_that_is_killed_while_its_worker_stores_loses_and_doubles_nothing(
    mongod: Mongod, database: Documents, tmp_path: Path, folders: int
) -> None:
    """Each process first stores what the previous one left, then continues in the same journals."""
    chance = random.Random(SEED)
    storage = MongoChatStorage(mongod.uri, database.name)
    for number in range(folders):
        kill_workers(tmp_path / f"journals{number}", storage, database, chance)
        database[COLLECTION].delete_many({})
    storage.close()


def kill_workers(folder: Path, storage: MongoChatStorage, database: Documents, chance: random.Random) -> None:
    uri = storage.settings.mongo.uri
    messages = database[COLLECTION]
    acknowledged: list[str] = []
    for number in range(ROUNDS):
        process, acknowledgements = start(record_and_store_for_ever, str(folder), chance.random(), uri, database.name)
        assert acknowledgements.poll(60), "it does not record"
        if number % 2:
            stored = messages.count_documents({})
            poll(lambda before=stored: messages.count_documents({}) > before, what="a worker that stores")
        time.sleep(chance.uniform(0, 0.05))  # the kill comes at a random instant
        acknowledged += kill(process, acknowledgements)
        lines = recorded_ids(folder)
        assert set(acknowledged) <= set(lines), f"round {number} in {folder}, seed {SEED}"
        assert stored_ids(database) <= lines, "nothing is stored twice, nor before it was recorded"
    result = storage.flush_journals(folder)
    lines = recorded_ids(folder)
    assert result.pending == sum(not path.read_bytes().endswith(b"\n") for path in folder.glob("*.jsonl"))
    assert stored_ids(database) == lines


def test_flush_reports_a_line_that_a_kill_cut_off_and_no_other(
    mongod: Mongod, database: Documents, tmp_path: Path
) -> None:
    """A journal with an incomplete last line; the kills above may leave none."""
    folder = tmp_path / "journals"
    cache = LocalChatCache(disk_path=folder)
    cache.record_chat_event("s1", "user", "before")
    cache.close()
    with (folder / "s1.jsonl").open("ab") as journal:
        journal.write(b'{"session_id":"s1","role":"user","text":"half of a mess')
    storage = MongoChatStorage(mongod.uri, database.name)
    assert storage.flush_journals(folder).pending == 1
    message = LocalChatCache(disk_path=folder).record_chat_event("s1", "user", "after")
    result = storage.flush_journals(folder)
    assert (result.stored, result.quarantined, result.pending) == (1, 1, 0)
    assert message.sequence == 3
    assert [row["text"] for row in database[COLLECTION].find().sort("sequence")] == ["before", "after"]
    assert [line.raw for line in quarantined(folder)] == [b'{"session_id":"s1","role":"user","text":"half of a mess']
    storage.close()
