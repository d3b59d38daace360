"""Following, round by round: what is read again, what is reported, and what stops it."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from chatstore_cli.core.flush import follow
from chatstore_cli.core.flush.follow import FileStamp, Follower, FollowRules, JournalScan
from chatstore_cli.core.flush.reading import Source
from chatstore_cli.core.flush.storing import StoringRules
from chatstore_cli.domain.errors import ChatstoreError, NotAllowed, Unreachable
from chatstore_cli.domain.journal import FlushResult
from chatstore_cli.files.journal_reader import JournalFile
from chatstore_cli.files.ledger import Ledger
from chatstore_cli.files.quarantine import Quarantine
from tests.support.in_memory import connection_in_memory
from tests.support.journals import COLLECTION, as_line, record, store_of, stored, wanted_of, write_journal
from tests.support.open_files import open_files


class Store:
    """mongomock's, with a collection id and failures that the test sets."""

    def __init__(self) -> None:
        self.connection = connection_in_memory()
        self.collection: str | None = "the first"
        self.failures: list[Exception] = []
        self.hangs = threading.Event()
        self.hangs.set()
        self.asked = 0
        self._inner = store_of(self.connection)
        self._inner.prepare()

    def collection_id(self) -> str | None:
        self.asked += 1
        self.hangs.wait(600)
        if self.failures:
            raise self.failures.pop(0)
        return self.collection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class Journals:
    """Some files, with stamps that the test sets."""

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger(folder / "ledger")
        self.quarantine = Quarantine(folder)
        self.stamps: dict[Path, FileStamp] = {}
        self.errors: dict[str, ChatstoreError] = {}
        self.opened: list[str] = []
        self.commits = 0
        self.failures: list[Exception] = []

    def scan(self) -> JournalScan:
        if self.failures:
            raise self.failures.pop(0)
        return JournalScan({str(path): stamp for path, stamp in self.stamps.items()}, dict(self.errors))

    def sources(self, names: Sequence[str]) -> list[Source]:
        self.opened.extend(Path(name).name for name in names)
        return [Source(JournalFile(Path(name)), self.ledger, self.quarantine) for name in names]

    def commit(self) -> None:
        self.commits += 1


class Following:
    """A follower of these journals, which runs one round at a time."""

    def __init__(self, folder: Path, **rules: Any) -> None:
        self.folder = folder
        self.store: Any = Store()
        self.journals = Journals(folder)
        self.said: list[str] = []
        self.results: list[FlushResult] = []
        self.now = 1_000.0
        self.follower = Follower(
            self.store,
            self.journals,
            FollowRules(StoringRules(), **{"interval": 0.001, **rules}),
            say=self.said.append,
            on_round=self.results.append,
            monotonic=lambda: self.now,
        )

    def write(self, name: str, *numbers: int, state: int = 1, settled: bool = True) -> None:
        path = write_journal(self.folder / name, [record(number) for number in numbers])
        self.journals.stamps[path] = FileStamp(state, settled)

    def round(self) -> list[str]:
        """The journals that were opened in it."""
        self.journals.opened.clear()
        self.follower._round()
        return sorted(self.journals.opened)

    @property
    def stored(self) -> Any:
        return stored(self.store.connection.database)


@pytest.fixture
def following(tmp_path: Path) -> Following:
    return Following(tmp_path)


def test_only_files_with_another_stamp_are_opened_again(following: Following):
    following.write("a.jsonl", 1, 2)
    following.write("b.jsonl", 3)
    assert following.round() == ["a.jsonl", "b.jsonl"]
    assert following.round() == []
    following.write("a.jsonl", 1, 2, 4, state=2)
    assert following.round() == ["a.jsonl"]
    assert following.stored == wanted_of(map(record, (1, 2, 3, 4)))
    assert following.journals.commits == 2, "what is remembered is on disk after each round"
    assert len(following.results) == 2


