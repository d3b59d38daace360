"""kill -9 at random instants, of our own process and of the server: in the end the collection equals the journals."""

from __future__ import annotations

import json
import os
import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from tests.conftest import Chatstore
from tests.support.journals import COLLECTION, Key, as_line, key_of_record, quarantined, record, stored
from tests.support.mongod import Mongod, poll

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]]
SEED = int(os.environ.get("CHATSTORE_TEST_SEED", "20260302"))
ROUNDS = [
    pytest.param(15, id="15"),
    pytest.param(200, id="200", marks=[pytest.mark.soak, pytest.mark.timeout(7200)]),
]
SERVER_ROUNDS = [
    pytest.param(3, id="3"),
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
    chance = random.Random(SEED)
    journals = GrowingJournals(tmp_path / "journals", database, chance)
    killed = 0
    for number in range(rounds):
        if number % 8 == 7:  # journals that only grow would make later rounds slow for no gain
            journals.assert_all_there_once()
            shutil.rmtree(journals.folder)
            database[COLLECTION].delete_many({})
            journals = GrowingJournals(tmp_path / "journals", database, chance)
        journals.grow(1_500)
        for _ in range(chance.choice([1, 1, 2])):
            process = chatstore.popen("flush-cache", journals.folder, "--quiet")
            holder = journals.folder / ".chatstore" / "lock.holder"
            poll(lambda process=process, holder=holder: holder.exists() or process.poll() is not None, every=0.002)
            time.sleep(chance.uniform(0, 0.4))  # the instant is what is tried here: nothing is waited for
            process.kill()
            process.communicate()
            killed += process.returncode == -9
            if chance.random() < 0.3:
                journals.forget()
        outcome = chatstore("flush-cache", journals.folder, "-o", "json")
        assert outcome.code in {0, 7}, outcome.err
        assert json.loads(outcome.out)["pending"] == 0
        assert database[COLLECTION].count_documents({}) == sum(journals.wanted.values()), f"round {number}, seed {SEED}"
    journals.assert_all_there_once()
    assert killed >= rounds // 2, "most ended before they were killed: nothing was proven"


@pytest.mark.parametrize("rounds", SERVER_ROUNDS)
def test_a_server_killed_at_any_instant_costs_nothing_but_time(
    chatstore: Chatstore,
    start_mongod: Callable[..., Mongod],
    short_folder: Path,
    tmp_path: Path,
    rounds: int,
):
    """One run of the command goes on by itself, over every crash and restart of the server."""
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
        out, err = process.communicate(timeout=90)
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
    process = chatstore.popen(*flush, "--timeout", "1", env={"CHATSTORE_MONGO__TIMEOUT_SECONDS": "0.5"})
    poll(lambda: database[COLLECTION].find_one({"sequence": 1}), what="a first message", every=0.002)
    server.kill()
    out, err = process.communicate(timeout=60)
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
    chatstore: Chatstore, database: Documents, tmp_path: Path
):
    """The writer's pieces end anywhere, also inside a character; flushes come one after the other."""
    chance = random.Random(SEED)
    lines = [record(number, text=f"é☕𝄞 {number}") for number in range(12_000)]
    content = b"".join(map(as_line, lines))
    journal = tmp_path / "journals" / "s.jsonl"
    journal.parent.mkdir()
    journal.touch()

    def write() -> None:
        at = 0
        with journal.open("ab", buffering=0) as stream:
            while at < len(content):
                end = at + chance.randint(1, 8_000)
                stream.write(content[at:end])
                at = end
                time.sleep(0.002)

    writer = threading.Thread(target=write)
    writer.start()
    flushes = 0
    while writer.is_alive():
        assert chatstore("flush-cache", journal.parent).code == 0
        flushes += 1
    outcome = chatstore("flush-cache", journal.parent, "-o", "json")
    assert (outcome.code, json.loads(outcome.out)["pending"]) == (0, 0)
    assert flushes >= 2
    assert stored(database) == Counter(map(key_of_record, lines))
    sequences = [row["sequence"] for row in database[COLLECTION].find({}, {"sequence": 1}).sort("created_at")]
    assert sequences == list(range(1, len(lines) + 1))
