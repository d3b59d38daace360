"""The worker's thread: batches of the right size at the right time, kept after every failure, stopped in time."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from chatstore_cli.core.recording.queue import Batch, PendingMessages
from chatstore_cli.core.recording.worker import PersistenceWorker
from chatstore_cli.domain.errors import ChatstoreError, NotAllowed, Unreachable
from chatstore_cli.domain.journal import Entry
from chatstore_cli.domain.recording import JournalRange, LineLocation, RecoveredLines, RetryCallbacks, Stored
from tests.support.journals import START, record
from tests.support.manual_event import ManualEvent
from tests.support.mongod import poll

LONG = 3_600.0
Kept = tuple[str, str]


class Storage:
    """Stores into lists. `failures` are raised first; while `open` is not set, it hangs."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.asked = 0
        self.failures: list[BaseException] = []
        self.always: Exception | None = None
        self.open = threading.Event()
        self.open.set()
        self.refused: dict[str, str] = {}
        self.known: set[str] = set()
        self.meanwhile: Callable[[], None] = lambda: None

    def store(self, entries: Sequence[Entry]) -> Stored:
        self.asked += 1
        self.meanwhile()
        self.open.wait()
        if self.failures:
            raise self.failures.pop(0)
        if self.always is not None:
            raise self.always
        ids = [entry.identity for entry in entries]
        refused = [(entry, self.refused[entry.identity]) for entry in entries if entry.identity in self.refused]
        new = [one for one in ids if one not in self.known and one not in self.refused]
        self.known |= set(new)
        self.batches.append(ids)
        return Stored(len(ids), len(new), len(ids) - len(new) - len(refused), 0, refused)

    @property
    def ids(self) -> list[str]:
        return [one for batch in self.batches for one in batch]


class Refused:
    """The quarantine; `failures` are raised first."""

    def __init__(self) -> None:
        self.kept: list[Kept] = []
        self.failures: list[Exception] = []
        self.synced = 0

    def add(
        self,
        source: str,
        number: int,
        offset: int,
        raw: bytes,
        reason: str,
        quarantined_at: str,
        identity: str | None = None,
    ) -> bool:
        if self.failures:
            raise self.failures.pop(0)
        if any(raw.decode() == kept for kept, _ in self.kept):
            return False
        self.kept.append((raw.decode(), reason))
        return True

    def sync(self) -> None:
        self.synced += 1


class Bench:
    """A worker over a queue in memory, and what it is made of."""

    def __init__(self, **settings: Any) -> None:
        self.storage, self.refused = Storage(), Refused()
        self.pending: PendingMessages = settings.pop("pending", None) or in_memory()
        settings = {"batch_size": 100, "interval": 0.02, **settings}
        self.worker = PersistenceWorker(
            self.pending, self._opened, lambda: self.refused, lambda entry: entry.identity.encode(), **settings
        )
        self.interval = ManualEvent()
        """The wait for a full batch: it ends when a test says that the interval is over."""
        self.count = 0
        self._counting = threading.Lock()

    def _opened(self, _: RetryCallbacks) -> Storage:
        return self.storage

    def start_with_manual_interval(self) -> None:
        self.worker._has_full_batch = self.interval
        self.worker.start()

    def record(self, times: int = 1) -> None:
        for _ in range(times):
            with self._counting:
                self.count += 1
                number = self.count
            add(self.pending, number)
            self.worker.notify_new_message()

    @property
    def all_ids(self) -> list[str]:
        return [f"id-{number}" for number in range(1, self.count + 1)]

    def stored_all(self) -> bool:
        return len(self.storage.ids) >= self.count

    def assert_each_once(self) -> None:
        assert Counter(self.storage.ids) == Counter(self.all_ids)


def in_memory(kind: type[PendingMessages] = PendingMessages) -> PendingMessages:
    return kind(1_000_000, 1 << 40, None, lambda _: None)


def add(pending: PendingMessages, number: int) -> None:
    place = LineLocation("memory", 0, number, 0, 100)
    entry = Entry("memory", f"id-{number}", b"", "", record(number, message_id=f"m-{number}"), number, 0, b"")
    pending.add(entry, place, 100)


@pytest.fixture
def bench() -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(**settings: Any) -> Bench:
        made.append(Bench(**settings))
        return made[-1]

    yield make
    for one in made:
        one.storage.open.set()
        one.storage.always = None
        one.interval.set()
        one.worker.stop(0)


# --- batches ---------------------------------------------------------------------------------------------------------


