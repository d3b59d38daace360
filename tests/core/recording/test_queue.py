"""The queue between recording and storing: nothing lost, nothing doubled, memory bounded, whatever befalls journals."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chatstore_cli.core.recording.queue import Batch, PendingMessages
from chatstore_cli.domain.errors import NotRecorded
from chatstore_cli.domain.identity import identity_by_message_id, session_prefix
from chatstore_cli.domain.journal import Entry
from chatstore_cli.domain.recording import JournalRange, LineLocation, RecoveredLines
from chatstore_cli.files.journal_writer import JournalWriter
from tests.support.journals import as_line, record

SESSIONS = ("a", "b", "c")
ALL = 10_000


def number_of(message_id: str) -> int | None:
    recorder, _, number = message_id.partition("-")
    return int(number) if recorder == "mine" else None


def entry_of(place: LineLocation, fields: dict[str, Any]) -> Entry:
    session = fields["session_id"]
    identity = identity_by_message_id(session_prefix(session), session, fields["message_id"])
    return Entry(place.source, identity, b"", fields["created_at"], fields, place.number, place.offset, b"")


def ids_of(batch: Batch | None) -> list[str]:
    return [entry.fields["message_id"] for entry in batch.entries] if batch is not None else []


class Recording:
    """Journals in a folder, with a queue behind them; `fail` is raised by the next reading back."""

    def __init__(self, folder: Path, max_messages: int, max_bytes: int = 1 << 30) -> None:
        self.folder = folder
        self.journals = JournalWriter(folder)
        self.pending = PendingMessages(max_messages, max_bytes, self._read_back, number_of)
        self.fail: OSError | None = None
        self.count = 0
        self.readings = 0

    def _read_back(self, unread: JournalRange, lines: int, about_bytes: int) -> RecoveredLines | None:
        self.readings += 1
        if self.fail is not None:
            failure, self.fail = self.fail, None
            raise failure
        return self.journals.read_back(unread, lines, about_bytes)

    def record(self, session: str = "a", text: str = "x") -> str:
        """As the cache does it."""
        self.count += 1
        message_id = f"mine-{self.count}"
        fields = record(self.count, session=session, text=text, message_id=message_id)
        line = as_line(fields).rstrip()
        self.pending.check_room(len(line))
        place = self.journals.append(session, line)
        self.pending.add(entry_of(place, fields), place, len(line))
        return message_id

    def path(self, session: str = "a") -> Path:
        return self.folder / f"{session}.jsonl"

    def take_all(self, limit: int = 100) -> tuple[list[str], int]:
        """Take and settle until there is nothing; gives the ids, and how many were lost."""
        ids: list[str] = []
        lost = 0
        while (batch := self.pending.take(limit, ALL)) is not None:
            ids += ids_of(batch)
            lost += batch.lost
            self.pending.settle(batch)
        return ids, lost


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[Callable[..., Recording]]:
    made: list[Recording] = []

    def make(max_messages: int = 2, **settings: Any) -> Recording:
        made.append(Recording(tmp_path / "journals", max_messages, **settings))
        return made[-1]

    yield make
    for one in made:
        one.journals.close()


# --- against a plain model -------------------------------------------------------------------------------------------


class Model(RuleBasedStateMachine):
    """Anything may happen to the journals; in the end each message was taken once, or its line is gone and it is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="pending-"))
        self.alive: dict[str, set[str]] = {session: set() for session in SESSIONS}
        self.settled: list[str] = []
        self.lost = 0
        self.batch: Batch | None = None
        self.rotated = 0

    @initialize(max_messages=st.integers(1, 4), max_bytes=st.sampled_from([400, 100_000]))
    def begin(self, max_messages: int, max_bytes: int) -> None:
        self.made = Recording(self.folder, max_messages, max_bytes)
        self.pending = self.made.pending

    @rule(session=st.sampled_from(SESSIONS), size=st.sampled_from([1, 50, 500]), times=st.integers(1, 5))
    def record(self, session: str, size: int, times: int) -> None:
        for _ in range(times):
            self.alive[session].add(self.made.record(session, "x" * size))

    @rule(session=st.sampled_from(SESSIONS), what=st.sampled_from(["line", "torn", "damaged", "copies"]))
    def another_process_writes(self, session: str, what: str) -> None:
        path = self.made.path(session)
        there = path.read_bytes() if path.exists() else b""
        with path.open("ab") as journal:
            if there and not there.endswith(b"\n"):
                journal.write(b"\n")
            if what == "line":
                journal.write(as_line(record(0, session=session, message_id="other-1")))
            elif what == "torn":
                journal.write(b'{"session_id": "a", "te')
            elif what == "damaged":
                journal.write(b'{"message_id": "mine-1"}\n\xff\n[]\n')
            else:
                journal.write(there[: there.rfind(b"\n") + 1][-2_000:].partition(b"\n")[2])

    @precondition(lambda self: self.batch is None)
    @rule(limit=st.integers(1, 6), most_bytes=st.sampled_from([1, 700, 100_000]))
    def take(self, limit: int, most_bytes: int) -> None:
        self.batch = self.pending.take(limit, most_bytes)
        assert self.batch is None or len(self.batch.entries) <= limit

    @precondition(lambda self: self.batch is None)
    @rule()
    def take_while_a_journal_cannot_be_read(self) -> None:
        self.made.fail = PermissionError(13, "Permission denied")
        try:
            self.batch = self.pending.take(3, 1_000)
        except PermissionError:
            pass
        finally:
            self.made.fail = None

    @precondition(lambda self: self.batch is not None)
    @rule(stored=st.booleans())
    def end_of_a_batch(self, stored: bool) -> None:
        assert self.batch is not None
        if stored:
            self.settled += ids_of(self.batch)
            self.pending.settle(self.batch)
        else:
            self.pending.give_back(self.batch)
        self.lost += self.batch.lost
        self.batch = None

    @rule(session=st.sampled_from(SESSIONS))
    def rotate(self, session: str) -> None:
        self.rotated += 1
        if self.made.path(session).exists():
            self.made.path(session).rename(f"{self.made.path(session)}.{self.rotated}")

    @rule(
        session=st.sampled_from(SESSIONS),
        how=st.sampled_from(["unlink", "replace", "cut", "cut somewhere"]),
        at=st.floats(0, 1),
    )
    def destroy(self, session: str, how: str, at: float) -> None:  # fmt: skip
        path = self.made.path(session)
        if not path.exists():
            return
        if how == "unlink":
            path.unlink()
        elif how == "replace":
            path.with_suffix(".new").write_bytes(as_line(record(0, session=session, message_id="other-2")))
            path.with_suffix(".new").replace(path)
        else:
            os.truncate(path, 0 if how == "cut" else int(path.stat().st_size * at))

    @invariant()
    def depth_is_what_is_neither_stored_nor_lost(self) -> None:
        if hasattr(self, "pending"):
            assert self.pending.depth == self.made.count - len(self.settled) - self.lost

    @invariant()
    def memory_is_bounded(self) -> None:
        if hasattr(self, "pending"):
            # A batch that is given back may come on top.
            assert len(self.pending._queue) <= self.made.pending._max_messages + 6

    def teardown(self) -> None:
        try:
            if not hasattr(self, "pending"):
                return
            self.made.journals.close()
            if self.batch is not None:
                self.end_of_a_batch(stored=False)
            ids, lost = self.made.take_all()
            self.settled += ids
            self.lost += lost
            assert len(self.settled) == len(set(self.settled)), "one was given twice"
            assert self.pending.depth == 0
            assert len(self.settled) + self.lost == self.made.count
            journals = b"".join(path.read_bytes() + b"\n" for path in self.folder.iterdir())
            recorded = {f"mine-{number}" for number in range(1, self.made.count + 1)}
            for lost_one in recorded - set(self.settled):
                assert f'"message_id": "{lost_one}"}}\n'.encode() not in journals, (
                    f"{lost_one} is there, and was given up"
                )
        finally:
            shutil.rmtree(self.folder)