def test_a_server_that_does_not_answer_is_reported_while_its_answer_is_awaited(following: Following):
    following.write("a.jsonl", 1)
    answered = threading.Event()
    ask = following.store.collection_id

    def silent() -> str | None:
        answered.wait(60)
        return ask()

    following.store.collection_id = silent

    def stop_requests() -> int:
        following.now += 1  # a second between two looks
        if any("has not answered for 2 seconds" in line for line in following.said):
            answered.set()
        return int(any("Flushed 1/1" in line for line in following.said))

    following.follower.run(stop_requests)
    assert sum("has not answered" in line for line in following.said) == 1
    assert any("The database is reachable again" in line for line in following.said)


def test_the_reason_of_an_outage_is_reported_although_the_silence_before_it_was(following: Following):
    notices = following.follower._notices
    for _ in range(2):
        notices.silence("no answer")
        notices.outage("connection refused")
        notices.silence("no answer")
        notices.database_answered()
    assert [line.removeprefix("[CHAT WORKER] ") for line in following.said] == [
        "no answer", "connection refused", "The database is reachable again after 0 s.",
    ] * 2  # fmt: skip


def test_a_long_round_reports_how_far_it_is(following: Following, monkeypatch: pytest.MonkeyPatch):
    """Three journals, and ten seconds pass while each block is read."""
    for name in ("a.jsonl", "b.jsonl", "c.jsonl"):
        following.write(name, 1, 2)
    read = JournalFile.blocks

    def slowly(journal: JournalFile, start: int = 0) -> Any:
        for block in read(journal, start):
            following.now += 10
            yield block

    monkeypatch.setattr(JournalFile, "blocks", slowly)
    following.round()
    progress = [line for line in following.said if "Flushing 3 journals" in line]
    assert len(progress) == 3
    assert re.search(
        r"\[CHAT WORKER\] Flushing 3 journals: \d+ messages stored so far, now at byte \d+ of .*a\.jsonl\.", progress[0]
    )


def test_a_file_that_changed_just_now_is_opened_again_despite_an_equal_stamp(following: Following):
    """A file system's clock may be too coarse to tell two changes apart."""
    following.write("a.jsonl", 11, settled=False)
    assert following.round() == ["a.jsonl"]
    following.write("a.jsonl", 12, settled=False)
    assert following.round() == ["a.jsonl"]
    assert following.stored == wanted_of(map(record, (11, 12)))
    following.write("a.jsonl", 12, settled=True)
    assert following.round() == ["a.jsonl"]
    assert following.round() == []


def test_a_dropped_collection_gets_all_lines_again_also_from_inactive_journals(following: Following):
    following.write("a.jsonl", 1)
    following.write("b.jsonl", 2)
    following.round()
    following.store.connection.database.drop_collection(COLLECTION)
    assert following.round() == []
    following.store.collection = "the second"
    assert following.round() == ["a.jsonl", "b.jsonl"]
    assert following.stored == wanted_of(map(record, (1, 2)))
    following.store.collection = None
    assert following.round() == ["a.jsonl", "b.jsonl"]


def test_a_collection_that_is_recreated_during_a_round_gets_the_missing_lines(following: Following):
    following.write("a.jsonl", 1)
    following.write("b.jsonl", 2)
    following.round()
    following.write("b.jsonl", 2, 3, state=2)
    ids = iter(["the first", *["the second"] * 3])
    following.store.collection_id = lambda: next(ids)
    assert following.round() == ["b.jsonl"]
    assert following.round() == ["a.jsonl"]


