"""Full disks, and journals that somebody cuts, moves or removes: failures are reported, acknowledged messages are kept."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from chatstore_cli import ChatPersistenceWorker, LocalChatCache, MongoChatStorage
from chatstore_cli.domain.errors import NotRecorded
from tests.support.journals import COLLECTION, quarantined
from tests.support.mongod import Mongod, poll
from tests.support.paths import ROOT
from tests.support.recording_processes import recorded_ids

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]]


def stored_ids(database: Documents) -> Counter[str]:
    return Counter(row["message_id"] for row in database[COLLECTION].find({}, {"message_id": 1}))


def assert_whole(path: Path) -> None:
    content = path.read_bytes()
    assert content == b"" or content.endswith(b"\n")
    for line in content.splitlines():
        assert json.loads(line)["text"]


# --- no room ---------------------------------------------------------------------------------------------------------


def test_a_full_disk_reaches_the_caller_leaves_nothing_half_written_and_ends_when_there_is_room(
    mongod: Mongod, database: Documents, small_disk: Callable[[str], Path]
) -> None:
    disk = small_disk("size=300k")
    filler = disk / "filler"
    filler.write_bytes(b"\0" * 100_000)
    folder = disk / "journals"
    cache = LocalChatCache(disk_path=folder, max_pending_messages=5)
    worker = ChatPersistenceWorker(cache, MongoChatStorage(mongod.uri, database.name), interval=0.05)
    recorded: list[str] = []
    refused = 0
    for number in range(400):
        before = cache.messages(f"s{number % 3}")
        try:
            recorded.append(
                str(cache.record_chat_event(f"s{number % 3}", "user", "x" * (number * 37 % 3_000 + 1)).message_id)
            )
        except NotRecorded as error:
            refused += 1
            assert "No space left on device" in error.message
            assert error.hint
            assert cache.messages(f"s{number % 3}") == before
            assert cache.pending is not None
            assert cache.pending.depth == len(recorded)
            assert_whole(folder / f"s{number % 3}.jsonl")
    assert refused > 50
    assert recorded_ids(folder) == Counter(recorded)
    worker.start()  # storing needs no room on this disk
    poll(lambda: worker.stats().queue_depth == 0)
    filler.unlink()
    for number in range(50):
        message = cache.record_chat_event(f"s{number % 3}", "user", "x" * 500)
        recorded.append(str(message.message_id))
        assert message.sequence is not None
    assert worker.stop(60)
    assert recorded_ids(folder) == Counter(recorded) == stored_ids(database)
    stats = worker.stats()
    assert (stats.flushed, stats.skipped, stats.lost) == (len(recorded), 0, 0)
    for session in range(3):
        numbers = [row["sequence"] for row in database[COLLECTION].find({"session_id": f"s{session}"}).sort("sequence")]
        assert numbers == list(range(1, len(numbers) + 1))


def test_a_disk_that_takes_no_more_files_refuses_new_sessions_and_takes_the_others(
    small_disk: Callable[[str], Path],
) -> None:
    disk = small_disk("size=1m,nr_inodes=8")
    cache = LocalChatCache(disk_path=disk / "journals")
    taken = 0
    with pytest.raises(NotRecorded, match="No space left on device"):
        for number in range(20):
            cache.record_chat_event(f"s{number}", "user", "x")
            taken += 1
    assert 0 < taken < 8
    assert cache.record_chat_event("s0", "user", "y").sequence == 2


def test_threads_that_meet_a_full_disk_tear_nothing(small_disk: Callable[[str], Path]) -> None:
    folder = small_disk("size=400k") / "journals"
    caches = [LocalChatCache(disk_path=folder) for _ in range(2)]
    recorded: list[str] = []
    refused: list[str] = []

    def record_some(thread: int) -> None:
        for number in range(150):
            try:
                message = caches[thread % 2].record_chat_event("s1", "user", "é" * (number * 61 % 4_000 + 1))
            except NotRecorded as error:
                refused.append(error.message)
            else:
                recorded.append(str(message.message_id))

    threads = [threading.Thread(target=record_some, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused
    assert len(recorded) + len(refused) == 600
    assert recorded_ids(folder) == Counter(recorded)
    assert_whole(folder / "s1.jsonl")


LIMITED = """
import json, resource, signal, sys
from pathlib import Path
from chatstore_cli import LocalChatCache
from chatstore_cli.domain.errors import NotRecorded

