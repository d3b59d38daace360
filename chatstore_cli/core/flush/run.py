"""Flushes journals into the messages layout, each message exactly once.

One thread reads and checks, two store, so that neither the disk nor the database waits for the other.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

from chatstore_cli.core.flush.batches import Batch, FinishedBatches, Reached
from chatstore_cli.core.flush.corrections import Corrections
from chatstore_cli.core.flush.occurrences import CountOnDisk, OccurrenceCount, OutOfOrder, WindowedCount
from chatstore_cli.core.flush.options import FlushOptions
from chatstore_cli.core.flush.quarantine import LineQuarantine
from chatstore_cli.core.flush.reading import JournalReading, Reader, Source
from chatstore_cli.core.flush.source_state import SourceState
from chatstore_cli.core.flush.storing import Storer
from chatstore_cli.core.retry import Result, RetryPolicy
from chatstore_cli.domain.errors import ChatstoreError, Interrupted
from chatstore_cli.domain.journal import Entry, FlushResult, Position, Progress
from chatstore_cli.domain.message_store import MessageStore
from chatstore_cli.domain.quantities import quantity
from chatstore_cli.domain.times import Clock, utc_now

STORING_THREADS = 2
_PREPARATIONS = 3
_BATCH_MESSAGES = 2_500
_BATCH_BYTES = 4 * 1024 * 1024
"""A batch ends after that many messages, or with the block of 1 MiB (or one longer line) that passes these bytes."""


class _Stopped(Exception):
    """A storing thread has failed, or stop() was called, so reading ends."""


class Flush:
    """One run of flush-cache. Use it once."""

    def __init__(
        self,
        store: MessageStore,
        options: FlushOptions,
        *,
        clock: Clock = utc_now,
        say: Callable[[str], None] = lambda _: None,
        on_progress: Callable[[Progress], None] = lambda _: None,
        missing: Callable[[SourceState, Entry], None] | None = None,
        retry_policy: RetryPolicy | None = None,
    ) -> None:
        """`missing` is called, by several threads at once, with each entry that a dry run would store.

        `retry_policy` replaces the policy that the timeout of the options makes.
        """
        self._store = store
        self._options = options
        self._clock = clock
        self._say = say
        self._on_progress = on_progress
        self._stop = threading.Event()
        self._asked_to_stop = False
        self._retry_policy = retry_policy or RetryPolicy(
            options.timeout, say=say, pause=self._stop.wait, reach=store.reach
        )
        self._reader = Reader(session=options.session)
        self._storer = Storer(store, options.rules, self._retry_policy, missing)
        self._queue: queue.Queue[Batch | None] = queue.Queue(maxsize=STORING_THREADS)
        self._batch = Batch(0)
        self._finished = FinishedBatches(writes_ledger=options.writes_ledger)
        self._failure: Exception | None = None
        self.readings: dict[str, JournalReading] = {}
        """The last reading of each journal, by the journal's name. Complete once `run` has returned."""
        self._quarantined_before = 0
        self.unreadable: dict[str, ChatstoreError] = {}
        """Why a journal could not be read to its end, by its name."""

    @property
    def collection(self) -> str | None:
        """What identifies the collection that is stored into; None if that is not known yet."""
        return self._finished.collection

    @property
    def stored(self) -> int:
        """Messages stored so far, even if `run` raised."""
        return self._finished.stored

    def stop(self) -> None:
        """Stop once the batches in hand are stored: `run` returns what was done by then. From any thread.

        While the database is unreachable, nothing in hand can be stored: then `run` raises Unreachable.
        """
        self._asked_to_stop = True
        self._stop.set()

    def run(self, sources: Sequence[Source]) -> FlushResult:
        """Flush the journals and return what was done.

        Raises as `attempt` does. A journal that cannot be read does not stop the others. Of several such errors, the
        first is raised last, and the others are reported.
        """
        result = self.attempt(sources)
        self.require_all_read(result)
        return result

    def require_all_read(self, result: FlushResult) -> None:
        """Raise the error of the first journal that `attempt` could not read, and report those of the others."""
        if self.unreadable:
            first, *others = self.unreadable.values()
            for error in others:
                self._say(error.as_text())
            first.hint = f"{first.hint or ''} From all journals: {self._summary(result)}".strip()
            raise first

    def attempt(self, sources: Sequence[Source]) -> FlushResult:
        """Flush the journals and return what was done; `unreadable` has the journals that could not be read.

        Raises the first error that stopped it (Unreachable once `timeout` is over; Interrupted) after the batches in
        hand have ended. The error reports how much was stored.
        """
        started = time.monotonic()
        interrupted = False
        try:
            self._prepare()
            self._read_and_store(sources)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            self._storer.close()
        result = self._result(len(sources), time.monotonic() - started)
        if interrupted:
            raise Interrupted(what=f"{self._summary(result)} Run the same command again to continue.")
        if isinstance(self._failure, ChatstoreError):
            self._failure.hint = (
                f"{self._summary(result)} Run the same command again to continue: nothing is stored twice."
            )
        if self._failure is not None:
            raise self._failure
        return result

    def _prepare(self) -> None:
        def call(operation: Callable[[], Result]) -> Result:
            return self._retry_policy.call(operation) if self._options.waits_at_start else operation()

        def prepare() -> list[str]:
            return self._store.prepare(recreated=self._options.recreated)

        dry_run = self._options.rules.dry_run
        for _ in range(_PREPARATIONS):  # the collection may be dropped right after it was prepared
            for notice in [] if dry_run else [*call(prepare), *call(self._store.warnings)]:
                self._say(notice)
            self._finished.collection = call(self._store.collection_id)
            if self.collection is not None or dry_run:
                return

    def _read_and_store(self, sources: Sequence[Source]) -> None:
        """Read in this thread and store in others. Raises KeyboardInterrupt once the batches in hand have ended."""
        threads = [threading.Thread(target=self._store_batches, daemon=True) for _ in range(STORING_THREADS)]
        for thread in threads:
            thread.start()
        try:
            self._read_all(sources)
        except KeyboardInterrupt:
            self._stop.set()  # ends the pauses between retries
            raise
        except _Stopped:
            if self._failure is None:
                self._cut()  # store what has been read
        finally:
            for _ in threads:
                self._put(None)
            for thread in threads:
                thread.join()
            for source in sources:
                source.quarantine.sync()
            self._finished.save_positions()
        if self._failure is None:
            self._close_corrected()

    def _close_corrected(self) -> None:
        """Remove the lines from quarantine that were corrected in their journal and are stored now, or were moved in it."""
        count = 0
        for reading in self.readings.values():
            if reading.corrections is not None and reading.at_end:
                corrected, moved = reading.corrections.closed()
                if corrected or moved:
                    reading.source.quarantine.remove(corrected | moved)
                count += len(corrected)
        if count:
            lines_are = "1 quarantined line is" if count == 1 else f"{count:,} quarantined lines are"
            self._say(f"{lines_are} corrected and stored: removed from the quarantine.")

    # --- the thread that reads ---------------------------------------------------------------------------------------

    def _read_all(self, sources: Sequence[Source]) -> None:
        again: list[Source] = []
        for source in sources:
            start = source.position(self.collection) if self._options.reads_ledger else None
            if not self._read(source, start, WindowedCount):
                again.append(source)
        self._cut()
        if again or any(reading.start is not None for reading in self.readings.values()):
            self._wait_until_stored()
        for reading in self.readings.values():
            if reading.needs_rereading and reading.source not in again:
                again.append(reading.source)
        if again:
            self._storer.forget_surveys()
        for source in again:
            self._say(f"{source.journal.name}: reading it again from its first line, to count equal lines.")
            started_inside = self.readings[source.journal.name].start is not None
            if not (started_inside and self._read(source, None, WindowedCount)):
                self._wait_until_stored()
                self._read(source, None, lambda _: CountOnDisk())  # which accepts lines in any order
        self._cut()

    def _read(self, source: Source, start: Position | None, count: Callable[[str], OccurrenceCount]) -> bool:
        """Read one journal into batches. False if equal lines have to be counted from its first line."""
        dry_run = self._options.rules.dry_run
        quarantine = LineQuarantine(source.quarantine, source.journal.name, self._clock, dry_run=dry_run)
        reading = JournalReading(source, quarantine, count(start.latest if start else ""), start)
        if start is None and not dry_run and self._options.session is None:
            corrections = Corrections(source.quarantine.lines_of(reading.name), source.journal.read)
            if not corrections.is_empty:
                reading.corrections = quarantine.corrections = corrections
        earlier = self.readings.get(reading.name)
        if earlier is not None and not dry_run:  # a dry run counts them as new again
            self._quarantined_before += earlier.quarantine.new
        self.readings[reading.name] = reading
        if start is not None and source.journal.compressed:
            return True
        added = start.offset if start else 0
        try:
            for entries in self._reader.entries(reading):
                self._add(entries, reading, reading.offset - added)
                added = reading.offset
                self._on_progress(Progress(reading.name, reading.offset, self.stored))
                if self._failure is not None or self._asked_to_stop:
                    raise _Stopped
            reading.at_end = True
        except OutOfOrder:
            reading.out_of_order = True
            return False
        except ChatstoreError as error:
            self.unreadable[reading.name] = error
        finally:
            reading.counting.close()  # the counts of thousands of journals would fill the memory
        return True

    def _add(self, entries: list[Entry], reading: JournalReading, length: int) -> None:
        for first in range(0, len(entries), _BATCH_MESSAGES):
            if len(self._batch.entries) + len(entries) - first > _BATCH_MESSAGES or self._batch.bytes > _BATCH_BYTES:
                self._cut()
            self._batch.entries.extend(entries[first : first + _BATCH_MESSAGES])
            self._batch.states[reading.name] = reading.state
        self._batch.bytes += length
        # A later run may start only here, at the end of whole lines: a batch can end between two fused records.
        self._batch.reached[reading.name] = Reached(reading, reading.offset, reading.records, reading.latest)

    def _cut(self) -> None:
        if self._batch.entries or self._batch.reached:
            batch, self._batch = self._batch, Batch(self._batch.number + 1)
            self._put(batch)

    def _put(self, batch: Batch | None) -> None:
        while True:
            try:
                self._queue.put(batch, timeout=0.2)
            except queue.Full:
                if self._failure is not None and batch is not None:
                    return  # the end (None) must reach every thread; a failed thread empties the queue up to it
            else:
                return

    def _wait_until_stored(self) -> None:
        while self._failure is None and self._finished.in_turn < self._batch.number:
            time.sleep(0.002)

    # --- the threads that store --------------------------------------------------------------------------------------

    def _store_batches(self) -> None:
        while (batch := self._queue.get()) is not None:
            if self._failure is not None:
                continue
            try:
                self._finished.finish(batch, self._storer.store(batch.entries, batch.states))
            except Exception as error:  # noqa: BLE001 - carried to the reading thread, which raises it
                self._failure = self._failure or error
                self._stop.set()

    # --- the result --------------------------------------------------------------------------------------------------

    def _result(self, files: int, seconds: float) -> FlushResult:
        readings = self.readings.values()
        lines = sum(reading.lines for reading in readings)
        bad = sum(reading.quarantine.total for reading in readings)
        skipped = sum(reading.state.skipped for reading in readings)
        quarantined = self._quarantined_before + sum(reading.quarantine.new for reading in readings)
        return FlushResult(
            files=files,
            lines=lines,
            stored=self.stored,
            already_stored=max(0, lines - bad - skipped - self.stored),
            quarantined=quarantined,
            already_quarantined=max(0, bad - quarantined),
            skipped=skipped,
            pending=sum(reading.pending for reading in readings),
            expired=sum(reading.state.expired for reading in readings),
            incomplete=[reading.name for reading in readings if reading.pending],
            altered=sum((reading.altered for reading in readings), Counter()),
            seconds=seconds,
        )

    def _summary(self, result: FlushResult) -> str:
        would_be = "would be " if self._options.rules.dry_run else ""
        quarantined = f"; {result.quarantined:,} {would_be}quarantined" if result.quarantined else ""
        stored, read = quantity(result.stored, "message"), quantity(result.lines, "line")
        return f"{stored} {would_be}stored of {read} read{quarantined}."