def test_an_incomplete_last_line_is_pending_until_it_is_complete_and_counted_once(tmp_path: Path):
    following = Following(tmp_path)
    following.write("still.jsonl", 9)
    still, growing = tmp_path / "still.jsonl", tmp_path / "growing.jsonl"
    still.write_bytes(still.read_bytes() + b'{"never fin')
    whole = as_line(record(1))
    for state, written in enumerate((whole[:5], whole[:20], whole[:40]), 1):
        growing.write_bytes(written)
        following.journals.stamps[growing] = FileStamp(state, True)
        following.round()
    following.follower.run(lambda: 1)
    assert following.follower.total.pending == 2
    assert [Path(name).name for name in following.follower.total.incomplete] == ["still.jsonl", "growing.jsonl"]
    growing.write_bytes(whole)
    following.journals.stamps[growing] = FileStamp(9, True)
    following.follower._stopping.clear()
    following.round()
    following.follower.run(lambda: 1)
    assert (following.follower.total.pending, following.follower.total.stored) == (1, 2)
    del following.journals.stamps[still]
    following.follower._stopping.clear()
    following.round()
    following.follower.run(lambda: 1)
    assert following.follower.total.pending == 0


def test_a_collection_that_was_dropped_and_created_again_is_prepared_as_a_new_one(following: Following):
    """Another writer made it by storing, without its indexes. An older collection is not changed."""
    prepared: list[bool] = []
    prepare = following.store._inner.prepare

    def note(*, recreated: bool = False) -> Any:
        prepared.append(recreated)
        return prepare(recreated=recreated)

    following.store.prepare = note
    for number, collection in enumerate(("the first", "the first", "the second", "the second", None, "the third")):
        following.store.collection = collection
        following.write("a.jsonl", number, state=number)
        following.round()
    assert prepared == [False, False, True, False, True, True, True, True]


def test_removed_files_are_forgotten(following: Following):
    following.write("a.jsonl", 1)
    following.round()
    following.journals.stamps.clear()
    following.round()
    assert following.follower._flushed == {}
    following.write("a.jsonl", 1)
    assert following.round() == ["a.jsonl"]


def test_an_unreadable_journal_is_reported_once_and_retried_when_it_changes_and_each_minute(following: Following):
    broken = following.folder / "broken.jsonl"
    broken.write_bytes(b"\xff\xfeh\0i\0")
    following.journals.stamps[broken] = FileStamp(1, settled=True)
    following.write("a.jsonl", 1)
    following.round()
    assert following.said[0].startswith("[CHAT WORKER] Flushed 1/1 chat messages to Mongo (")
    assert following.round() == []
    assert [line for line in following.said if "UTF-16" in line] == [
        f"[CHAT WORKER] {broken}: the file is UTF-16. Convert it to UTF-8 and run the command again."
    ]
    for _ in range(3):
        assert following.round() == []
    following.now += 61
    assert following.round() == ["broken.jsonl"]
    following.now += 1
    assert following.round() == []
    assert sum("UTF-16" in line for line in following.said) == 1
    broken.write_bytes(as_line(record(2)))
    following.journals.stamps[broken] = FileStamp(2, settled=True)
    assert following.round() == ["broken.jsonl"]
    assert following.stored == wanted_of(map(record, (1, 2)))
    broken.write_bytes(b"\xff\xfe")
    following.journals.stamps[broken] = FileStamp(3, settled=True)
    following.round()
    following.round()
    assert sum("UTF-16" in line for line in following.said) == 2, "it is another trouble by now"


def test_a_journal_that_is_replaced_while_it_is_read_is_not_an_error(following: Following):
    journal = following.folder / "gone.jsonl"
    following.journals.stamps[journal] = FileStamp(1, settled=True)  # it has gone since it was looked at
    following.round()
    journal.write_bytes(as_line(record(1)))
    following.journals.stamps[journal] = FileStamp(2, settled=True)
    following.round()
    following.round()
    assert following.stored == wanted_of([record(1)])
    assert len(following.said) == 1


def test_a_failed_scan_is_reported_again_after_a_good_one(following: Following):
    trouble = {"/j": ChatstoreError(what="/j: Permission denied")}
    for troubles in (trouble, trouble, {}, trouble, trouble):
        following.journals.errors = troubles
        following.round()
    assert following.said == ["[CHAT WORKER] /j: Permission denied."] * 2


