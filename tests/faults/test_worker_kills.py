"""The worker is killed at any instant, asked to stop at bad moments, and loses its server: nothing is lost."""

from __future__ import annotations

import json
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from chatstore_cli import ChatPersistenceWorker, LocalChatCache, MongoChatStorage
from tests.conftest import Chatstore
from tests.faults.test_kills import SEED, GrowingJournals
from tests.support.held_command import BATCH_MESSAGES, start_held
from tests.support.journals import COLLECTION, as_lines, record, stored, wanted_of, write_journal
from tests.support.mongod import Mongod, poll
from tests.support.worker_processes import Worker, running_worker, wait_until_stored

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]]
ROUNDS = [
    pytest.param(8, id="8", marks=pytest.mark.timeout(1_200)),
    pytest.param(200, id="200", marks=[pytest.mark.soak, pytest.mark.timeout(7200)]),
]


class WrittenInPieces(GrowingJournals):
    """Journals whose lines come in pieces that end anywhere, as a reader of a growing file sees them."""

    def append(self, journal: Path, content: bytes) -> None:
        at = 0
        with journal.open("ab", buffering=0) as stream:
            while at < len(content):
                end = at + self._chance.randint(1, 6_000)
                stream.write(content[at:end])
                at = end
                time.sleep(0.001)

    def all_are_there(self) -> bool:
        """Whether as many messages are stored as there should be."""
        return self._messages.count_documents({}) == sum(self.wanted.values())


@contextmanager
def growing(journals: GrowingJournals, lines: int) -> Iterator[None]:
    """Inside the block the journals grow, by that many lines each time."""
    ended = threading.Event()

    def grow() -> None:
        while not ended.is_set():
            journals.grow(lines)
            ended.wait(0.03)

    thread = threading.Thread(target=grow)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize("rounds", ROUNDS)
def test_killed_at_any_instant_while_journals_grow(
    chatstore: Chatstore, database: Documents, tmp_path: Path, rounds: int
):
    chance = random.Random(SEED)
    journals = WrittenInPieces(tmp_path / "journals", database, chance)
    for number in range(rounds):
        if number % 20 == 19:  # journals that only grow would make later rounds slow for no gain
            journals.assert_all_there_once()
            shutil.rmtree(journals.folder)
            database[COLLECTION].delete_many({})
            journals = WrittenInPieces(tmp_path / "journals", database, chance)
        with running_worker(chatstore, journals.folder) as worker, growing(journals, 15):
            worker.wait_until_it_said("Flushed" if number % 2 else "Following")
            time.sleep(chance.uniform(0, 0.2))  # the instant is what is tried here: nothing is waited for
            worker.kill()
        if chance.random() < 0.2:
            journals.forget()
        if number % 4 in {2, 3}:
            outcome = chatstore("worker", journals.folder, "--once", "-o", "json")
            assert outcome.code in {0, 7}, outcome.err
            assert journals.all_are_there(), f"round {number}, seed {SEED}"
    journals.assert_all_there_once()


def test_two_workers_that_start_at_once_do_not_follow_the_same_folder(
    chatstore: Chatstore, database: Documents, tmp_path: Path
):
    journals = WrittenInPieces(tmp_path / "journals", database, random.Random(SEED))
    with (
        running_worker(chatstore, journals.folder) as one,
        running_worker(chatstore, journals.folder) as other,
        growing(journals, 20),
    ):
        ended = poll(lambda: [worker for worker in (one, other) if worker.process.poll() is not None], what="an end")
        [refused] = ended
        assert refused.process.returncode == 8
        follows = other if refused is one else one
        assert f"in use by chatstore worker (process {follows.process.pid} on " in refused.err
        follows.wait_until_it_follows()
        follows.kill()
        with running_worker(chatstore, journals.folder) as third:
            third.wait_until_it_said("Flushed")
            assert third.end() == 0
    assert chatstore("worker", journals.folder, "--once").code in {0, 7}
    journals.assert_all_there_once()


# --- asked to end ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_while_storing_ends_after_a_batch_and_the_next_worker_continues(
    chatstore: Chatstore, database: Documents, tmp_path: Path, how: signal.Signals
):
    lines = [record(number) for number in range(40 * BATCH_MESSAGES)]
    folder = write_journal(tmp_path / "journals" / "s1.jsonl", lines).parent
    process = start_held(chatstore, tmp_path / "reached", "until-stopped", 3, "worker", folder, "-o", "json")
    process.send_signal(how)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err.decode()
    result = json.loads(out)
    stored_count = database[COLLECTION].count_documents({})
    assert 0 < stored_count < len(lines)
    assert (result["lines"], result["stored"], result["already_stored"]) == (stored_count, stored_count, 0)
    assert not (folder / ".chatstore" / "lock.holder").exists()
    outcome = chatstore("worker", folder, "--once", "-o", "json")
    assert json.loads(outcome.out)["lines"] == len(lines) - stored_count, "the ledger did not know what was stored"
    assert stored(database) == wanted_of(lines)


def test_a_stop_while_idle_does_not_wait_for_the_next_round(chatstore: Chatstore, database: Documents, tmp_path: Path):
    folder = write_journal(tmp_path / "journals" / "s1.jsonl", [record(0)]).parent
    with running_worker(chatstore, folder, interval=3_600) as worker:
        wait_until_stored(database, wanted_of([record(0)]))
        assert worker.end() == 0


@pytest.fixture
def own_server(short_folder: Path, start_mongod: Callable[..., Mongod]) -> Mongod:
    """A server that the test may stop."""
    return start_mongod(short_folder / "m")