folder = Path(sys.argv[1])
cache = LocalChatCache(disk_path=folder)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
recorded, refused = [], []
for number in range(200):
    try:
        recorded.append(cache.record_chat_event("s1", "user", "x" * (number * 37 % 900 + 1)).message_id)
    except NotRecorded as error:
        refused.append(error.message)
        assert (folder / "s1.jsonl").read_bytes().endswith(b"\\n")
assert cache.record_chat_event("s2", "user", "x").sequence == 1
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
recorded.append(cache.record_chat_event("s1", "user", "x").message_id)
print(json.dumps([recorded, refused]))
"""


def test_a_journal_that_may_not_grow_any_more_refuses_and_stays_whole(tmp_path: Path) -> None:
    folder = tmp_path / "journals"
    command = [sys.executable, "-c", LIMITED, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    recorded, refused = json.loads(done.stdout)
    assert len(refused) > 20
    assert all(os.strerror(errno.EFBIG) in message for message in refused)
    (folder / "s2.jsonl").unlink()
    assert recorded_ids(folder) == Counter(recorded)
    assert_whole(folder / "s1.jsonl")


def poison(cache: LocalChatCache) -> str:
    """A message that passes every check of the cache, and is too large for MongoDB: as BSON it is six times as long."""
    return str(cache.record_chat_event("s1", "user", "poison", {"numbers": [0] * 1_400_000}).message_id)


def test_while_the_quarantine_finds_no_room_its_batch_waits_and_nothing_is_lost(
    mongod: Mongod, database: Documents, small_disk: Callable[[str], Path]
) -> None:
    disk = small_disk("size=5m")
    folder = disk / "journals"
    cache = LocalChatCache(disk_path=folder)
    worker = ChatPersistenceWorker(cache, MongoChatStorage(mongod.uri, database.name), interval=0.05)
    recorded = [str(cache.record_chat_event("s1", "user", f"{number}").message_id) for number in range(5)]
    poisoned = poison(cache)
    recorded.append(str(cache.record_chat_event("s1", "user", "after").message_id))
    worker.start()
    poll(lambda: "No space left on device" in (worker.stats().last_error or ""))
    assert worker.stats().queue_depth > 0
    assert stored_ids(database) <= Counter(recorded)
    small_disk("size=20m")
    poll(lambda: worker.stats().queue_depth == 0)
    assert worker.stop(60)
    assert stored_ids(database) == Counter(recorded)
    [kept] = quarantined(folder)
    assert kept.raw is not None
    assert json.loads(kept.raw)["message_id"] == poisoned
    stats = worker.stats()
    assert (stats.flushed, stats.skipped, stats.quarantined) == (len(recorded), 0, 1)


# --- what befalls journals while messages wait in them ---------------------------------------------------------------


def cut(path: Path) -> None:
    os.truncate(path, 0)


def cut_in_the_middle(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def rotate(path: Path) -> None:
    path.rename(f"{path}.1")


def copy_and_cut(path: Path) -> None:
    Path(f"{path}.1").write_bytes(path.read_bytes())
    os.truncate(path, 0)


def replace(path: Path) -> None:
    path.with_suffix(".new").write_bytes(b"")
    path.with_suffix(".new").replace(path)


def prune(path: Path) -> None:
    """As `chatstore cache prune` does it: under the journal's own lock."""
    with path.open("rb") as journal:
        fcntl.flock(journal, fcntl.LOCK_EX)
        path.unlink()


def remove_with_the_folder(path: Path) -> None:
    for other in path.parent.glob("*.jsonl"):
        other.unlink()
    path.parent.rmdir()


