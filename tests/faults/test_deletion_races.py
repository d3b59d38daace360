"""Deleting a flat session while it is written to, while it is deleted elsewhere, and with kill -9 at each command.

After all that, one rule holds: a journal line is stored if no tombstone covers it, and is not stored if one does. The rule
is computed here from the stored tombstones, with the driver only.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pymongo.database import Database

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.flush.storing import StoringRules
from chatstore_cli.core.recording.storing import NewMessages, entries_of
from chatstore_cli.domain.message import Message, read_reply_to
from chatstore_cli.domain.recording import RetryCallbacks
from chatstore_cli.mongo import tombstones
from chatstore_cli.mongo.connection import Connection, connect
from chatstore_cli.mongo.messages.layout import MessagesLayout
from chatstore_cli.mongo.tombstones import TOMBSTONES
from tests.support.at_command import AtCommand
from tests.support.journals import COLLECTION, flush, record, store_of, write_journal
from tests.support.kill_at_command import KillAtCommand, kill_this_process, run_in_fork
from tests.support.mongod import Mongod

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]]
Line = dict[str, Any]
NOW = datetime(2026, 3, 2, 11, 41, 0, 195300, tzinfo=UTC)
NEVER = datetime.min.replace(tzinfo=UTC)
MOST_COMMANDS = 40
SEED = int(os.environ.get("CHATSTORE_TEST_SEED", "20260302"))


def line(seconds: float, name: str, answered: Line | None = None) -> Line:
    """A line that was recorded so many seconds after the deletion, perhaps as an answer."""
    created_at = (NOW + timedelta(seconds=seconds)).isoformat(timespec="microseconds")
    recorded = record(0, text=name, message_id=name, created_at=created_at)
    return (
        recorded
        if answered is None
        else recorded | {"reply_to": answered["message_id"], "reply_to_at": answered["created_at"]}
    )


STORED = [line(-100 + number, f"stored {number}") for number in range(5)]
AHEAD = [line(10_000_000 + number, f"by a clock ahead {number}") for number in range(7)]
QUEUED = [line(-10 + number, f"recorded before, stored by nobody yet {number}") for number in range(3)]
QUEUED += [line(5, f"an answer that was being written to {each['text']}", each) for each in (*QUEUED, *STORED, *AHEAD)]
NEW = [line(10 + number, f"recorded after the deletion {number}") for number in range(3)]
NEW += [line(20, f"an answer to {each['text']}", each) for each in NEW]
LINES = [*STORED, *AHEAD, *QUEUED, *NEW]


@pytest.fixture(autouse=True)
def short_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ids that are dated later need several documents."""
    monkeypatch.setattr(tombstones, "LISTED_IDS", 3)


Another = Callable[..., Connection]


@pytest.fixture
def another(mongod: Mongod, database: Documents) -> Another:
    """A new connection to the test's database, with a listener. It does not wait for the disk: no server is killed here."""
    options: dict[str, Any] = {"timeout_seconds": 10, "write_concern": "1", "journaled": False}
    return lambda listener=None: connect(mongod.uri, database.name, listener=listener, **options)


@pytest.fixture
def connection(another: Another) -> Connection:
    """A connection that nobody listens to."""
    return another()


def start_over(connection: Connection, *lines: Line) -> None:
    """Store these lines, and nothing else."""
    for name in (COLLECTION, TOMBSTONES):
        connection.collection(name).delete_many({})
    store(connection, lines or [*STORED, *AHEAD])


def store(connection: Connection, lines: Any) -> None:
    """Store lines as the worker inside an application does."""
    messages = [
        Message(
            "s1",
            each["role"],
            each["text"],
            each["message_id"],
            created_at=datetime.fromisoformat(each["created_at"]),
            reply_to=read_reply_to(each),
        )
        for each in lines
    ]
    worker = NewMessages(
        store_of(connection), StoringRules(), RetryCallbacks(lambda _: None, lambda _: True), seconds=0
    )
    assert worker.store(entries_of(messages)).messages == len(messages)


def delete(connection: Connection, seconds: float = 0) -> int:
    """Delete the session so many seconds later. Returns how many rows this deletion has deleted."""
    [part] = MessagesLayout(connection, Settings()).remove("s1", NOW + timedelta(seconds=seconds))
    return part.documents


def texts(database: Documents) -> list[str]:
    return sorted(row["text"] for row in database[COLLECTION].find())


