"""Journals truncated, replaced, rotated, compressed, removed and made again under the worker: nothing lost or doubled.

Every line that was ever written must be stored, if some journal had it until it was stored.
"""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from chatstore_cli.files.journal_writer import JournalWriter
from tests.conftest import Chatstore
from tests.faults.test_kills import SEED
from tests.support.journals import COLLECTION, as_line, as_lines, quarantined, record, stored, wanted_of, write_journal
from tests.support.mongod import poll
from tests.support.worker_processes import Worker, running_worker, wait_until_stored

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]]
Record = dict[str, Any]
ROUNDS = [
    pytest.param(60, id="60"),
    pytest.param(1_000, id="1000", marks=[pytest.mark.soak, pytest.mark.timeout(7200)]),
]


class Application:
    """Writes to one journal as applications do: with or without message_ids, each line at once."""

    def __init__(self, journal: Path, chance: random.Random) -> None:
        self.journal = journal
        self.written: list[Record] = []
        self._chance = chance

    def write(self, lines: int) -> None:
        new = [self._line() for _ in range(lines)]
        self.journal.parent.mkdir(parents=True, exist_ok=True)
        with self.journal.open("ab") as stream:
            stream.write(as_lines(new))
        self.written += new

    def _line(self) -> Record:
        number = len(self.written) + self._chance.randrange(10**9)
        return record(len(self.written), text=f"message {number}", message_id=self._chance.choice([None, f"m{number}"]))


# --- what happens to journals ----------------------------------------------------------------------------------------


def rotate(journal: Path) -> None:
    """Rename the journals as logrotate does; the application continues with a new file."""
    older = {int(path.suffix[1:]): path for path in journal.parent.glob(f"{journal.name}.*") if path.suffix != ".gz"}
    for number in sorted(older, reverse=True):
        older[number].rename(journal.with_name(f"{journal.name}.{number + 1}"))
    journal.rename(journal.with_name(f"{journal.name}.1"))


def rotate_by_date(journal: Path) -> None:
    """logrotate's dateext: the renamed file never changes again."""
    journal.rename(unused(journal.parent, ".jsonl-20261128"))


def rotate_by_copying(journal: Path) -> None:
    """logrotate's copytruncate: the application keeps its file."""
    shutil.copy(journal, unused(journal.parent, ".jsonl"))
    os.truncate(journal, 0)


def compress(journal: Path) -> None:
    """A rotated file becomes a compressed one."""
    beside = journal.with_name("beside")
    beside.write_bytes(gzip.compress(journal.read_bytes()))
    beside.replace(unused(journal.parent, ".jsonl.1.gz"))
    journal.unlink()


def unused(folder: Path, end: str) -> Path:
    """A name that no file has yet: a journal that is overwritten before it was read is lost."""
    return folder / f"other-{len(list(folder.glob('other-*')))}{end}"


def replace_by_the_same(journal: Path) -> None:
    """An editor that saved it: the same lines in another file."""
    beside = journal.with_name("beside")
    shutil.copy(journal, beside)
    beside.replace(journal)


def keep_only_the_end(journal: Path) -> None:
    """A script that keeps the newest half; the older half is in another journal."""
    lines = journal.read_bytes().splitlines(keepends=True)
    half = len(lines) // 2
    with journal.with_name("older.jsonl").open("ab") as older:
        older.writelines(lines[:half])
    beside = journal.with_name("beside")
    beside.write_bytes(b"".join(lines[half:]))
    beside.replace(journal)


def touch(journal: Path) -> None:
    """Change only its time."""
    os.utime(journal)


HAPPENINGS = [rotate, rotate_by_date, rotate_by_copying, compress, replace_by_the_same, keep_only_the_end, touch]


@pytest.fixture
def application(tmp_path: Path) -> Application:
    return Application(tmp_path / "journals" / "s1.jsonl", random.Random(SEED))


@pytest.fixture
def worker(chatstore: Chatstore, application: Application) -> Iterator[Worker]:
    with running_worker(chatstore, application.journal.parent) as running:
        running.wait_until_it_follows()
        yield running
        assert running.end() == 0, running.err


@pytest.mark.parametrize("happening", HAPPENINGS)
def test_lines_written_before_and_after_are_all_stored_once(
    database: Documents, application: Application, worker: Worker, happening: Callable[[Path], None]
):
    application.write(200)
    wait_until_stored(database, wanted_of(application.written))
    application.write(50)  # which it may have stored, or not
    happening(application.journal)
    application.write(300)
    wait_until_stored(database, wanted_of(application.written))


@pytest.mark.parametrize("rounds", ROUNDS)
def test_whatever_happens_in_whatever_order_while_lines_are_written(
    database: Documents, application: Application, worker: Worker, rounds: int
):
    chance = random.Random(SEED)
    for _ in range(rounds):
        application.write(chance.randrange(1, 40))
        if chance.random() < 0.5:
            time.sleep(chance.uniform(0, 0.1))  # the instant is what is tried here: nothing is waited for
        if chance.random() < 0.3:
            chance.choice(HAPPENINGS)(application.journal)
    wait_until_stored(database, wanted_of(application.written))
    assert quarantined(application.journal.parent) == []


