"""kill -9 at any instant, of the command and of the server: in the end the collection equals the journals."""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from chatstore_cli.files import journal_reader
from chatstore_cli.mongo.connection import Connection
from tests.conftest import Chatstore
from tests.support.held_command import start_held
from tests.support.journals import COLLECTION, Key, as_line, flush, key_of_record, quarantined, record, stored
from tests.support.mongod import Mongod, poll

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]]
SEED = int(os.environ.get("CHATSTORE_TEST_SEED", "20260302"))
ROUNDS = [
    pytest.param(8, id="8", marks=pytest.mark.timeout(1_200)),
    pytest.param(200, id="200", marks=[pytest.mark.soak, pytest.mark.timeout(7200)]),
]
STEPS_OF_EVERY_RUN = 24
"""A run that has 1,200 new lines has at least so many steps at which it can be held."""

SERVER_ROUNDS = [
    pytest.param(2, id="2", marks=pytest.mark.timeout(1_200)),
    pytest.param(40, id="40", marks=[pytest.mark.soak, pytest.mark.timeout(7200)]),
]


class GrowingJournals:
    """Three journals that grow, and what must be stored of them: equal lines, message_ids, bad lines, others' rows."""

    def __init__(self, folder: Path, database: Documents, chance: random.Random) -> None:
        self.folder = folder
        self.wanted: Counter[Key] = Counter()
        self.bad = 0
        self._messages = database[COLLECTION]
        self._chance = chance
        self._number = 0
        folder.mkdir()

    def grow(self, lines: int) -> None:
        """Append to each journal; some of the new messages the application has stored already by itself."""
        foreign = []
        contents: dict[str, bytes] = {}
        for name in ("a", "b", "c"):
            content = b""
            for _ in range(lines):
                self._number += 1
                fields = record(self._number, session=f"{name}-{self._number % 7}")
                if name == "c":
                    fields["message_id"] = f"m{self._number}"
                times = 2 if self._chance.random() < 0.01 else 1
                content += as_line(fields) * times
                self.wanted[key_of_record(fields)] += 1 if "message_id" in fields else times
                if self._chance.random() < 0.003:
                    foreign.append({**fields, "_id": ObjectId()})
                if self._chance.random() < 0.003:
                    content += b'{"torn": ' + str(self._number).encode() + b"\n"
                    self.bad += 1
            contents[name] = content
        if foreign:
            self._messages.insert_many(foreign)
        for name, content in contents.items():
            self.append(self.folder / f"{name}.jsonl", content)

    def append(self, journal: Path, content: bytes) -> None:
        """Write to the end of a journal."""
        with journal.open("ab") as stream:
            stream.write(content)

    def assert_all_there_once(self) -> None:
        """Every message stored, every bad line in quarantine, none of them twice."""
        assert stored(self._messages.database) == self.wanted
        kept = quarantined(self.folder)
        assert len(kept) == len({line.raw for line in kept}) == self.bad

    def forget(self) -> None:
        """Lose everything that is remembered about them but the quarantine."""
        for file in (self.folder / ".chatstore").glob("ledger*"):
            file.unlink()


@pytest.mark.parametrize("rounds", ROUNDS)
def test_killed_at_any_instant_and_run_again_nothing_is_lost_or_doubled(
    chatstore: Chatstore, database: Documents, tmp_path: Path, rounds: int
):
    """Each run is held at one of its steps, while its other threads go on, and killed there."""
    chance = random.Random(SEED)
    journals = GrowingJournals(tmp_path / "journals", database, chance)
    for number in range(rounds):
        if number % 6 == 5:  # journals that only grow would make later rounds slow for no gain
            journals.assert_all_there_once()
            shutil.rmtree(journals.folder)
            database[COLLECTION].delete_many({})
            journals = GrowingJournals(tmp_path / "journals", database, chance)
        journals.grow(400)
        for attempt in range(chance.choice([1, 1, 2])):
            step = chance.randint(1, STEPS_OF_EVERY_RUN)
            process = start_held(chatstore, tmp_path / "reached", "forever", step, "flush-cache", journals.folder)
            if chance.random() < 0.5:
                time.sleep(chance.uniform(0, 0.05))  # another instant of the threads that are not held
            process.kill()
            _, err = process.communicate()
            # A second run may have less to do, and end before its step.
            assert process.returncode == -9 or attempt > 0, err.decode()
            if chance.random() < 0.3:
                journals.forget()
        outcome = chatstore("flush-cache", journals.folder, "-o", "json")
        assert outcome.code in {0, 7}, outcome.err
        assert json.loads(outcome.out)["pending"] == 0
        assert database[COLLECTION].count_documents({}) == sum(journals.wanted.values()), f"round {number}, seed {SEED}"
    journals.assert_all_there_once()