def test_no_batch_is_larger_than_it_may_be_and_full_ones_go_at_once(bench: Callable[..., Bench]) -> None:
    made = bench(batch_size=10, interval=LONG)
    made.worker.start()
    made.record(30)
    poll(made.stored_all, what="full batches stored long before the interval is over")
    assert [len(batch) for batch in made.storage.batches] == [10, 10, 10]
    assert made.storage.ids == made.all_ids


def test_a_lone_message_is_stored_when_the_interval_is_over_not_before(bench: Callable[..., Bench]) -> None:
    made = bench(interval=0.3)
    made.start_with_manual_interval()
    made.record()
    poll(lambda: made.interval.timeouts, what="the wait for more messages")
    assert made.interval.timeouts == [0.3]
    assert made.storage.asked == 0
    made.interval.elapse()
    poll(made.stored_all)


def test_messages_of_one_interval_are_stored_together(bench: Callable[..., Bench]) -> None:
    made = bench(interval=0.3)
    made.start_with_manual_interval()
    for depth in range(1, 6):
        made.record()
        poll(lambda: made.interval.timeouts)
        assert made.pending.depth == depth
    made.interval.elapse()
    poll(made.stored_all)
    assert made.storage.batches == [made.all_ids]


def test_what_remains_after_full_batches_does_not_wait_for_another_interval(bench: Callable[..., Bench]) -> None:
    made = bench(batch_size=10, interval=0.3)
    made.storage.open.clear()
    made.start_with_manual_interval()
    made.record(10)
    poll(lambda: made.storage.asked)
    made.record(15)
    made.storage.open.set()
    poll(made.stored_all)
    assert [len(batch) for batch in made.storage.batches] == [10, 10, 5]


def test_what_is_recorded_while_a_batch_is_stored_waits_no_longer_than_the_interval_in_all(
    bench: Callable[..., Bench],
) -> None:
    now = [100.0]
    made = bench(interval=0.6, monotonic=lambda: now[0])
    made.storage.open.clear()
    made.start_with_manual_interval()
    made.record()
    poll(lambda: made.interval.timeouts)
    made.interval.elapse()
    poll(lambda: made.storage.asked)
    made.record()
    now[0] += 0.5
    made.storage.open.set()
    poll(lambda: len(made.interval.timeouts) == 2)
    assert made.interval.timeouts == pytest.approx([0.6, 0.1])
    made.interval.elapse()
    poll(made.stored_all)
    assert made.storage.batches == [["id-1"], ["id-2"]]


def test_a_steady_stream_is_stored_all_the_time(bench: Callable[..., Bench]) -> None:
    made = bench(batch_size=50, interval=0.05)
    made.worker.start()
    for _ in range(100):
        made.record(3)
        time.sleep(0.002)  # as an application does
    poll(made.stored_all)
    assert max(map(len, made.storage.batches)) <= 50
    assert len(made.storage.batches) >= 4
    made.assert_each_once()
    assert made.storage.ids == made.all_ids


def test_no_interval_stores_at_once(bench: Callable[..., Bench]) -> None:
    made = bench(interval=0.0)
    made.worker.start()
    for _ in range(20):
        made.record()
        poll(made.stored_all, every=0.001)
    assert len(made.storage.batches) == 20


def test_what_was_recorded_before_the_start_is_stored_full_batches_at_once(bench: Callable[..., Bench]) -> None:
    made = bench(interval=LONG)
    for number in range(1, 251):
        add(made.pending, number)  # by a cache that had no worker yet
    made.count = 250
    made.worker.start()
    poll(made.stored_all)
    made.assert_each_once()