Model.TestCase.settings = settings(settings.default, stateful_step_count=40)
TestAgainstAPlainModel = Model.TestCase


# --- one by one ------------------------------------------------------------------------------------------------------


def test_without_a_journal_a_full_queue_rejects_messages_and_loses_none() -> None:
    pending = PendingMessages(3, 1_000, None, number_of)
    for number in range(3):
        pending.check_room(100)
        place = LineLocation("memory", 0, number, 0, 50)
        pending.add(entry_of(place, record(number, message_id=f"mine-{number}")), place, 100)
    with pytest.raises(NotRecorded, match="3 messages are not stored yet, and the queue is full"):
        pending.check_room(100)
    batch = pending.take(2, ALL)
    assert ids_of(batch) == ["mine-0", "mine-1"]
    pending.check_room(100)
    assert batch is not None
    pending.give_back(batch)
    with pytest.raises(NotRecorded):
        pending.check_room(100)
    assert ids_of(pending.take(10, ALL)) == ["mine-0", "mine-1", "mine-2"]


def test_without_a_journal_the_queue_is_bounded_in_bytes_those_being_stored_included() -> None:
    pending = PendingMessages(100, 1_000, None, number_of)
    place = LineLocation("memory", 0, 1, 0, 50)
    pending.check_room(5_000)  # one is taken, however large
    pending.add(entry_of(place, record(0, message_id="mine-1")), place, 900)
    with pytest.raises(NotRecorded):
        pending.check_room(200)
    batch = pending.take(1, ALL)
    assert batch is not None
    with pytest.raises(NotRecorded):
        pending.check_room(200)
    pending.settle(batch)
    pending.check_room(200)


