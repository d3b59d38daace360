"""The library from end to end on a real MongoDB: what an application recorded is stored, each message once, in order."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from chatstore_cli import ChatPersistenceWorker, ChatstoreError, LocalChatCache, Message, MongoChatStorage
from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.errors import BadValue, Locked, Unreachable
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.messages.inserting import MessageInserter
from chatstore_cli.mongo.messages.layout import MessagesLayout
from chatstore_cli.wiring.journals import named_journals
from tests.support.journals import COLLECTION, START, flush, quarantined, record, store_of
from tests.support.mongod import Mongod, poll
from tests.support.paths import ROOT
from tests.support.recording_processes import recorded_ids
from tests.support.started_together import run_together

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]]
LIMIT = 16 * 1024 * 1024


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journals"


@pytest.fixture
def storage(mongod: Mongod, database: Documents) -> Iterator[MongoChatStorage]:
    made = MongoChatStorage(mongod.uri, database.name)
    yield made
    made.close()


@pytest.fixture
def worker_of(storage: MongoChatStorage) -> Iterator[Callable[..., ChatPersistenceWorker]]:
    made: list[ChatPersistenceWorker] = []

    def make(cache: LocalChatCache, **settings: Any) -> ChatPersistenceWorker:
        made.append(ChatPersistenceWorker(cache, storage, **{"interval": 0.02, **settings}))
        return made[-1]

    yield make
    for worker in made:
        worker.stop(0)


def rows_of(database: Documents, session: str = "s1") -> list[dict[str, Any]]:
    return list(database[COLLECTION].find({"session_id": session}).sort([("created_at", 1), ("sequence", 1)]))


def stored_ids(database: Documents) -> Counter[str]:
    return Counter(row["message_id"] for row in database[COLLECTION].find({}, {"message_id": 1}))


# --- what is stored --------------------------------------------------------------------------------------------------


def test_a_message_is_stored_as_flush_cache_stores_it(
    folder: Path,
    connection: Connection,
    database: Documents,
    storage: MongoChatStorage,
    worker_of: Callable[..., ChatPersistenceWorker],
) -> None:
    cache = LocalChatCache(disk_path=folder, max_pending_messages=3)
    for number in range(10):
        cache.record_chat_event(
            "s1", "user" if number % 2 else "assistant", f"é☕ {number}", {"n": [number, None, 0.5]}
        )
    worker = worker_of(cache)
    worker.start()
    assert worker.stop(60)
    flush(connection, folder, store=store_of(connection, collection="by_flush"))
    by_flush = list(database["by_flush"].find({}, {"expires_at": 0}).sort("sequence"))
    assert list(database[COLLECTION].find({}, {"expires_at": 0}).sort("sequence")) == by_flush
    assert len(by_flush) == 10
    assert [message.content for message in storage.history("s1")] == [f"é☕ {number}" for number in range(10)]


def test_worker_and_flush_know_what_the_other_one_stored(
    folder: Path, database: Documents, storage: MongoChatStorage, worker_of: Callable[..., ChatPersistenceWorker]
) -> None:
    cache = LocalChatCache(disk_path=folder, max_pending_messages=5)
    worker = worker_of(cache)
    for number in range(20):
        cache.record_chat_event("s1", "user", f"{number}")
    assert storage.flush_journals(folder).stored == 20
    worker.start()
    assert worker.stop(60)
    assert (worker.stats().flushed, worker.stats().skipped) == (0, 20)
    given = [cache.record_chat_event("s1", "user", f"again {number}") for number in range(10)]
    inserted = storage.insert_messages(given)
    assert (inserted.stored, inserted.already_stored) == (10, 0)
    worker.start()
    assert worker.stop(60)
    assert storage.insert_messages(given).already_stored == 10
    result = storage.flush_journals(folder)
    assert (result.stored, result.already_stored) == (0, 10)
    assert worker.stats().skipped == 30
    assert stored_ids(database) == recorded_ids(folder)
    assert [row["sequence"] for row in rows_of(database)] == list(range(1, 31))


HOSTILE = {
    "1 byte": "x",
    "NUL": "\0x\0",
    "RTL overrides": "\u202eevil\u2066\u2069",
    "4-byte characters": "𝄞" * 1_000,
    "control sequences": "\x1b[31m\x07\r\n\u2028",
    "looks like a line": record(0, text="x").__repr__() + '\n{"session_id": "s2"}\n',
    "an operator": '{"$where": "sleep(1000)"}',
    "15 MiB": "x" * (15 << 20),
    "15 MiB, escaped six times as long": "\x01" * (15 << 20),
    "as long as it may be": "é" * ((LIMIT - 3_000) // 2),
}


@pytest.mark.parametrize("spilled", [False, True], ids=["in memory", "left to the journal"])
def test_any_text_is_stored_as_it_is(
    folder: Path, database: Documents, worker_of: Callable[..., ChatPersistenceWorker], spilled: bool
) -> None:
    cache = LocalChatCache(disk_path=folder, **({"max_pending_messages": 1} if spilled else {}))
    cache.record_chat_event("s1", "user", "first", {"$set": {"a.b": 1}, "": "empty", "𝄞": "\0"})
    for text in HOSTILE.values():
        cache.record_chat_event("s1", "user", text)
    worker = worker_of(cache)
    worker.start()
    assert worker.stop(60)
    assert [row["text"] for row in rows_of(database)] == ["first", *HOSTILE.values()]
    assert rows_of(database)[0]["metadata"] == {"$set": {"a.b": 1}, "": "empty", "𝄞": "\0"}
    assert worker.stats().flushed == len(HOSTILE) + 1


SESSIONS = ["..", "/etc/passwd", "a/../../b", "\0", "A", "a", "%41", "x" * 900, "é☕𝄞", " ", "$where", "s.jsonl"]


def test_any_session_is_stored_under_its_own_id(
    folder: Path, database: Documents, storage: MongoChatStorage, worker_of: Callable[..., ChatPersistenceWorker]
) -> None:
    cache = LocalChatCache(disk_path=folder, max_pending_messages=5)
    for session in [*SESSIONS, None]:
        cache.record_chat_event(session, "user", f"of {session}")
    worker = worker_of(cache)
    worker.start()
    assert worker.stop(60)
    for session in SESSIONS:
        assert [message.content for message in storage.history(session)] == [f"of {session}"]
    assert [message.content for message in storage.history("default")] == ["of None"]
    assert storage.flush_journals(folder).stored == 0
    assert all(path.resolve().is_relative_to(folder.resolve()) for path in folder.rglob("*"))


def test_the_order_is_kept_while_the_clock_goes_back(
    folder: Path, storage: MongoChatStorage, worker_of: Callable[..., ChatPersistenceWorker]
) -> None:
    chance = random.Random(5)
    cache = LocalChatCache(
        disk_path=folder, max_pending_messages=5, clock=lambda: START + timedelta(seconds=chance.randrange(-50, 50))
    )
    for number in range(100):
        cache.record_chat_event("s1", "user", f"{number}")
        cache.record_chat_event("s2", "user", f"{number}", created_at=START)
    worker = worker_of(cache, batch_size=7)
    worker.start()
    assert worker.stop(60)
    for session in ("s1", "s2"):
        assert [message.content for message in storage.history(session, 500)] == [str(number) for number in range(100)]


def test_a_lone_message_is_stored_when_the_interval_is_over(
    folder: Path, database: Documents, worker_of: Callable[..., ChatPersistenceWorker]
) -> None:
    cache = LocalChatCache(disk_path=folder)
    worker_of(cache, interval=0.3).start()
    cache.record_chat_event("s1", "user", "the first prepares the collection")
    poll(lambda: len(rows_of(database)) == 1)
    cache.record_chat_event("s1", "user", "alone")
    poll(lambda: len(rows_of(database)) == 2)


@pytest.mark.parametrize("days", [0, 7])
def test_messages_expire_after_the_days_that_were_set_by_the_servers_clock(
    mongod: Mongod, folder: Path, database: Documents, days: int
) -> None:
    cache = LocalChatCache(disk_path=folder)
    before = datetime.now(UTC) - timedelta(seconds=2)
    with MongoChatStorage(mongod.uri, database.name, ttl_days=days) as kept:
        with ChatPersistenceWorker(cache, kept, clock=lambda: START):
            cache.record_chat_event("s1", "user", "x")
        [row] = rows_of(database)
    if days:
        assert before < row["expires_at"] - timedelta(days=days) < datetime.now(UTC) + timedelta(seconds=2)
    else:
        assert "expires_at" not in row


def test_a_session_that_is_deleted_between_the_look_at_it_and_the_storing_stays_deleted(
    folder: Path,
    connection: Connection,
    database: Documents,
    storage: MongoChatStorage,
    worker_of: Callable[..., ChatPersistenceWorker],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache = LocalChatCache(disk_path=folder)
    for number in range(10):
        cache.record_chat_event("kept", "user", f"{number}")
        cache.record_chat_event("deleted", "user", f"{number}")
    insert = MessageInserter._insert_command

    def deleted_meanwhile(inserter: MessageInserter, documents: Any) -> Any:
        monkeypatch.undo()
        MessagesLayout(connection, Settings()).remove("deleted", datetime.now(UTC))
        return insert(inserter, documents)

    monkeypatch.setattr(MessageInserter, "_insert_command", deleted_meanwhile)
    worker = worker_of(cache)
    worker.start()
    assert worker.stop(60)
    assert rows_of(database, "deleted") == []
    assert len(rows_of(database, "kept")) == 10
    assert (worker.stats().flushed, worker.stats().skipped) == (10, 10)
    result = storage.flush_journals(folder)
    assert (result.stored, result.skipped, result.already_stored) == (0, 10, 10)


def test_inserted_messages_of_a_deleted_session_are_skipped_if_they_are_earlier(
    connection: Connection, storage: MongoChatStorage, database: Documents
) -> None:
    MessagesLayout(connection, Settings()).remove("s1", START)
    times = [START - timedelta(hours=1), START, START + timedelta(milliseconds=1)]
    given = [Message("s1", "user", f"{number}", f"m{number}", created_at=time) for number, time in enumerate(times)]
    for stored, already_stored in ((1, 0), (0, 1)):
        inserted = storage.insert_messages(given)
        assert (inserted.stored, inserted.already_stored, inserted.skipped) == (stored, already_stored, 2)
    assert [row["text"] for row in rows_of(database, "s1")] == ["2"]
    known = storage.tombstone("s1")
    assert known is not None
    assert known.covers(START, "x")
    assert storage.tombstone("s2") is None


# --- poison ----------------------------------------------------------------------------------------------------------


def test_a_message_that_mongodb_refuses_goes_into_quarantine_and_the_others_are_stored(
    folder: Path, database: Documents, storage: MongoChatStorage, worker_of: Callable[..., ChatPersistenceWorker]
) -> None:
    """One is too large as BSON, of another the id is taken by other content."""
    cache = LocalChatCache(disk_path=folder)
    good = [str(cache.record_chat_event("s1", "user", f"{number}").message_id) for number in range(5)]
    large = cache.record_chat_event("s1", "user", "too large", {"numbers": [0] * 1_400_000})
    taken = cache.record_chat_event("s1", "user", "what was said")
    good += [str(cache.record_chat_event("s1", "user", f"{number}").message_id) for number in range(5)]
    assert storage.insert_messages([taken._replace(content="something else")]).stored == 1
    worker = worker_of(cache)
    worker.start()
    assert worker.stop(60)
    assert stored_ids(database) == Counter([*good, str(taken.message_id)])
    kept = {json.loads(line.raw or b"")["message_id"]: line for line in quarantined(folder)}
    assert set(kept) == {large.message_id, taken.message_id}
    assert "over the limit of 16 MiB" in kept[str(large.message_id)].reason
    assert "is already stored with other content" in kept[str(taken.message_id)].reason
    assert {line.line for line in kept.values()} == {large.sequence, taken.sequence}
    stats = worker.stats()
    assert (stats.flushed, stats.skipped, stats.quarantined) == (len(good), 0, 2)
    result = storage.flush_journals(folder)
    assert (result.stored, result.quarantined, result.already_quarantined) == (0, 0, 2)


def test_without_journals_what_is_refused_goes_into_the_quarantine_of_standard_input(
    mongod: Mongod, database: Documents, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    cache = LocalChatCache(disk_path=None)
    with (
        MongoChatStorage(mongod.uri, database.name, state_folder=str(state)) as kept,
        ChatPersistenceWorker(cache, kept) as worker,
    ):
        cache.record_chat_event("s1", "user", "poison", {"numbers": [0] * 1_400_000})
        cache.record_chat_event("s1", "user", "good")
    assert (worker.stats().flushed, worker.stats().quarantined) == (1, 1)
    [line] = (state / "journals" / "stdin" / "quarantine.jsonl").read_bytes().splitlines()
    assert "16 MiB" in json.loads(line)["reason"]


def test_an_application_that_changes_its_working_folder_finds_its_journals_where_they_were(
    database: Documents,
    storage: MongoChatStorage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    worker_of: Callable[..., ChatPersistenceWorker],
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    cache = LocalChatCache(disk_path="cache/sessions", max_pending_messages=1)
    cache.record_chat_event("s1", "user", "here")
    worker = worker_of(cache)
    monkeypatch.chdir(tmp_path / "there")
    cache.record_chat_event("s1", "user", "there")
    cache.record_chat_event("s2", "user", "poison", {"numbers": [0] * 1_400_000})
    worker.start()
    assert worker.stop(60)
    assert list((tmp_path / "there").iterdir()) == []
    journals = tmp_path / "here" / "cache" / "sessions"
    assert [row["text"] for row in rows_of(database)] == ["here", "there"]
    assert len(quarantined(journals)) == 1


# --- several at once -------------------------------------------------------------------------------------------------

APPLICATION = """
import json, sys, threading
from chatstore_cli import ChatPersistenceWorker, LocalChatCache, MongoChatStorage