def wanted(database: Documents, ids: dict[str, str], lines: list[Line] = LINES) -> list[str]:
    """The lines that no tombstone covers, by the rule as docs/layouts.md states it."""
    head = database[TOMBSTONES].find_one({"_id.part": None}) or {"deleted_at": NEVER}
    deleted_at = head["deleted_at"].replace(tzinfo=UTC)
    parts = list(database[TOMBSTONES].find({"_id.part": {"$in": head.get("parts", [])}}))
    listed = {identity for document in [head, *parts] for identity in document.get("row_ids", [])}

    def covered(created_at: str, identity: str) -> bool:
        return datetime.fromisoformat(created_at) <= deleted_at or identity in listed

    return sorted(
        each["text"]
        for each in lines
        if not covered(each["created_at"], ids[each["text"]])
        and not ("reply_to" in each and covered(each["reply_to_at"], ids[each["reply_to"]]))
    )


@pytest.fixture
def ids(connection: Connection) -> dict[str, str]:
    """The `_id` of each line."""
    store(connection, LINES)
    return {row["text"]: row["_id"] for row in connection.collection(COLLECTION).find()}


@pytest.fixture
def replay(connection: Connection, database: Documents, ids: dict[str, str], tmp_path: Path) -> Callable[[], None]:
    """Flush the journal of all lines again, and compare what is stored with the rule."""
    journal = write_journal(tmp_path / "journals" / "s1.jsonl", LINES)

    def replayed() -> None:
        result = flush(connection, journal.parent, ignore_ledger=True)
        expected = wanted(database, ids)
        assert texts(database) == expected
        assert result.skipped == len(LINES) - len(expected)

    return replayed


def until_not_reached(most: int = MOST_COMMANDS) -> Iterator[int]:
    """Numbers of commands, until the test breaks off because there are no more commands."""
    yield from range(1, most)
    pytest.fail("It sends more commands than expected.")


# --- a deletion while a worker stores --------------------------------------------------------------------------------


def test_a_worker_stores_between_two_commands_of_a_deletion(
    connection: Connection,
    another: Another,
    database: Documents,
    ids: dict[str, str],
    replay: Callable[[], None],
) -> None:
    survived: list[list[str]] = []
    for number in until_not_reached():
        start_over(connection)
        listener = AtCommand(number, lambda: store(connection, [*QUEUED, *NEW]))
        delete(another(listener))
        if not listener.reached:
            break
        survived.append(texts(database))
        assert survived[-1] == wanted(database, ids, [*STORED, *AHEAD, *QUEUED, *NEW]), f"before command {number}"
        replay()
    # What is stored before the deletion has read the rows is deleted; what is stored later stays.
    new = sorted(each["text"] for each in NEW)
    assert survived[0] == []
    assert survived[-1] == new
    assert [each for each, _ in itertools.groupby(survived)] == [[], new]
    assert len(survived) > 6


@pytest.mark.parametrize(
    "stored_before", [[*STORED, *AHEAD], [*STORED, *AHEAD, *QUEUED]], ids=["new lines", "repeated lines"]
)
def test_a_session_is_deleted_between_two_commands_of_a_worker(
    connection: Connection,
    another: Another,
    database: Documents,
    ids: dict[str, str],
    replay: Callable[[], None],
    stored_before: list[Line],
) -> None:
    for number in until_not_reached():
        start_over(connection, *stored_before)
        listener = AtCommand(number, lambda: delete(connection))
        store(another(listener), [*QUEUED, *NEW])
        if not listener.reached:
            break
        assert texts(database) == wanted(database, ids), f"before command {number}"
        replay()
    assert number > 3


def test_a_flush_stores_between_two_commands_of_a_deletion(
    connection: Connection, another: Another, database: Documents, ids: dict[str, str], tmp_path: Path
) -> None:
    """With its ledger: what a deletion took away behind a ledger that has passed it would be lost for good."""
    for number in until_not_reached():
        journals = tmp_path / f"{number}"
        write_journal(journals / "s1.jsonl", [*STORED, *AHEAD])
        start_over(connection, LINES[0])
        assert flush(connection, journals).already_stored == 1
        write_journal(journals / "s1.jsonl", LINES)
        listener = AtCommand(number, lambda folder=journals: flush(connection, folder))
        delete(another(listener))
        if not listener.reached:
            break
        flush(connection, journals)
        assert texts(database) == wanted(database, ids), f"before command {number}"