@pytest.mark.parametrize("rounds", SERVER_ROUNDS)
def test_a_server_killed_at_any_instant_costs_nothing_but_time(
    chatstore: Chatstore,
    start_mongod: Callable[..., Mongod],
    short_folder: Path,
    tmp_path: Path,
    rounds: int,
):
    """One run of the command continues by itself after every crash and restart of the server."""
    chance = random.Random(SEED)
    server = start_mongod(short_folder / "m")
    client = server.client(serverSelectionTimeoutMS=30_000)
    database = client["chats"]
    journals = GrowingJournals(tmp_path / "journals", database, chance)
    for number in range(rounds):
        journals.grow(4_000)
        before = database[COLLECTION].estimated_document_count()
        process = chatstore.popen(
            "flush-cache", journals.folder, "--uri", server.uri, "--database", "chats", "-o", "json",
            env={"CHATSTORE_MONGO__TIMEOUT_SECONDS": "2"},
        )  # fmt: skip
        poll(
            lambda process=process, before=before: (
                database[COLLECTION].estimated_document_count() > before + 10 or process.poll() is not None
            ),
            every=0.002,
        )
        time.sleep(chance.uniform(0, 0.15))  # the instant is what is tried here: nothing is waited for
        server.kill()
        server.start()
        out, err = process.communicate(timeout=600)
        assert process.returncode in {0, 7}, err.decode()
        assert json.loads(out)["pending"] == 0
        assert database[COLLECTION].count_documents({}) == sum(journals.wanted.values()), f"round {number}, seed {SEED}"
    journals.assert_all_there_once()


def test_a_server_that_stays_away_ends_it_with_5_and_the_next_run_goes_on(
    chatstore: Chatstore, start_mongod: Callable[..., Mongod], short_folder: Path, tmp_path: Path
):
    server = start_mongod(short_folder / "m")
    database = server.client(serverSelectionTimeoutMS=30_000)["chats"]
    journals = GrowingJournals(tmp_path / "journals", database, random.Random(SEED))
    journals.grow(6_000)
    flush = ("flush-cache", journals.folder, "--uri", server.uri, "--database", "chats", "-o", "json")
    holding = {"failCommands": ["insert"], "namespace": f"chats.{COLLECTION}", "blockConnection": True}
    database.client.admin.command(
        "configureFailPoint", "failCommand", mode={"skip": 1}, data=holding | {"blockTimeMS": 600_000}
    )
    process = chatstore.popen(*flush, "--timeout", "3", env={"CHATSTORE_MONGO__TIMEOUT_SECONDS": "1"})
    poll(lambda: database[COLLECTION].find_one({"sequence": {"$exists": True}}), what="the first batch")
    server.kill()  # the fail point ends with it
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (5, b""), err
    error = json.loads(err.splitlines()[-1])["error"]
    assert error["kind"] in {"unreachable", "too_slow"}
    assert " messages stored of " in error["hint"]
    assert "Run the same command again to continue: nothing is stored twice." in error["hint"]
    assert b"Traceback" not in err
    outcome = chatstore(*flush, env={"CHATSTORE_MONGO__TIMEOUT_SECONDS": "0.5"})
    assert outcome.code == 5
    server.start()
    outcome = chatstore(*flush)
    assert outcome.code in {0, 7}, outcome.err
    assert stored(database) == journals.wanted


def test_a_journal_that_grows_while_it_is_flushed_is_complete_in_the_end(
    connection: Connection, database: Documents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A piece is written whenever a block was read. Pieces end anywhere, also inside a character."""
    monkeypatch.setattr(journal_reader, "BLOCK", 4_096)
    chance = random.Random(SEED)
    lines = [record(number, text=f"é☕𝄞 {number}") for number in range(2_000)]
    content = b"".join(map(as_line, lines))
    journal = tmp_path / "journals" / "s.jsonl"
    journal.parent.mkdir()
    written = 0

    def write_piece() -> None:
        nonlocal written
        end = written + chance.randint(1, 8_000)
        with journal.open("ab") as stream:
            stream.write(content[written:end])
        written = min(end, len(content))

    grown_during_flushes = 0
    while written < len(content):
        pieces = iter(range(chance.randint(1, 6)))
        write_piece()
        before = written
        flush(
            connection, journal.parent, on_progress=lambda _, pieces=pieces: [write_piece() for _ in islice(pieces, 1)]
        )
        grown_during_flushes += written > before
    result = flush(connection, journal.parent)
    assert result.pending == 0
    assert grown_during_flushes > 5
    assert stored(database) == Counter(map(key_of_record, lines))
    sequences = [row["sequence"] for row in database[COLLECTION].find({}, {"sequence": 1}).sort("created_at")]
    assert sequences == list(range(1, len(lines) + 1))
