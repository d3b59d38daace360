"""MongoDB unreachable, hanging, stepping down or failing: recording never waits, and each message is stored once."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database
from pymongo.errors import AutoReconnect

from chatstore_cli import ChatPersistenceWorker, LocalChatCache, MongoChatStorage, NotRecorded
from chatstore_cli.domain.identity import identity_by_message_id, session_prefix
from tests.conftest import Chatstore
from tests.support.journals import COLLECTION
from tests.support.lossy_proxy import LossyProxy
from tests.support.mongod import Mongod, ReplicaSet, poll, start_replica_set
from tests.support.paths import ROOT

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]]
FailPoint = Callable[..., AbstractContextManager[None]]


class Application:
    """Records at a steady rate from its own thread."""

    def __init__(self, cache: LocalChatCache) -> None:
        self.ids: list[str] = []
        self.failure: BaseException | None = None
        self._cache = cache
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._ended.wait(0.002):
                message = self._cache.record_chat_event(f"s{len(self.ids) % 7}", "user", f"message {len(self.ids)}")
                self.ids.append(str(message.message_id))
        except BaseException as error:
            self.failure = error
            raise

    def end(self) -> list[str]:
        """The ids of all messages."""
        self._ended.set()
        self._thread.join()
        assert self.failure is None
        return self.ids

    def wait_for_more(self, messages: int) -> None:
        """Wait until it has recorded so many more messages: while the server is away, that proves that it never waits."""
        count = len(self.ids)
        poll(lambda: len(self.ids) >= count + messages or self.failure, what=f"{messages} more messages")


def stored_ids(database: Documents) -> Counter[str]:
    return Counter(row["message_id"] for row in database[COLLECTION].find({}, {"message_id": 1}))


def assert_each_once(database: Documents, worker: ChatPersistenceWorker, ids: list[str]) -> None:
    assert stored_ids(database) == Counter(ids)
    stats = worker.stats()
    assert (stats.queue_depth, stats.quarantined, stats.lost) == (0, 0, 0)
    assert stats.flushed + stats.skipped == len(ids)


@pytest.fixture
def applications(tmp_path: Path) -> Iterator[Callable[..., tuple[ChatPersistenceWorker, Application]]]:
    """A worker that has been started, and an application that records; small queues, so that messages are spilled."""
    made: list[tuple[ChatPersistenceWorker, Application]] = []

    def make(uri: str, database: str = "chats", **settings: Any) -> tuple[ChatPersistenceWorker, Application]:
        cache = LocalChatCache(disk_path=tmp_path / "journals", max_pending_messages=200)
        settings = {"timeout_seconds": 0.5, **settings}
        worker = ChatPersistenceWorker(cache, MongoChatStorage(uri, database, **settings), batch_size=50, interval=0.05)
        worker.start()
        made.append((worker, Application(cache)))
        return made[-1]

    yield make
    for worker, application in made:
        application._ended.set()
        worker.stop(0)


# --- away and back ---------------------------------------------------------------------------------------------------


def test_a_server_that_is_away_for_longer_than_one_retry_costs_nothing_but_time(
    start_mongod: Callable[..., Mongod],
    short_folder: Path,
    applications: Callable[..., tuple[ChatPersistenceWorker, Application]],
) -> None:
    """During the outage the worker is stopped in vain, and started again."""
    server = start_mongod(short_folder / "m")
    worker, application = applications(server.uri, timeout_seconds=0.1)
    poll(lambda: worker.stats().flushed > 50)
    server.kill()
    failures = set()
    poll(lambda: failures.add(worker.stats().last_error_at) or len(failures) > 3, what="several failed attempts")
    flushed = worker.stats().flushed  # read now: a batch that was stored just before the kill may be counted after it
    application.wait_for_more(300)
    stats = worker.stats()
    assert (stats.flushed, stats.running) == (flushed, True)
    assert stats.queue_depth >= 300
    assert stats.last_error is not None
    assert "cannot reach MongoDB" in stats.last_error
    assert "\n" not in stats.last_error
    assert not worker.stop(0.1)
    application.wait_for_more(50)
    worker.start()
    server.start()
    poll(lambda: worker.stats().flushed > flushed + 350, what="all that waited")
    ids = application.end()
    assert worker.stop(60)
    assert_each_once(server.client()["chats"], worker, ids)


@pytest.fixture(scope="module")
def replica_set(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaSet]:
    from tests.conftest import _need_a_mongod
    from tests.support.mongod import short_temporary_folder

    _need_a_mongod()
    with short_temporary_folder() as folder:
        made = start_replica_set(folder)
        yield made
        made.remove()


@pytest.mark.parametrize(
    "kill", [pytest.param(False, id="steps down"), pytest.param(True, id="is killed", marks=pytest.mark.soak)]
)
def test_a_primary_that_goes_in_the_middle_of_a_batch(
    replica_set: ReplicaSet,
    applications: Callable[..., tuple[ChatPersistenceWorker, Application]],
    kill: bool,
) -> None:
    database = "killed" if kill else "stepped_down"
    worker, application = applications(replica_set.uri, database)
    poll(lambda: worker.stats().flushed > 300, what="a worker that stores")
    primary = replica_set.primary()
    with in_the_middle_of_a_batch(primary, f"{database}.{COLLECTION}"):
        if kill:
            primary.kill()
        else:
            replica_set.step_down()
    flushed = worker.stats().flushed
    poll(lambda: worker.stats().flushed > flushed + 300, what="a worker that stores again")
    ids = application.end()
    assert worker.stop(60)
    if kill:
        primary.start()
    assert worker.stats().last_error is not None, "the batch failed"
    assert_each_once(replica_set.client()[database], worker, ids)


@contextmanager
def in_the_middle_of_a_batch(server: Mongod, namespace: str) -> Iterator[None]:
    """The server holds an insert into the collection until this ends."""
    with contextlib.suppress(AutoReconnect), server.client() as client:
        point = {"configureFailPoint": "hangDuringBatchInsert"}
        client.admin.command({**point, "mode": "alwaysOn", "data": {"nss": namespace}})
        running = [{"$currentOp": {}}, {"$match": {"ns": namespace, "failpointMsg": "hangDuringBatchInsert"}}]
        poll(lambda: list(client.admin.aggregate(running)), what="an insert that is held")
        yield
        client.admin.command({**point, "mode": "off"})


# --- hanging ---------------------------------------------------------------------------------------------------------

HANGING = """
import json, os, signal, sys, time
import psutil
from chatstore_cli import ChatPersistenceWorker, LocalChatCache, MongoChatStorage, NotRecorded
from chatstore_cli.domain.identity import identity_by_message_id, session_prefix