@pytest.mark.parametrize(
    "damage", [cut, cut_in_the_middle, rotate, copy_and_cut, replace, prune, remove_with_the_folder]
)
def test_journals_that_are_damaged_while_messages_wait_in_them(
    mongod: Mongod, database: Documents, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    """Those in memory are stored, those that are gone are counted and said, and what comes after is stored."""
    folder = tmp_path / "journals"
    cache = LocalChatCache(disk_path=folder, max_pending_messages=5)
    storage = MongoChatStorage(mongod.uri, database.name)
    worker = ChatPersistenceWorker(cache, storage, interval=0.05)
    before = [str(cache.record_chat_event("s1", "user", f"before {number}").message_id) for number in range(60)]
    damage(folder / "s1.jsonl")
    after = [str(cache.record_chat_event("s1", "user", f"after {number}").message_id) for number in range(60)]
    assert after == [message_id for message_id in recorded_ids_of(folder / "s1.jsonl") if message_id in set(after)]
    worker.start()
    assert worker.stop(60)
    stored = stored_ids(database)
    assert Counter(after) <= stored <= Counter(before + after)
    assert set(before[:5]) <= set(stored), "those were in memory"
    stats = worker.stats()
    assert stats.flushed == sum(stored.values())
    assert (stats.flushed + stats.lost, stats.skipped, stats.quarantined) == (120, 0, 0)
    if damage is rotate:
        assert stats.lost == 0
    else:
        assert stats.lost == {cut_in_the_middle: 30}.get(damage, 55)
        assert f"{stats.lost} messages are lost: their journals were cut or removed" in (stats.last_error or "")
    storage.flush_journals(folder)
    everything = Counter(before + after) if damage in (rotate, copy_and_cut) else stored
    assert stored_ids(database) == everything, "a copy is a journal like any other"


def recorded_ids_of(path: Path) -> list[str]:
    found = []
    for line in path.read_bytes().splitlines():
        with contextlib.suppress(ValueError):
            found.append(json.loads(line)["message_id"])
    return found


def test_journals_that_are_moved_and_removed_all_the_time_cost_only_what_was_in_them(
    mongod: Mongod, database: Documents, tmp_path: Path
) -> None:
    """Rotations under a recorder and its worker, which spills most of what it is given."""
    folder = tmp_path / "journals"
    cache = LocalChatCache(disk_path=folder, max_pending_messages=10)
    worker = ChatPersistenceWorker(cache, MongoChatStorage(mongod.uri, database.name), batch_size=20, interval=0.001)
    worker.start()
    ended = threading.Event()
    rotations = 0

    def rotate_all_the_time() -> None:
        nonlocal rotations
        while not ended.wait(0.005):
            for path in list(folder.glob("*.jsonl")):
                rotations += 1
                path.rename(f"{path}.{rotations}")

    thread = threading.Thread(target=rotate_all_the_time)
    thread.start()
    recorded: list[str] = []
    while len(recorded) < 1_000 or rotations < 30:
        number = len(recorded)
        recorded.append(str(cache.record_chat_event(f"s{number % 3}", "user", f"{number}").message_id))
    ended.set()
    thread.join()
    assert worker.stop(60)
    assert recorded_ids(folder) == Counter(recorded)
    assert stored_ids(database) == Counter(recorded)
    stats = worker.stats()
    assert (stats.flushed, stats.skipped, stats.lost) == (len(recorded), 0, 0)


def test_prune_while_recorders_wait_loses_no_line_that_was_acknowledged_after_it(tmp_path: Path) -> None:
    """Several recorders, and a pruner that removes the journal under its lock again and again, keeping a copy."""
    folder = tmp_path / "journals"
    caches = [LocalChatCache(disk_path=folder) for _ in range(3)]
    recorded: list[str] = []
    ended = threading.Event()
    pruned: Counter[str] = Counter()
    prunings = 0

    def record_some(cache: LocalChatCache) -> None:
        for number in count():
            recorded.append(str(cache.record_chat_event("s1", "user", f"{number}").message_id))
            if number >= 300 and prunings >= 5:
                return

    def prune_all_the_time() -> None:
        nonlocal prunings
        path = folder / "s1.jsonl"
        while not ended.wait(0.002):
            with contextlib.suppress(FileNotFoundError), path.open("rb") as journal:
                fcntl.flock(journal, fcntl.LOCK_EX)
                if os.fstat(journal.fileno()).st_ino == path.stat().st_ino:
                    pruned.update(recorded_ids_of(path))
                    path.unlink()
                    prunings += 1

    threads = [threading.Thread(target=record_some, args=(cache,)) for cache in caches]
    pruner = threading.Thread(target=prune_all_the_time)
    for thread in [*threads, pruner]:
        thread.start()
    for thread in threads:
        thread.join()
    ended.set()
    pruner.join()
    assert pruned + recorded_ids(folder) == Counter(recorded)