# --- failures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failure",
    [
        Unreachable(what="Nobody answers."),
        NotAllowed(what="The user may not."),
        ChatstoreError(what="Something."),
        ValueError("a fault of ours"),
        MemoryError(),
        RuntimeError("dictionary changed size during iteration"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_whatever_goes_wrong_the_batch_is_kept_and_tried_again(bench: Callable[..., Bench], failure: Exception) -> None:
    made = bench(jitter=lambda: -0.9)
    made.storage.failures = [failure, failure]
    made.worker.start()
    made.record(7)
    poll(made.stored_all)
    assert made.storage.asked == 3
    made.assert_each_once()
    stats = made.worker.stats()
    assert (stats.flushed, stats.queue_depth, stats.running) == (7, 0, True)
    assert stats.last_error is not None
    assert stats.last_error.endswith("7 messages are kept and will be retried.")
    assert "\n" not in stats.last_error
    assert isinstance(stats.last_error_at, datetime)


def test_pauses_grow_and_stay_within_ten_seconds(bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    made = bench(jitter=lambda: 1.0)
    paused: list[float] = []
    made.storage.failures = [Unreachable(what="x")] * 12
    monkeypatch.setattr(made.worker, "_pause", lambda seconds: paused.append(seconds) or False)
    made.worker.start()
    made.record()
    poll(made.stored_all)
    assert paused == sorted(paused)
    assert paused[:3] == pytest.approx([0.1, 0.2, 0.4])
    assert paused[-1] == 10.0


def test_recording_goes_on_while_the_database_hangs(bench: Callable[..., Bench]) -> None:
    made = bench()
    made.storage.open.clear()
    made.worker.start()
    made.record()
    poll(lambda: made.storage.asked)
    made.record(2_000)  # which returns, although the database does not answer
    assert made.worker.stats().queue_depth == 2_001
    made.storage.open.set()
    poll(made.stored_all)
    made.assert_each_once()


class Hostile(PendingMessages):
    """A queue whose taking fails now and then."""

    failures: list[Exception]

    def take(self, limit: int, most_bytes: int) -> Batch | None:
        if self.failures:
            raise self.failures.pop(0)
        return super().take(limit, most_bytes)


def test_the_thread_does_not_end_with_a_journal_that_cannot_be_read(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    pending = in_memory(Hostile)
    assert isinstance(pending, Hostile)
    pending.failures = [PermissionError(13, "Permission denied", "/x/s.jsonl"), KeyError("text"), ValueError("x")]
    made = bench(pending=pending)
    monkeypatch.setattr(made.worker, "_pause", lambda _: False)
    made.worker.start()
    made.record(3)
    poll(made.stored_all)
    made.assert_each_once()
    assert made.worker.stats().running


# --- what is refused, and what is lost -------------------------------------------------------------------------------


def test_a_refused_message_is_kept_beside_its_reason_and_the_others_are_stored(
    bench: Callable[..., Bench], caplog: pytest.LogCaptureFixture
) -> None:
    made = bench()
    made.storage.refused = {"id-3": "too large"}
    made.record(5)
    made.worker.start()
    poll(made.stored_all)
    assert made.worker.stop(60)
    assert made.refused.kept == [("id-3", "too large")]
    assert made.refused.synced == 1
    stats = made.worker.stats()
    assert (stats.flushed, stats.quarantined, stats.queue_depth) == (4, 1, 0)
    assert "[CHAT WORKER] Quarantined a message of session 's1': too large" in caplog.text


def test_while_the_quarantine_finds_no_room_the_batch_is_kept_and_not_stored_again(
    bench: Callable[..., Bench],
) -> None:
    made = bench(jitter=lambda: -0.9)
    made.storage.refused = {"id-2": "no", "id-4": "no"}
    made.refused.failures = [ChatstoreError(what="No space left on device.")] * 3
    made.record(5)
    made.worker.start()
    poll(made.stored_all)
    poll(lambda: made.worker.stats().queue_depth == 0)
    assert made.storage.asked == 1
    assert made.refused.kept == [("id-2", "no"), ("id-4", "no")]
    stats = made.worker.stats()
    assert (stats.flushed, stats.quarantined) == (3, 2)
    assert stats.last_error is not None
    assert "No space left on device." in stats.last_error


def test_a_stop_while_the_quarantine_finds_no_room_keeps_the_batch(bench: Callable[..., Bench]) -> None:
    made = bench(jitter=lambda: -0.9)
    made.storage.refused = {"id-2": "no"}
    made.refused.failures = [ChatstoreError(what="No space left on device.")] * 1_000
    made.record(3)
    made.worker.start()
    poll(lambda: made.storage.asked)
    assert not made.worker.stop(0.1)
    assert made.worker.stats().queue_depth == 3
    made.refused.failures = []
    made.worker.start()
    assert made.worker.stop(60)
    assert made.refused.kept == [("id-2", "no")]
    stats = made.worker.stats()
    assert stats.flushed + stats.skipped + stats.quarantined == 3


def test_lost_messages_are_counted_and_said(bench: Callable[..., Bench], caplog: pytest.LogCaptureFixture) -> None:
    def gone(unread: JournalRange, lines: int, about_bytes: int) -> RecoveredLines | None:
        return None

    made = bench(pending=PendingMessages(2, 1 << 30, gone, lambda _: None))
    made.record(5)
    made.worker.start()
    poll(lambda: made.worker.stats().queue_depth == 0)
    stats = made.worker.stats()
    assert (stats.flushed, stats.lost) == (2, 3)
    assert stats.last_error is not None
    assert "3 messages are lost: their journals were cut or removed" in stats.last_error
    assert "3 messages are lost" in caplog.text
    assert made.worker.stop(60)


def test_figures_add_up(bench: Callable[..., Bench], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    moments = iter(START + timedelta(seconds=number) for number in range(1_000))
    milliseconds = count()
    made = bench(clock=lambda: next(moments), monotonic=lambda: next(milliseconds) / 1000, batch_size=10)
    stats = made.worker.stats()
    assert (stats.flush_latency_p50, stats.flush_latency_p99, stats.last_persisted_at) == (None, None, None)
    made.storage.known = {"id-1", "id-2"}
    made.storage.refused = {"id-3": "no"}
    made.record(50)
    made.worker.start()
    assert made.worker.stop(60)
    stats = made.worker.stats()
    assert (stats.flushed, stats.skipped, stats.quarantined, stats.lost, stats.queue_depth) == (47, 2, 1, 0, 0)
    assert stats.flush_latency_p50 is not None
    assert stats.flush_latency_p99 is not None
    assert 1 <= stats.flush_latency_p50 <= stats.flush_latency_p99 <= 2
    assert stats.last_persisted_at is not None
    assert START < stats.last_persisted_at <= START + timedelta(seconds=20)
    assert not stats.running
    flushed = [line for line in caplog.messages if line.startswith("[CHAT WORKER] Flushed ")]
    assert len(flushed) == 5
    assert flushed[0].startswith("[CHAT WORKER] Flushed 9/10 chat messages to Mongo (")
    assert flushed[0].endswith(" ms).")


# --- starting and stopping -------------------------------------------------------------------------------------------


def test_stopping_stores_all_that_waits_not_one_batch(bench: Callable[..., Bench]) -> None:
    made = bench(batch_size=10, interval=LONG)
    made.worker.start()
    made.record(1_005)
    assert made.worker.stop(60)
    made.assert_each_once()
    assert not made.worker.stats().running


@pytest.mark.parametrize("how", ["hangs", "is away"])
def test_a_stop_while_the_database_is_gone_ends_in_time_and_a_start_goes_on(
    bench: Callable[..., Bench], how: str
) -> None:
    made = bench()
    if how == "hangs":
        made.storage.open.clear()
    else:
        made.storage.always = Unreachable(what="Nobody answers.")
    made.worker.start()
    made.record(250)
    poll(lambda: made.storage.asked)
    assert not made.worker.stop(0.3)
    assert made.worker.stats().queue_depth == 250
    made.worker.start()  # also while the last life still hangs
    made.record(5)
    made.storage.open.set()
    made.storage.always = None
    poll(made.stored_all)
    assert made.worker.stop(60)
    made.assert_each_once()
    assert made.worker.stats().flushed == 255


def test_a_stop_ends_in_time_although_the_database_takes_whatever_comes(bench: Callable[..., Bench]) -> None:
    now = [100.0]
    made = bench(batch_size=10, monotonic=lambda: now[0])
    made.storage.open.clear()
    made.record(5_000)
    made.worker.start()
    poll(lambda: made.storage.asked)
    stopped: list[bool] = []
    stopper = threading.Thread(target=lambda: stopped.append(made.worker.stop(0.2)))
    stopper.start()
    poll(made.worker._latest.stopping.is_set)

    def take_time() -> None:
        now[0] += 0.06

    made.storage.meanwhile = take_time
    made.storage.open.set()
    stopper.join()
    poll(lambda: not made.worker.stats().running)
    assert stopped == [False]
    assert len(made.storage.ids) == 50, "the batch that was being stored, and four that took 0.06 s each"
    assert made.worker.stats().queue_depth == 4_950
    made.worker.start()
    made.storage.meanwhile = lambda: None
    assert made.worker.stop(60)
    made.assert_each_once()


def test_a_database_that_comes_back_during_the_stop_is_noticed(bench: Callable[..., Bench]) -> None:
    made = bench(jitter=lambda: 99.0)  # pauses of ten seconds from the first on
    made.storage.always = Unreachable(what="Nobody answers.")
    made.worker.start()
    made.record(5)
    poll(lambda: made.storage.asked)

    def come_back() -> None:
        if made.worker._latest.stopping.is_set():
            made.storage.always = None

    made.storage.meanwhile = come_back
    assert made.worker.stop(60)
    made.assert_each_once()


class AtTheLastMoment(PendingMessages):
    """When the queue is found empty, `then` happens before the worker knows."""

    then: Callable[[], None] | None = None

    def take(self, limit: int, most_bytes: int) -> Batch | None:
        batch = super().take(limit, most_bytes)
        if batch is None and self.then is not None:
            then, self.then = self.then, None
            then()
        return batch


def test_what_is_recorded_at_the_last_moment_before_a_stop_is_stored(bench: Callable[..., Bench]) -> None:
    pending = in_memory(AtTheLastMoment)
    assert isinstance(pending, AtTheLastMoment)
    made = bench(pending=pending, interval=0.0)
    stopped: list[bool] = []
    stopper = threading.Thread(target=lambda: stopped.append(made.worker.stop(60)))

    def record_and_stop() -> None:
        made.record()
        stopper.start()
        poll(made.worker._latest.stopping.is_set)

    pending.then = record_and_stop
    made.worker.start()
    poll(lambda: pending.then is None and stopper.ident)
    stopper.join()
    assert stopped == [True]
    made.assert_each_once()


def test_stopped_twice_or_before_it_began_it_says_how_it_is(bench: Callable[..., Bench]) -> None:
    made = bench()
    assert made.worker.stop(1)
    made.record(3)
    assert not made.worker.stop(1)
    made.worker.start()
    assert made.worker.stop(60)
    assert made.worker.stop(60)
    made.record()
    assert not made.worker.stop(0.1)
    made.worker.start()
    assert made.worker.stop(60)
    made.assert_each_once()


def test_a_stop_from_its_own_thread_does_not_wait_for_itself(bench: Callable[..., Bench]) -> None:
    made = bench()
    answers: list[bool] = []
    made.storage.meanwhile = lambda: answers.append(made.worker.stop(5))
    made.worker.start()
    made.record(3)
    poll(lambda: not made.worker.stats().running)
    assert answers == [False]
    made.assert_each_once()


def test_two_starts_give_one_thread(bench: Callable[..., Bench]) -> None:
    made = bench(batch_size=1)
    together = threading.Barrier(8)

    def start() -> None:
        together.wait()
        made.worker.start()

    earlier = workers_threads()
    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(workers_threads() - earlier) == 1
    made.record(100)
    assert made.worker.stop(60)
    assert made.storage.ids == made.all_ids
    assert not workers_threads() - earlier


def workers_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "chatstore-worker"}


def test_cycles_of_start_notify_and_stop_from_several_threads_lose_and_double_nothing(
    bench: Callable[..., Bench],
) -> None:
    made = bench(batch_size=7, interval=0.001, jitter=lambda: -0.999)
    made.storage.failures = [Unreachable(what="x") for _ in range(10)]

    def cycle(number: int) -> None:
        chance = random.Random(number)
        for _ in range(40):
            made.record(chance.randrange(5))
            chance.choice([made.worker.start, made.worker.start, lambda: made.worker.stop(chance.random() / 50)])()

    threads = [threading.Thread(target=cycle, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    made.worker.start()
    assert made.worker.stop(60)
    made.assert_each_once()
    stats = made.worker.stats()
    assert (stats.flushed, stats.skipped, stats.queue_depth) == (made.count, 0, 0)


def test_a_second_life_begins_only_when_the_first_one_has_ended(bench: Callable[..., Bench]) -> None:
    made = bench(batch_size=5, interval=0.0)
    made.storage.open.clear()
    made.worker.start()
    made.record(5)
    poll(lambda: made.storage.asked)
    assert not made.worker.stop(0)
    made.worker.start()
    made.record(20)
    time.sleep(0.1)  # enough for a thread that does not wait
    assert made.storage.asked == 1
    made.storage.open.set()
    poll(made.stored_all)
    assert made.worker.stop(60)
    assert made.storage.ids == made.all_ids


def test_a_clock_that_is_asked_is_the_one_that_was_given(bench: Callable[..., Bench]) -> None:
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    made = bench(clock=lambda: moment)
    made.record()
    made.worker.start()
    assert made.worker.stop(60)
    assert made.worker.stats().last_persisted_at == moment


# --- deleted sessions ------------------------------------------------------------------------------------------------


def test_deleted_sessions_are_forgotten_after_a_batch_at_most_once_a_minute_whatever_that_raises() -> None:
    calls: list[float] = []
    now = [0.0]

    def forget() -> None:
        calls.append(now[0])
        raise ValueError("an id that cannot be stored")

    bench = Bench(monotonic=lambda: now[0], interval=0)
    bench.worker._forget_deleted = forget
    for now[0] in (0.0, 59.0, 60.0, 61.0, 200.0):
        bench.worker._settle(Batch([], 0))  # what was queued is stored
        bench.record()
        batch = bench.pending.take(10, 10_000)
        assert batch is not None
        assert bench.worker._settle(batch)
    assert calls == [0.0, 60.0, 200.0]