def test_a_journal_that_is_cut_off_and_written_anew_again_and_again(
    database: Documents, application: Application, worker: Worker
):
    """An application starts its file again: shorter, longer, and as long as before."""
    for lines in (100, 20, 300, 300, 1, 1, 400):
        beginning = len(application.written)
        if application.journal.exists():
            os.truncate(application.journal, 0)
        application.write(lines)
        poll(
            lambda beginning=beginning: sum(stored(database).values()) >= sum(wanted_of(application.written).values()),
            what=f"the {lines} lines behind {beginning}",
        )
    assert stored(database) == wanted_of(application.written)


def test_lines_of_the_same_length_in_the_same_place_are_new_ones(
    database: Documents, application: Application, worker: Worker
):
    """The file keeps its size and its inode; right after the write, it may keep its time, too."""
    application.journal.parent.mkdir(exist_ok=True)
    wanted = []
    for number in range(10, 30):
        wanted.append(record(number))
        with application.journal.open("r+b" if application.journal.exists() else "w+b") as stream:
            stream.write(as_line(wanted[-1]))
        poll(lambda number=number: database[COLLECTION].count_documents({"text": f"message {number}"}))
    assert stored(database) == wanted_of(wanted)


def test_a_journal_that_is_pruned_under_a_writers_eyes_loses_no_line(
    database: Documents, application: Application, worker: Worker
):
    """Journals are removed repeatedly, under the lock that writers take, once their lines are stored."""
    journals = JournalWriter(application.journal.parent)
    written: list[Record] = []
    ended = threading.Event()

    def write() -> None:
        while not ended.is_set():
            fields = record(len(written), message_id=f"m{len(written)}")
            journals.append("s1", journals.encode(fields))
            written.append(fields)
            ended.wait(0.002)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(8):
            poll(application.journal.exists)
            remove_once_it_is_stored(application.journal, database)
    finally:
        ended.set()
        thread.join()
        journals.close()
    wait_until_stored(database, wanted_of(written))


def remove_once_it_is_stored(journal: Path, database: Documents) -> None:
    with journal.open("rb") as stream:
        fcntl.flock(stream.fileno(), fcntl.LOCK_EX)  # the writer waits meanwhile
        ids = [json.loads(line)["message_id"] for line in stream]
        poll(lambda: database[COLLECTION].count_documents({"message_id": {"$in": ids}}) == len(ids))
        journal.unlink()


def test_a_folder_that_is_removed_and_made_again_is_followed_on(
    chatstore: Chatstore, database: Documents, application: Application, worker: Worker
):
    folder = application.journal.parent
    for _ in range(3):
        application.write(20)
        wait_until_stored(database, wanted_of(application.written))
        folder.rename(folder.with_name("going"))  # at once, as a removal does not go
        shutil.rmtree(folder.with_name("going"))
        application.write(20)
        wait_until_stored(database, wanted_of(application.written))
    poll((folder / ".chatstore" / "lock.holder").exists, what="the new folder's lock")
    outcome = chatstore("flush-cache", folder)
    assert outcome.code == 8
    assert f"chatstore worker (process {worker.process.pid} on " in outcome.err


def test_while_somebody_else_holds_a_folder_that_was_made_again_it_waits(
    chatstore: Chatstore, database: Documents, application: Application
):
    folder = application.journal.parent
    application.write(3)
    with running_worker(chatstore, folder) as first:
        wait_until_stored(database, wanted_of(application.written))
        first.process.send_signal(19)  # SIGSTOP: it does not look
        while folder.exists():  # until the signal arrives, it may remove files too
            shutil.rmtree(folder, ignore_errors=True)
        application.write(3)
        with running_worker(chatstore, folder) as second:
            wait_until_stored(database, wanted_of(application.written))
            first.process.send_signal(18)
            first.wait_until_it_said(f"in use by chatstore worker (process {second.process.pid} on ")
            assert second.end() == 0
        application.write(3)
        wait_until_stored(database, wanted_of(application.written))
        assert first.end() == 0


def test_a_ledger_that_is_removed_while_it_runs_costs_nothing(
    chatstore: Chatstore, database: Documents, application: Application, worker: Worker
):
    application.write(100)
    wait_until_stored(database, wanted_of(application.written))
    for file in (application.journal.parent / ".chatstore").glob("ledger*"):
        file.unlink()
    application.write(100)
    wait_until_stored(database, wanted_of(application.written))


def test_lines_that_are_not_in_the_order_of_their_times_are_counted_right_round_after_round(
    database: Documents, application: Application, worker: Worker
):
    """A clock that is set back: equal lines before and after are two messages, and no line is two."""
    lines = [record(number) for number in (5, 6, 7)]
    write_journal(application.journal, lines)
    wait_until_stored(database, wanted_of(lines))
    for number in (6, 3, 6, 3, 9, 1):
        lines.append(record(number))
        with application.journal.open("ab") as stream:
            stream.write(as_line(lines[-1]))
        wait_until_stored(database, wanted_of(lines))