def test_messages_beyond_the_memory_limit_are_read_back_from_the_journal(recording: Callable[..., Recording]) -> None:
    made = recording(max_messages=2)
    recorded = [made.record(SESSIONS[number % 3], "é☕𝄞\n\0" * 10) for number in range(50)]
    assert len(made.pending._queue) == 2
    ids, lost = made.take_all()
    assert (sorted(ids), lost) == (sorted(recorded), 0)


def test_lines_come_back_as_they_were_recorded(recording: Callable[..., Recording]) -> None:
    made = recording(max_messages=1)
    made.record()
    place = made.journals.append("a", as_line(record(7, session="a", text="by somebody else")).rstrip())
    fields = record(8, session="a", text="\u202etext\0", metadata={"deep": [1, None, {"x": 0.5}]}, message_id="mine-77")
    line = as_line(fields).rstrip()
    place = made.journals.append("a", line)
    made.pending.add(entry_of(place, fields), place, len(line))
    assert place.number == 3
    first, second = made.pending.take(1, ALL), made.pending.take(1, ALL)
    assert first is not None
    assert second is not None
    assert second.entries == [entry_of(place, fields)]


def test_messages_of_a_removed_journal_count_as_lost_and_later_ones_are_stored(
    recording: Callable[..., Recording],
) -> None:
    made = recording(max_messages=1)
    made.record()
    for _ in range(5):
        made.record()
    made.path().unlink()
    later = [made.record() for _ in range(3)]
    ids, lost = made.take_all()
    assert (ids, lost) == (["mine-1", *later], 5)
    assert made.pending.depth == 0


def test_a_journal_that_is_cut_and_grows_past_its_old_end_returns_no_message_twice(
    recording: Callable[..., Recording],
) -> None:
    """The new lines stand where the lost ones stood."""
    made = recording(max_messages=1)
    made.record()
    for _ in range(5):
        made.record()
    os.truncate(made.path(), 0)
    later = [made.record() for _ in range(30)]
    ids, lost = made.take_all()
    assert (ids, lost) == (["mine-1", *later], 5)


def test_copied_lines_are_returned_once(recording: Callable[..., Recording]) -> None:
    made = recording(max_messages=1)
    recorded = [made.record() for _ in range(3)]
    with made.path().open("ab") as journal:
        journal.write(made.path().read_bytes())
    recorded += [made.record() for _ in range(3)]
    ids, lost = made.take_all()
    assert (ids, lost) == (recorded, 0)
    assert made.pending.depth == 0


@pytest.mark.parametrize("damage", [b'"text": 1', b'"txet": "x"', b"text"])
def test_only_a_damaged_line_is_lost(recording: Callable[..., Recording], damage: bytes) -> None:
    made = recording(max_messages=1)
    made.record()
    made.record(text="poor")
    made.record()
    content = made.path().read_bytes()
    made.path().write_bytes(content.replace(b'"text": "poor"', damage + b" " * (14 - len(damage))))
    ids, lost = made.take_all()
    assert (ids, lost) == (["mine-1", "mine-3"], 1)


def test_an_unreadable_journal_does_not_delay_the_others(recording: Callable[..., Recording]) -> None:
    made = recording(max_messages=1)
    made.record("a")
    unreadable = made.record("b")
    other = made.record("c")
    assert ids_of(made.pending.take(1, ALL)) == ["mine-1"]
    made.fail = PermissionError(13, "Permission denied")
    with pytest.raises(PermissionError):
        made.pending.take(10, ALL)
    batch = made.pending.take(1, ALL)
    assert ids_of(batch) == [other]
    assert ids_of(made.pending.take(1, ALL)) == [unreadable]