uri, folder, server, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
cache = LocalChatCache(disk_path=folder, max_pending_messages=500, max_memory_bytes=4_000_000)
worker = ChatPersistenceWorker(cache, MongoChatStorage(uri, "chats"), batch_size=1_000, interval=0.1)
worker.start()
cache.record_chat_event("s0", "user", "before")
while not worker.stats().flushed:
    time.sleep(0.01)
os.kill(server, signal.SIGSTOP)
process = psutil.Process()
memory = []
try:
    for number in range(1, count):
        cache.record_chat_event(f"s{number % 50}", "user", f"{number} " + "x" * 1_000)
        if number % (count // 10) == 0:
            memory.append(process.memory_info().rss)
    depth = worker.stats().queue_depth
finally:
    os.kill(server, signal.SIGCONT)
stopped = worker.stop(90)
memory.append(process.memory_info().rss)
stats = worker.stats()
print(json.dumps({
    "depth": depth, "stopped": stopped, "flushed": stats.flushed, "skipped": stats.skipped, "lost": stats.lost,
    "memory": memory,
}))
"""


@pytest.mark.parametrize("count", [15_000, pytest.param(50_000, marks=pytest.mark.soak)])
def test_while_the_server_hangs_memory_stays_flat_and_everything_is_stored_afterwards(
    start_mongod: Callable[..., Mongod], short_folder: Path, tmp_path: Path, count: int
) -> None:
    """All are recorded while the server is stopped by a signal, so none of them waits for it."""
    server = start_mongod(short_folder / "m")
    done = subprocess.run(
        [sys.executable, "-c", HANGING, server.uri, str(tmp_path / "journals"), str(server.pid), str(count)],
        cwd=ROOT, capture_output=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    report = json.loads(done.stdout)
    print(report)
    assert report["depth"] > count * 0.9
    assert report["stopped"]
    assert (report["flushed"], report["skipped"], report["lost"]) == (count, 0, 0)
    first, *later = report["memory"]
    assert max(later) - first < count * 1_200, "in memory each message would take 2,500 bytes"
    messages = server.client()["chats"][COLLECTION]
    assert messages.count_documents({}) == count
    assert len(messages.distinct("sequence", {"session_id": "s7"})) == count // 50


def test_a_full_queue_without_a_journal_refuses_while_the_server_is_away_and_forgets_nothing(
    mongod: Mongod, database: Documents, short_folder: Path
) -> None:
    socket = short_folder / "p.sock"  # which does not exist yet
    uri = f"mongodb://{str(socket).replace('/', '%2F')}/?directConnection=true"
    cache = LocalChatCache(disk_path=None, max_pending_messages=100)
    storage = MongoChatStorage(uri, database.name, timeout_seconds=0.3)
    worker = ChatPersistenceWorker(cache, storage, batch_size=20)
    worker.start()
    ids = []
    with pytest.raises(NotRecorded) as error:
        for _ in range(1_000):
            ids.append(str(cache.record_chat_event("s1", "user", "x").message_id))
    assert 100 <= len(ids) <= 120
    assert "are not stored yet" in error.value.message
    proxy = LossyProxy(socket, mongod.socket_path)
    try:
        poll(lambda: worker.stats().queue_depth == 0)
        ids.append(str(cache.record_chat_event("s1", "user", "there is room again").message_id))
        assert worker.stop(60)
        assert_each_once(database, worker, ids)
        storage.close()
    finally:
        proxy.close()


# --- answers that fail -----------------------------------------------------------------------------------------------

FAILURES = [
    pytest.param({"closeConnection": True}, id="connection closed"),
    pytest.param({"errorCode": 10107}, id="no longer the primary"),
    pytest.param({"errorCode": 91}, id="shutting down"),
    pytest.param({"errorCode": 11602}, id="state of the set changed"),
    pytest.param({"errorCode": 50}, id="time limit"),
    pytest.param({"errorCode": 8000}, id="not allowed, for a while"),
    pytest.param({"errorCode": 14031}, id="the server's disk is full"),
    pytest.param({"errorCode": 1}, id="the server's own fault"),
    pytest.param({"writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}}, id="majority"),
    pytest.param({"writeConcernError": {"code": 91, "errmsg": "shutting down"}}, id="acknowledged by nobody"),
    pytest.param({"writeConcernError": {"code": 10107, "errmsg": "not primary"}}, id="stepped down after the write"),
]


@pytest.fixture
def recorded(tmp_path: Path) -> tuple[LocalChatCache, list[str]]:
    """200 messages that wait, half of them in the journal alone."""
    cache = LocalChatCache(disk_path=tmp_path / "journals", max_pending_messages=100)
    ids = [str(cache.record_chat_event(f"s{number % 3}", "user", f"{number}").message_id) for number in range(200)]
    return cache, ids


@pytest.mark.parametrize("failure", FAILURES)
def test_an_insert_that_fails_is_tried_again_and_counted_truly(
    mongod: Mongod,
    database: Documents,
    recorded: tuple[LocalChatCache, list[str]],
    fail_point: FailPoint,
    failure: dict[str, Any],
) -> None:
    cache, ids = recorded
    # The driver takes a server that said so for unknown until it asks it again.
    uri = mongod.uri_as(None, None, heartbeatFrequencyMS="500")
    worker = ChatPersistenceWorker(cache, MongoChatStorage(uri, database.name), batch_size=60, interval=0.02)
    with fail_point(["insert"], times=2, namespace=f"{database.name}.{COLLECTION}", **failure):
        worker.start()
        poll(lambda: worker.stats().queue_depth == 0)
    assert worker.stop(60)
    assert "{" not in str(worker.stats().last_error), "one line in words, and no answer of the server's as it came"
    assert worker.stats().last_error is not None
    assert_each_once(database, worker, ids)
    assert worker.stats().flushed == 200, "what our own lost answer had stored is ours"


@pytest.mark.parametrize("question", ["find", "distinct", "aggregate", "listIndexes"])
def test_a_failed_look_up_is_retried(
    mongod: Mongod,
    database: Documents,
    recorded: tuple[LocalChatCache, list[str]],
    fail_point: FailPoint,
    question: str,
) -> None:
    cache, ids = recorded
    worker = ChatPersistenceWorker(cache, MongoChatStorage(mongod.uri, database.name), batch_size=60, interval=0.02)
    with fail_point([question], times=2, errorCode=189, appName="chatstore"):
        worker.start()
        poll(lambda: worker.stats().queue_depth == 0)
    assert worker.stop(60)
    assert_each_once(database, worker, ids)


def test_a_collection_that_takes_no_message_at_all_puts_none_into_quarantine(
    mongod: Mongod, database: Documents, recorded: tuple[LocalChatCache, list[str]]
) -> None:
    database["rows"].insert_one({})
    database.command("create", COLLECTION, viewOn="rows", pipeline=[])
    cache, ids = recorded
    worker = ChatPersistenceWorker(cache, MongoChatStorage(mongod.uri, database.name), batch_size=60, interval=0.02)
    worker.start()
    poll(lambda: worker.stats().last_error)
    assert "chat_messages is a view" in str(worker.stats().last_error)
    database.drop_collection(COLLECTION)
    poll(lambda: worker.stats().queue_depth == 0)
    assert worker.stop(60)
    assert_each_once(database, worker, ids)


def test_a_write_whose_acknowledgement_is_lost_is_stored_and_counted_once(
    mongod: Mongod, database: Documents, recorded: tuple[LocalChatCache, list[str]], short_folder: Path
) -> None:
    proxy = LossyProxy(short_folder / "p.sock", mongod.socket_path)
    try:
        cache, ids = recorded
        socket = str(short_folder / "p.sock").replace("/", "%2F")
        storage = MongoChatStorage(f"mongodb://{socket}/?directConnection=true", database.name)
        worker = ChatPersistenceWorker(cache, storage, batch_size=60, interval=0.02)
        proxy.lose = 3
        worker.start()
        poll(lambda: worker.stats().queue_depth == 0)
        assert worker.stop(60)
        assert proxy.lost == 3
        assert_each_once(database, worker, ids)
        assert worker.stats().flushed == 200
        storage.close()
    finally:
        proxy.close()


def test_a_worker_that_is_stopped_after_a_lost_acknowledgement_goes_on_without_doubling(
    mongod: Mongod,
    database: Documents,
    recorded: tuple[LocalChatCache, list[str]],
    fail_point: FailPoint,
) -> None:
    cache, ids = recorded
    worker = ChatPersistenceWorker(cache, MongoChatStorage(mongod.uri, database.name), batch_size=60, interval=0.02)
    unsure = {"code": 64, "errmsg": "waiting for replication timed out"}
    with fail_point(["insert"], namespace=f"{database.name}.{COLLECTION}", writeConcernError=unsure):
        worker.start()
        poll(lambda: worker.stats().last_error)
        assert not worker.stop(0.2)
    assert worker.stats().queue_depth == 200
    assert stored_ids(database), "the write was done, and not acknowledged"
    worker.start()
    assert worker.stop(60)
    assert_each_once(database, worker, ids)


# --- a session that is deleted meanwhile -----------------------------------------------------------------------------


def test_what_was_recorded_before_a_deletion_stays_deleted_and_what_is_recorded_after_it_is_stored(
    chatstore: Chatstore, mongod: Mongod, database: Documents, tmp_path: Path
) -> None:
    cache = LocalChatCache(disk_path=tmp_path / "journals", max_pending_messages=10)
    worker = ChatPersistenceWorker(cache, MongoChatStorage(mongod.uri, database.name), interval=0.05)
    kept = [str(cache.record_chat_event("kept", "user", f"{number}").message_id) for number in range(20)]
    for number in range(20):
        cache.record_chat_event("deleted", "user", f"{number}")
    with worker:
        poll(lambda: worker.stats().flushed == 40)
    for number in range(20):  # these wait while it is deleted, most of them in the journal
        cache.record_chat_event("deleted", "user", f"pending {number}")
    assert chatstore("sessions", "delete", "deleted", "--yes").code == 0
    worker.start()
    poll(lambda: worker.stats().queue_depth == 0)
    for session in ("deleted", "kept"):
        kept.append(str(cache.record_chat_event(session, "user", "after").message_id))
    assert worker.stop(60)
    assert stored_ids(database) == Counter(kept)
    stats = worker.stats()
    assert (stats.flushed, stats.skipped, stats.quarantined) == (42, 20, 0)
    assert MongoChatStorage(mongod.uri, database.name).flush_journals(tmp_path / "journals").stored == 0
    assert stored_ids(database) == Counter(kept)


def test_a_session_that_is_deleted_while_the_worker_stores_it_keeps_what_is_recorded_later(
    chatstore: Chatstore,
    mongod: Mongod,
    database: Documents,
    applications: Callable[..., tuple[ChatPersistenceWorker, Application]],
    tmp_path: Path,
) -> None:
    """Each of the deletions covers what it finds and what was recorded before it, and nothing else."""
    worker, application = applications(mongod.uri, database.name)
    for _ in range(2):
        flushed = worker.stats().flushed
        poll(lambda flushed=flushed: worker.stats().flushed > flushed + 200)
        assert chatstore("sessions", "delete", "s3", "--yes").code == 0
    application.wait_for_more(50)
    ids = application.end()
    assert worker.stop(60)
    lines = [json.loads(line) for line in (tmp_path / "journals" / "s3.jsonl").read_text().splitlines()]
    [tombstone] = database["chatstore_tombstones"].find()
    found = set(tombstone.get("row_ids", []))
    later = [each for each in lines if datetime.fromisoformat(each["created_at"]) > tombstone["deleted_at"]]
    kept = {each["message_id"] for each in later if id_of(each) not in found}
    assert {row["message_id"] for row in database[COLLECTION].find({"session_id": "s3"})} == kept
    assert len(kept) >= 7
    assert stored_ids(database) == Counter(one for number, one in enumerate(ids) if number % 7 != 3 or one in kept)
    stats = worker.stats()
    assert stats.flushed + stats.skipped == len(ids)


def id_of(line: dict[str, Any]) -> str:
    """The `_id` of a journal line."""
    return identity_by_message_id(session_prefix("s3"), "s3", line["message_id"])