def test_a_worker_is_killed_at_each_command_and_the_session_is_deleted(
    connection: Connection, another: Another, database: Documents, replay: Callable[[], None]
) -> None:
    """If it is killed after it has stored lines and before it has looked for a tombstone, a replay deletes the lines."""
    for number in until_not_reached():
        start_over(connection)

        def work(number: int = number) -> None:
            store(another(AtCommand(number, lambda: delete(another()), then=kill_this_process)), [*QUEUED, *NEW])

        ended = run_in_fork(work)
        replay()
        if ended == 0:
            break
        assert ended == -9
    assert number > 4


# --- a deletion that is killed, or meets another one -----------------------------------------------------------------


@pytest.mark.parametrize("again", [True, False], ids=["and run again", "and not run again"])
def test_a_deletion_is_killed_at_each_command(
    connection: Connection,
    another: Another,
    database: Documents,
    replay: Callable[[], None],
    again: bool,
) -> None:
    """If it is not run again, a replay of the journal deletes the rows that the tombstone covers."""
    left: list[int] = []
    for number in until_not_reached():
        start_over(connection)

        def work(number: int = number) -> None:
            delete(another(KillAtCommand("before", number)))

        ended = run_in_fork(work)
        assert ended in (0, -9)
        left.append(len(texts(database)))
        if again:
            delete(connection, 5)
            assert texts(database) == []
        store(connection, [*QUEUED, *NEW])
        replay()
        if ended == 0:
            break
    assert (left[0], left[-1]) == (12, 0)
    assert len(left) > 8


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_deletions_are_killed_at_random_while_a_worker_stores(
    connection: Connection, another: Another, database: Documents, replay: Callable[[], None]
) -> None:
    random = Random(SEED)
    killed = 0
    for _ in range(300):
        start_over(connection)
        number, milliseconds = random.randint(1, 14), random.uniform(0, 8)

        def work(number: int = number, milliseconds: float = milliseconds) -> None:
            killer = KillAtCommand("during", number, milliseconds)
            delete(another(killer))
            killer.wait()

        worker = threading.Thread(target=store, args=(connection, [*QUEUED, *NEW]))
        begin = threading.Timer(random.uniform(0, 0.1), worker.start)
        begin.start()
        killed += run_in_fork(work) == -9
        begin.join()
        worker.join()
        replay()
        if random.random() < 0.5:
            delete(connection, 5)
            replay()
    assert killed > 30


def test_two_processes_delete_one_session_at_once(
    connection: Connection, another: Another, database: Documents, replay: Callable[[], None]
) -> None:
    """The other process finds rows that this one has not seen, and its time is later."""
    found_later = [line(20_000_000 + number, f"stored meanwhile {number}") for number in range(5)]
    for number in until_not_reached():
        start_over(connection)
        removed: list[int] = []

        def elsewhere(removed: list[int] = removed) -> None:
            store(connection, [*found_later, *QUEUED])
            removed.append(delete(connection, 5))

        listener = AtCommand(number, elsewhere)
        removed.append(delete(another(listener)))
        if not listener.reached:
            break
        assert texts(database) == [], f"before command {number}"
        assert sum(removed) >= len([*STORED, *AHEAD, *found_later])
        store(connection, NEW)
        replay()
        assert database[TOMBSTONES].find_one({"row_ids": {"$exists": True}}) is not None
    assert number > 8


def test_rows_that_get_the_same_id_later_are_not_deleted_for_the_old_ones(
    connection: Connection, another: Another, database: Documents
) -> None:
    """The application uses a message_id again after another process has deleted the first message."""
    old, new = line(-50, "old"), line(50, "new") | {"message_id": "old"}

    def elsewhere() -> None:
        delete(connection)
        store(connection, [new])

    start_over(connection, old)
    identity = database[COLLECTION].find_one({})["_id"]
    survived = []
    for number in until_not_reached():
        start_over(connection, old)
        listener = AtCommand(number, elsewhere)
        delete(another(listener))
        if not listener.reached:
            break
        survived.append(texts(database))
        assert survived[-1] == wanted(database, {"old": identity, "new": identity}, [old, new])
    # A deletion that has not read the rows yet finds the new message and deletes it too.
    assert [each for each, _ in itertools.groupby(survived)] == [[], ["new"]]