def test_lost_messages_are_reported_although_another_journal_cannot_be_read(
    recording: Callable[..., Recording],
) -> None:
    made = recording(max_messages=1)
    for session in ("a", "b", "b", "c"):
        made.record(session)
    made.path("b").unlink()
    assert ids_of(made.pending.take(1, ALL)) == ["mine-1"]
    made.pending._read_back = failing_after_first(made)
    batch = made.pending.take(10, ALL)
    assert batch is not None
    assert (batch.entries, batch.lost) == ([], 2)
    made.pending.settle(batch)
    assert ids_of(made.pending.take(10, ALL)) == ["mine-4"]


def failing_after_first(made: Recording) -> Callable[[JournalRange, int, int], RecoveredLines | None]:
    def read_back(unread: JournalRange, lines: int, about_bytes: int) -> RecoveredLines | None:
        if made.readings == 1:
            made.fail = OSError(5, "Input/output error")
        return made._read_back(unread, lines, about_bytes)

    return read_back


def test_a_batch_that_is_given_back_is_the_next_one_again_in_the_same_order(
    recording: Callable[..., Recording],
) -> None:
    made = recording(max_messages=4)
    for number in range(6):
        made.record(SESSIONS[number % 3])
    batch = made.pending.take(3, ALL)
    assert batch is not None
    made.pending.give_back(batch)
    assert made.pending.depth == 6
    assert ids_of(made.pending.take(3, ALL)) == ["mine-1", "mine-2", "mine-3"]


def test_a_batch_has_no_more_bytes_than_it_may_but_for_a_single_message(recording: Callable[..., Recording]) -> None:
    made = recording(max_messages=100)
    for size in (5_000, 5_000, 5_000, 50_000, 10):
        made.record(text="x" * size)
    sizes = []
    while (batch := made.pending.take(100, 11_000)) is not None:
        sizes.append(len(batch.entries))
    assert sizes == [2, 1, 1, 1]


@pytest.mark.parametrize("count", [3_000, pytest.param(10_000, marks=pytest.mark.soak)])
def test_thousands_of_sessions_of_one_message_each_come_back_in_one_reading_each(
    recording: Callable[..., Recording], count: int
) -> None:
    made = recording(max_messages=10)
    for number in range(count):
        made.record(f"s{number}")
    ids, lost = made.take_all()
    assert (len(set(ids)), len(ids), lost) == (count, count, 0)
    assert made.readings == count - 10


def test_a_long_journal_is_read_once_not_from_its_beginning_each_time(recording: Callable[..., Recording]) -> None:
    made = recording(max_messages=1)
    for _ in range(5_000):
        made.record(text="x" * 100)
    ids, _ = made.take_all(limit=100)
    assert len(ids) == 5_000
    assert made.readings < 150


def test_recording_threads_and_a_taking_one_lose_nothing(recording: Callable[..., Recording]) -> None:
    made = recording(max_messages=20)
    locks = [threading.Lock() for _ in SESSIONS]
    counting = threading.Lock()
    done = threading.Event()
    each = 400

    def record_some(session: int) -> None:
        for _ in range(each):
            with locks[session]:
                with counting:
                    made.count += 1
                    number = made.count
                fields = record(number, session=SESSIONS[session], message_id=f"mine-{number}")
                line = as_line(fields).rstrip()
                place = made.journals.append(SESSIONS[session], line)
                made.pending.add(entry_of(place, fields), place, len(line))

    ids: list[str] = []

    def take_some() -> None:
        while not done.is_set() or made.pending.depth:
            batch = made.pending.take(7, ALL)
            if batch is None:
                continue
            if len(ids) % 3 == 2:
                made.pending.give_back(batch)
                batch = made.pending.take(5, ALL)
                assert batch is not None
            assert batch.lost == 0
            ids.extend(ids_of(batch))
            made.pending.settle(batch)

    recorders = [threading.Thread(target=record_some, args=(session,)) for session in range(3)]
    taker = threading.Thread(target=take_some)
    for thread in [*recorders, taker]:
        thread.start()
    for thread in recorders:
        thread.join()
    done.set()
    taker.join(120)
    assert not taker.is_alive()
    assert sorted(ids) == sorted(f"mine-{number}" for number in range(1, 3 * each + 1))