def test_an_outage_is_reported_at_its_beginning_each_minute_and_at_its_end(tmp_path: Path):
    following = Following(tmp_path)
    following.write("a.jsonl", 1)
    retry_policy = following.follower._retry_policy
    retry_policy._pause = lambda seconds: bool(setattr(following, "now", following.now + 20))
    following.store.failures = [Unreachable(what="no answer") for _ in range(8)]
    following.round()
    *outage, back, flushed = [line.partition(" Retrying")[0] for line in following.said]
    assert outage == ["[CHAT WORKER] no answer."] * 3
    assert back == "[CHAT WORKER] The database is reachable again after 160 s."
    assert "Flushed 1/1" in flushed
    assert following.stored == wanted_of([record(1)])


def test_notices_are_logged_too(following: Following, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO, logger="chatstore.worker"):
        following.write("a.jsonl", 1, 2)
        following.round()
    [told] = [entry.getMessage() for entry in caplog.records]
    assert told == following.said[0]
    assert told.startswith("[CHAT WORKER] Flushed 2/2 chat messages to Mongo (")
    assert told.endswith(" ms).")


# --- running and ending ----------------------------------------------------------------------------------------------


class Asked:
    """Asks to stop as soon as something is true."""

    def __init__(self, when: Callable[[], bool], times: int = 1) -> None:
        self._when = when
        self._times = times

    def __call__(self) -> int:
        return self._times if self._when() else 0


def test_it_follows_until_it_is_asked_to_stop(tmp_path: Path):
    following = Following(tmp_path)
    following.follower._monotonic = time.monotonic
    following.write("a.jsonl", 1)
    assert following.follower.run(Asked(lambda: following.store.asked > 5)) is False
    assert following.follower.total.stored == 1
    assert following.follower.total.files == 1


def test_a_stop_before_the_first_journal_is_read_is_the_reason_why_nothing_was_stored(tmp_path: Path):
    """The result does not claim that no journals were found."""
    following = Following(tmp_path)
    following.write("a.jsonl", 1)
    follower = following.follower

    def asked() -> str:
        follower._stopping.wait(60)
        return "the first"

    following.store.collection_id = asked
    assert follower.run(Asked(lambda: True)) is False
    assert (follower.total.files, follower.why_nothing_was_read) == (0, "Stopped before a journal was read.")


def test_once_ends_by_itself(tmp_path: Path):
    following = Following(tmp_path, once=True)
    following.write("a.jsonl", 1, 2, settled=False)
    assert following.follower.run(lambda: 0) is True
    assert (following.follower.total.lines, following.follower.total.stored) == (2, 2)


def test_once_ends_even_if_a_journal_keeps_growing(tmp_path: Path):
    following = Following(tmp_path, once=True)
    numbers = [1]
    following.write("a.jsonl", 1)
    commit = following.journals.commit

    def grow() -> None:
        commit()
        numbers.append(len(numbers) + 1)
        following.write("a.jsonl", *numbers, state=len(numbers))

    following.journals.commit = grow
    assert following.follower.run(lambda: 0) is True
    assert following.follower.total.stored == 3


@pytest.mark.parametrize("error", [NotAllowed(what="no right to write"), ValueError("a bug")])
def test_a_permanent_error_ends_it(tmp_path: Path, error: Exception):
    following = Following(tmp_path)
    following.store.failures = [error]
    with pytest.raises(type(error), match=str(error)):
        following.follower.run(lambda: 0)


def test_a_temporary_error_is_reported_and_retried(tmp_path: Path):
    following = Following(tmp_path)
    following.write("a.jsonl", 1)
    following.journals.failures = [OSError(28, "No space left on device", "/j"), ChatstoreError(what="odd")]
    following.follower.run(Asked(lambda: bool(following.results)))
    assert following.said[0] == "[CHAT WORKER] /j: No space left on device. Retrying."
    assert following.stored == wanted_of([record(1)])
    once = Following(tmp_path / "once", once=True) if (tmp_path / "once").mkdir() is None else following
    once.journals.failures = [ChatstoreError(what="odd")]
    with pytest.raises(ChatstoreError, match="odd"):
        once.follower.run(lambda: 0)