@contextmanager
def worker_on(
    chatstore: Chatstore, server: Mongod, folder: Path, *arguments: str, timeout_seconds: str = "10"
) -> Iterator[Worker]:
    target = ("--uri", server.uri, "--database", "chats")
    env = {"CHATSTORE_MONGO__TIMEOUT_SECONDS": timeout_seconds}
    with running_worker(chatstore, folder, *target, *arguments, env=env) as worker:
        yield worker


@pytest.mark.parametrize("away", ["stopped", "stopped for a while", "hanging"])
def test_a_stop_during_an_outage_does_not_wait_for_the_database(
    chatstore: Chatstore, own_server: Mongod, tmp_path: Path, away: str
):
    """The driver itself would wait for ten minutes if the server hangs."""
    journal = write_journal(tmp_path / "journals" / "s1.jsonl", [record(0)])
    database = own_server.client()["chats"]
    timeout = "2" if away == "stopped for a while" else "600"
    with worker_on(chatstore, own_server, journal.parent, timeout_seconds=timeout) as worker:
        wait_until_stored(database, wanted_of([record(0)]))
        if away == "hanging":
            own_server.pause()
        else:
            own_server.kill()
        with journal.open("ab") as stream:
            stream.write(as_lines([record(1)]))
        if away == "stopped for a while":
            worker.wait_until_it_said("cannot reach MongoDB")
        else:
            time.sleep(0.3)  # most likely it is in the middle of asking then
        assert worker.end() == 0, worker.err
    if away == "hanging":
        own_server.resume()
    else:
        own_server.start()
    outcome = chatstore("worker", journal.parent, "--once", "--uri", own_server.uri, "--database", "chats")
    assert outcome.code == 0, outcome.err
    assert stored(own_server.client()["chats"]) == wanted_of([record(0), record(1)])


# --- the server ------------------------------------------------------------------------------------------------------


def test_an_outage_loses_and_doubles_nothing(chatstore: Chatstore, own_server: Mongod, tmp_path: Path):
    database = own_server.client(serverSelectionTimeoutMS=30_000)["chats"]
    journals = WrittenInPieces(tmp_path / "journals", database, random.Random(SEED))
    journals.grow(200)
    with worker_on(chatstore, own_server, journals.folder, timeout_seconds="0.5") as worker:
        for how in (own_server.kill, own_server.terminate):
            poll(journals.all_are_there, what="all messages")
            journals.grow(200)
            outages = worker.err.count("Retrying in")
            how()
            poll(lambda outages=outages: worker.err.count("Retrying in") > outages, what="the outage told")
            own_server.start()
            poll(journals.all_are_there, what="all messages, after it came back")
            assert worker.process.poll() is None
        with growing(journals, 30):
            own_server.pause()
            time.sleep(1.0)  # longer than the driver waits for a connection here
            own_server.resume()
        poll(journals.all_are_there, what="all messages, after it hung")
        worker.wait_until_it_said("[CHAT WORKER] The database is reachable again after ")
        assert worker.end() == 0
    journals.assert_all_there_once()


def test_a_worker_that_starts_before_its_server_waits_for_it(chatstore: Chatstore, own_server: Mongod, tmp_path: Path):
    folder = write_journal(tmp_path / "journals" / "s1.jsonl", [record(0)]).parent
    own_server.terminate()
    with worker_on(chatstore, own_server, folder, timeout_seconds="0.3") as worker:
        worker.wait_until_it_said("cannot reach MongoDB")
        own_server.start()
        wait_until_stored(own_server.client()["chats"], wanted_of([record(0)]))
        assert worker.end() == 0


def test_a_collection_that_is_dropped_is_filled_again(chatstore: Chatstore, database: Documents, tmp_path: Path):
    journals = WrittenInPieces(tmp_path / "journals", database, random.Random(SEED))
    journals.grow(100)
    with running_worker(chatstore, journals.folder) as worker:
        poll(journals.all_are_there)
        database[COLLECTION].drop()  # while nothing is to be done
        poll(journals.all_are_there, what="everything again")
        indexes = list(database[COLLECTION].index_information())
        assert indexes == ["_id_", "session_ts_idx", "expires_at_idx", "recent_idx"]
        for _ in range(3):  # in the middle of storing
            journals.grow(100)
            database[COLLECTION].drop()
        poll(journals.all_are_there, what="everything again")
        database.client.drop_database(database.name)
        poll(journals.all_are_there, what="everything once more")
        assert worker.end() == 0
    journals.assert_all_there_once()


# --- beside others ---------------------------------------------------------------------------------------------------


def test_beside_an_applications_own_worker_each_message_is_stored_once(
    chatstore: Chatstore, database: Documents, mongo_uri: str, tmp_path: Path
):
    """The application stores what it records; a second worker follows the same journals, and is killed now and then."""
    cache = LocalChatCache(disk_path=str(tmp_path / "journals"))
    storage = MongoChatStorage(mongo_uri, database.name)
    own = ChatPersistenceWorker(cache, storage, batch_size=20, interval=0.02)
    own.start()
    chance = random.Random(SEED)
    recorded = 0
    for _ in range(3):
        with running_worker(chatstore, tmp_path / "journals") as worker:
            worker.wait_until_it_follows()
            for _ in range(100):
                recorded += 1
                cache.record_chat_event(f"s{chance.randrange(5)}", "user", f"message {recorded}")
                time.sleep(chance.uniform(0, 0.004))
            if chance.random() < 0.5:
                worker.kill()
            else:
                assert worker.end() == 0
    assert own.stop(60)
    cache.close()
    storage.close()
    outcome = chatstore("worker", tmp_path / "journals", "--once", "-o", "json")
    assert (outcome.code, json.loads(outcome.out)["stored"]) == (0, 0), outcome.err
    texts = [row["text"] for row in database[COLLECTION].find()]
    assert len(texts) == recorded
    assert set(texts) == {f"message {number}" for number in range(1, recorded + 1)}