uri, database, folder, name, lines = *sys.argv[1:5], int(sys.argv[5])
cache = LocalChatCache(disk_path=folder, max_pending_messages=100)
worker = ChatPersistenceWorker(cache, MongoChatStorage(uri, database), batch_size=250, interval=0.02)
worker.start()
print("ready", flush=True)
sys.stdin.readline()
ids = []

def record(thread):
    for number in range(lines):
        message = cache.record_chat_event("s1", "user", f"{name} {thread} {number} " + "x" * (number * 37 % 3_000))
        ids.append((message.message_id, message.sequence))

threads = [threading.Thread(target=record, args=(thread,)) for thread in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert worker.stop(60), worker.stats()
stats = worker.stats()
print(json.dumps({"ids": ids, "flushed": stats.flushed, "skipped": stats.skipped, "lost": stats.lost}))
"""


def test_two_applications_that_record_into_one_session_store_each_message_once_under_its_line(
    mongod: Mongod, database: Documents, folder: Path
) -> None:
    lines = 1_000
    arguments = [(mongod.uri, database.name, folder, f"p{number}", str(lines)) for number in range(2)]
    reports = [json.loads(printed) for printed in run_together(APPLICATION, arguments)]
    assert [(one["flushed"], one["skipped"], one["lost"]) for one in reports] == [(2 * lines, 0, 0)] * 2
    recorded = dict(tuple(pair) for one in reports for pair in one["ids"])
    in_journal = {
        json.loads(line)["message_id"]: number
        for number, line in enumerate((folder / "s1.jsonl").read_bytes().splitlines(), 1)
    }
    in_database = {row["message_id"]: row["sequence"] for row in rows_of(database)}
    assert recorded == in_journal == in_database
    assert len(in_database) == 4 * lines


def test_two_caches_with_a_worker_each_store_only_their_own(
    folder: Path, database: Documents, worker_of: Callable[..., ChatPersistenceWorker]
) -> None:
    caches = [LocalChatCache(disk_path=folder, max_pending_messages=3) for _ in range(2)]
    for number in range(50):
        for cache in caches:
            cache.record_chat_event("s1", "user", f"{number}")
    workers = [worker_of(cache) for cache in caches]
    workers[0].start()
    assert workers[0].stop(60)
    assert workers[0].stats().flushed == 50
    assert {row["sequence"] % 2 for row in rows_of(database)} == {1}
    workers[1].start()
    assert workers[1].stop(60)
    assert stored_ids(database) == recorded_ids(folder)


def test_flushes_of_the_same_folder_while_the_worker_stores_double_nothing(
    folder: Path,
    mongod: Mongod,
    database: Documents,
    worker_of: Callable[..., ChatPersistenceWorker],
) -> None:
    cache = LocalChatCache(disk_path=folder, max_pending_messages=50)
    worker = worker_of(cache, batch_size=20, interval=0.005)
    worker.start()
    ended = threading.Event()
    flushed: list[int] = []

    def flush_all_the_time() -> None:
        with MongoChatStorage(mongod.uri, database.name) as other:
            while not ended.is_set():
                flushed.append(other.flush_journals(folder).stored)

    thread = threading.Thread(target=flush_all_the_time)
    thread.start()
    for number in range(1_500):
        cache.record_chat_event(f"s{number % 5}", "user", f"{number}")
    assert worker.stop(60)
    ended.set()
    thread.join()
    assert stored_ids(database) == recorded_ids(folder)
    stats = worker.stats()
    assert (stats.flushed + sum(flushed), stats.flushed + stats.skipped) == (1_500, 1_500)


FORKING = """
import contextlib, json, os, sys
from chatstore_cli import ChatPersistenceWorker, LocalChatCache, MongoChatStorage

uri, database, folder = sys.argv[1:]
cache = LocalChatCache(disk_path=folder, max_pending_messages=20)
worker = ChatPersistenceWorker(cache, MongoChatStorage(uri, database), interval=0.01)
worker.start()
ids = []

def record(count):
    for number in range(count):
        ids.append(cache.record_chat_event("s1", "user", f"{os.getpid()} {number}").message_id)

record(100)
children = []
for number in range(4):
    with contextlib.ExitStack() as held:  # by other threads of the parent, at this very moment
        for lock in (worker._starting_or_stopping, cache._lock, cache.pending._lock, *cache._stripes) if number > 1 else ():
            held.enter_context(lock)
        pid = os.fork()
        if pid == 0:
            held.pop_all()  # whoever held them is not here
    if pid == 0:
        if number % 2:
            worker = ChatPersistenceWorker(cache, MongoChatStorage(uri, database), interval=0.01)
        worker.start()
        ids = []
        record(100)
        stopped = worker.stop(60)
        with open(f"{folder}-{number}", "w") as report_file:
            json.dump([stopped, ids], report_file)
        os._exit(0)
    children.append(pid)
    record(50)
codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
print(json.dumps([worker.stop(60), ids, codes]))
"""


def test_children_of_a_fork_record_and_store_on_their_own_with_the_parent_going_on(
    mongod: Mongod, database: Documents, folder: Path
) -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORKING, mongod.uri, database.name, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    stopped, ids, codes = json.loads(done.stdout)
    assert (stopped, codes) == (True, [0] * 4)
    for number in range(4):
        stopped, childs = json.loads(Path(f"{folder}-{number}").read_text())
        assert stopped
        assert len(childs) == 100
        ids += childs
    assert len(ids) == 700
    assert recorded_ids(folder) == Counter(ids)
    assert stored_ids(database) == Counter(ids)
    assert sorted(row["sequence"] for row in rows_of(database)) == list(range(1, 701))


# --- errors ----------------------------------------------------------------------------------------------------------


def test_a_worker_needs_a_cache_that_queues_and_sensible_figures(folder: Path, storage: MongoChatStorage) -> None:
    with pytest.raises(BadValue, match=r"^cache: 'for_worker=False' is not a cache that was made for a worker"):
        ChatPersistenceWorker(LocalChatCache(disk_path=folder, for_worker=False), storage)
    for name, value in (("batch_size", 0), ("batch_size", 100_000), ("interval", -1), ("interval", 1e9)):
        with pytest.raises(BadValue, match=f"^{name}: "):
            ChatPersistenceWorker(LocalChatCache(disk_path=folder), storage, **{name: value})


def test_a_cache_without_a_worker_queues_nothing_and_its_journals_can_be_flushed(
    folder: Path, database: Documents, storage: MongoChatStorage
) -> None:
    cache = LocalChatCache(disk_path=folder, for_worker=False)
    for number in range(10):
        cache.record_chat_event("s1", "user", f"{number}")
    assert cache.pending is None
    assert storage.flush_journals(folder).stored == 10
    assert [row["text"] for row in rows_of(database)] == [str(number) for number in range(10)]


def test_flushing_a_folder_that_somebody_follows_names_who(folder: Path, storage: MongoChatStorage) -> None:
    LocalChatCache(disk_path=folder).record_chat_event("s1", "user", "x")
    with named_journals(storage.settings, [str(folder)]).to_flush("another"), pytest.raises(Locked) as error:
        storage.flush_journals(folder)
    assert f"another (process {os.getpid()}" in error.value.message
    assert storage.flush_journals(folder).stored == 1


def test_a_server_that_is_not_there_is_told_in_time(tmp_path: Path, folder: Path) -> None:
    socket = str(tmp_path / "none.sock").replace("/", "%2F")
    storage = MongoChatStorage(f"mongodb://user:secret@{socket}/", "chats", timeout_seconds=0.2)
    began = time.monotonic()
    health = storage.health()
    assert (health.status, health.latency_ms) == ("error", None)
    assert "cannot reach MongoDB" in str(health.detail)
    message = Message("s1", "user", "x", message_id="m1", created_at=START)
    with pytest.raises(Unreachable) as error:
        storage.insert_messages([message], timeout=0)
    with pytest.raises(ChatstoreError):
        storage.history("s1")
    assert time.monotonic() - began < 25.0, "the driver's own limit is 30 s for each"
    assert "secret" not in f"{error.value.message}{health}"
    cache = LocalChatCache(disk_path=folder)
    worker = ChatPersistenceWorker(cache, storage)
    worker.start()
    cache.record_chat_event("s1", "user", "x")
    assert not worker.stop(0)
    assert "secret" not in str(worker.stats())
    storage.close()


def test_given_messages_are_checked_before_any_is_stored(database: Documents, storage: MongoChatStorage) -> None:
    good = Message("s1", "user", "x", message_id="m1", created_at=START)
    for bad in (
        good._replace(role="bot"),
        good._replace(content=""),
        good._replace(content={"parts": []}),
        good._replace(content="\ud800"),
        good._replace(session_id="\ud800"),
        good._replace(created_at=None),
        good._replace(metadata={"a": float("nan")}),
        good._replace(message_id="\ud800"),
        good._replace(message_id=7),
        good._replace(session_id=7),
    ):
        with pytest.raises(BadValue):
            storage.insert_messages([good, bad])
    assert stored_ids(database) == Counter()
    equal = [good._replace(message_id=None)] * 3
    assert (storage.insert_messages(equal).stored, storage.insert_messages(equal).already_stored) == (3, 3)
    assert storage.insert_messages([]).messages == 0


def test_given_messages_that_mongodb_refuses_come_back_with_the_reason(
    database: Documents, storage: MongoChatStorage
) -> None:
    large = Message("s1", "user", "x", "m1", created_at=START, metadata={"numbers": [0] * 1_400_000})
    inserted = storage.insert_messages([large, large._replace(message_id="m2", metadata={})])
    assert (inserted.messages, inserted.stored) == (2, 1)
    [(message, reason)] = inserted.refused
    assert message is large
    assert "16 MiB" in reason