def test_pauses_are_short_again_after_a_successful_round(tmp_path: Path):
    following = Following(tmp_path)
    error = ChatstoreError(what="odd")
    pauses: list[float] = []

    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        if len(pauses) == 5:
            following.journals.failures = [error]
        if len(pauses) == 6:
            following.follower._stopping.set()
        return False

    following.journals.failures = [error] * 4
    following.follower._stopping.wait = wait
    following.follower._follow()
    assert pauses[:4] == sorted(pauses[:4])
    assert pauses[5] == pauses[0] < pauses[3]


@pytest.mark.parametrize(("times", "seconds_to_stop"), [(1, 0.2), (2, 3_600)])
def test_a_database_that_does_not_answer_does_not_delay_the_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, seconds_to_stop: float
):
    """Asked once, it waits a short while; asked twice, it does not wait."""
    monkeypatch.setattr(follow, "SECONDS_TO_STOP", seconds_to_stop)
    following = Following(tmp_path)
    following.follower._monotonic = following.follower._timed_store._monotonic = time.monotonic
    following.store.hangs.clear()
    following.follower.run(Asked(lambda: following.store.asked > 0, times))
    assert following.follower._timed_store.waiting_since is not None, "it has ended while the database hangs"
    assert following.said == [
        "[CHAT WORKER] Stopped before the database answered. Lines that are not stored remain in the journals."
    ]
    following.store.hangs.set()


def test_a_slow_database_that_answers_is_waited_for(tmp_path: Path):
    """Each answer takes less than the time to stop; all of them together take longer."""
    following = Following(tmp_path)
    following.write("a.jsonl", 1)
    inner = following.store._inner
    checks = threading.Semaphore(0)  # how often the follower was asked to stop and may have looked at the clock
    begun = threading.Event()

    def stop_requests() -> int:
        if not begun.is_set():
            return 0
        checks.release()
        return 1

    def slow(name: str) -> Callable[..., Any]:
        method = getattr(inner, name)

        def call(*arguments: Any) -> Any:
            begun.set()
            following.now += 0.9 * follow.SECONDS_TO_STOP
            while checks.acquire(blocking=False):
                pass
            for _ in range(2):
                assert checks.acquire(timeout=120)
            return method(*arguments)

        return call

    for name in ("survey", "insert", "stored_ids"):
        setattr(following.store, name, slow(name))
    following.follower.run(stop_requests)
    assert following.stored == wanted_of([record(1)])
    assert not any("before the database answered" in line for line in following.said)


def test_rounds_leave_nothing_behind(tmp_path: Path):
    """A worker runs for months: objects and files that each round leaves behind would add up."""
    import gc

    following = Following(tmp_path)
    numbers: list[int] = []

    def rounds(count: int) -> None:
        for _ in range(count):
            numbers.append(len(numbers))
            following.write("a.jsonl", numbers[-1], state=len(numbers))
            following.round()

    kinds = {
        "Flush",
        "Storer",
        "Reader",
        "JournalReading",
        "FinishedBatches",
        "LineQuarantine",
        "CountOnDisk",
        "WindowedCount",
    }

    def objects() -> Counter[str]:
        ours = [thing for thing in gc.get_objects() if str(type(thing).__module__).startswith("chatstore_cli.core")]
        return Counter(name for thing in ours if (name := type(thing).__name__) in kinds)

    rounds(3)
    gc.collect()
    earlier = objects()  # a thread of an earlier test may not have ended yet
    files = open_files(tmp_path)
    gc.disable()
    try:
        rounds(20)
        assert not objects() - earlier
    finally:
        gc.enable()
    assert open_files(tmp_path) == files
