"""Flushing: journals into the messages layout, each message exactly once (DESIGN section 4).

One thread reads and checks, two store, so that neither the disk nor the database waits for the other. Batches may end
in any order; a journal's position moves on only over batches that are all done, so a kill at any instant loses
nothing: what the ledger has not passed over is read again, and what is stored is recognised.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from chatstore_cli.core.flush.occurrences import CountOnDisk, OutOfOrder, WindowedCount
from chatstore_cli.core.flush.options import FlushOptions as FlushOptions  # whoever makes a Flush needs both
from chatstore_cli.core.flush.reading import Batch, Pass, Reader, Source
from chatstore_cli.core.flush.storing import Storer
from chatstore_cli.core.retry import Result, RetryPolicy
from chatstore_cli.domain.errors import ChatstoreError, Interrupted
from chatstore_cli.domain.journal import Entry, FlushResult, Progress
from chatstore_cli.domain.message_store import MessageStore
from chatstore_cli.domain.times import Clock, utc_now

STORING_THREADS = 2
_SECONDS_BETWEEN_POSITIONS = 1.0
_MOST_PREPARATIONS = 3
_BATCH = 2_500
_BATCH_BYTES = 4 * 1024 * 1024
"""How much is stored together: that many messages, or the block of 1 MiB (or one longer line) that passes these bytes."""


class _Stopped(Exception):
    """A storing thread has failed, or somebody asked to stop: no use in reading on."""


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
        missing: Callable[[Pass, Entry], None] | None = None,
        retry_policy: RetryPolicy | None = None,
    ) -> None:
        """`missing` is told of each entry that a dry run would store, by several threads at once.

        `retry_policy` takes the place of one that the timeout of the options makes.
        """
        self._store = store
        self._options = options
        self._say = say
        self._on_progress = on_progress
        self._stop = threading.Event()
        self._reader = Reader(clock, session=options.session, dry_run=options.rules.dry_run)
        self._asked_to_stop = False
        self._retry_policy = retry_policy or RetryPolicy(options.timeout, say=say, pause=self._stop.wait)
        self._storer = Storer(store, options.rules, self._retry_policy, clock, self._quarantine_entry, missing)
        self._queue: queue.Queue[Batch | None] = queue.Queue(maxsize=STORING_THREADS)
        self._batch = Batch(0)
        self._lock = threading.Lock()
        self._done: dict[int, Batch] = {}
        self._next_done = 0
        self._passed: dict[str, tuple[Pass, int, int, str]] = {}
        self._advanced = time.monotonic()
        self._stored = 0
        self._failure: Exception | None = None
        self._passes: dict[str, Pass] = {}
        self._newly_bad_before = 0
        self.unreadable: dict[str, ChatstoreError] = {}
        """Why a journal could not be read to its end, by its name."""
        self.collection: str | None = None
        """What identifies the collection that was stored into; None before it was asked for."""

    @property
    def stored(self) -> int:
        """Messages stored so far, also where `run` raised."""
        return self._stored

    @property
    def passes(self) -> Mapping[str, Pass]:
        """What was met in each journal, by its name; complete once `run` has ended."""
        return self._passes

    def stop(self) -> None:
        """Ask it to end once the batches in hand are stored: `run` gives what was done by then. From any thread.

        While the database is away, nothing in hand can be stored: then `run` raises Unreachable.
        """
        self._asked_to_stop = True
        self._stop.set()

    def run(self, sources: Sequence[Source]) -> FlushResult:
        """Flush the journals and say what was done.

        Raises as `attempt`; a journal that could not be read stops only itself, and is raised last.
        """
        result = self.attempt(sources)
        for error in self.unreadable.values():
            error.hint = f"{error.hint or ''} Apart from it: {_how_far(result)}".strip()
            raise error
        return result

    def attempt(self, sources: Sequence[Source]) -> FlushResult:
        """Flush the journals and say what was done; what cannot be read is in `unreadable` then.

        Raises the first error that stopped it (Unreachable once `timeout` is over; Interrupted), after what was begun
        has ended; its message says how far it got.
        """
        began = time.monotonic()
        try:
            self._look_at_the_collection()
            return self._attempt(sources, began)
        finally:
            self._storer.close()

    def _attempt(self, sources: Sequence[Source], began: float) -> FlushResult:
        threads = [threading.Thread(target=self._store_batches, daemon=True) for _ in range(STORING_THREADS)]
        for thread in threads:
            thread.start()
        interrupted = False
        try:
            self._read_all(sources)
        except KeyboardInterrupt:
            interrupted = True
            self._stop.set()  # whoever waits to try again need not
        except _Stopped:
            if self._failure is None:
                self._cut()  # what has been read is in hand
        finally:
            for _ in threads:
                self._put(None)
            for thread in threads:
                thread.join()
            for source in sources:
                source.quarantine.sync()
            self._advance_all()
        result = self._result(len(sources), time.monotonic() - began)
        how_far = _how_far(result)
        if interrupted:
            raise Interrupted(what=f"{how_far} Run the same command again to go on.")
        if isinstance(self._failure, ChatstoreError):
            self._failure.hint = f"{how_far} Run the same command again to go on: nothing is stored twice."
            raise self._failure
        if self._failure is not None:
            raise self._failure
        return result

    def _look_at_the_collection(self) -> None:
        def ask(question: Callable[[], Result]) -> Result:
            return self._retry_policy.call(question) if self._options.waits_at_start else question()

        def prepare() -> list[str]:
            return self._store.prepare(made_anew=self._options.made_anew)

        try:
            for _ in range(_MOST_PREPARATIONS):  # it may be dropped right after it was prepared
                if not self._options.rules.dry_run:
                    for done in ask(prepare):
                        self._say(done)
                self.collection = ask(self._store.collection_id)
                if self.collection is not None or self._options.rules.dry_run:
                    return
        except KeyboardInterrupt:
            raise Interrupted(what="Nothing was stored yet. Run the same command again to go on.") from None

    def _read_all(self, sources: Sequence[Source]) -> None:
        again: list[Source] = []
        for source in sources:
            if not self._read(source, self._start(source), WindowedCount):
                again.append(source)
        self._cut()
        if again or any(found.start is not None for found in self._passes.values()):
            self._wait_until_done()
        again.extend(found.source for found in self._passes.values() if found.abandoned and found.source not in again)
        if again:
            self._storer.forget_surveys()
        for source in again:
            self._say(f"{source.journal.name}: reading it again from its first line, to count equal lines.")
            begun_inside = self._passes[source.journal.name].start is not None
            if not (begun_inside and self._read(source, None, WindowedCount)):
                self._wait_until_done()
                self._read(source, None, lambda _: CountOnDisk())  # which no order of lines is wrong for
        self._cut()

    def _start(self, source: Source) -> Pass:
        start = None
        if self._options.reads_ledger and source.ledger and self.collection:
            start = source.ledger.position(source.journal.name, self.collection)
            if start is not None and not source.journal.still_at(start):
                start = None
        return Pass(source, WindowedCount(), start=start)

    def _read(self, source: Source, begun: Pass | None, count: Callable[[str], WindowedCount | CountOnDisk]) -> bool:
        """Read one journal into batches; False where equal lines have to be counted from its first line on."""
        at = begun or Pass(source, WindowedCount())
        at.counting = count(at.floor)
        earlier = self._passes.get(at.name)
        if earlier is not None and not self._options.rules.dry_run:  # a dry run finds them as new again
            self._newly_bad_before += earlier.newly_bad
        self._passes[at.name] = at
        if at.start is not None and source.journal.compressed:
            return True
        try:
            for entries in self._reader.entries(at):
                self._add(entries, at)
                self._on_progress(Progress(at.name, at.offset, self._stored))
                if self._failure is not None or self._asked_to_stop:
                    raise _Stopped
            at.ended = True
        except OutOfOrder:
            at.abandoned = True
            return False
        except ChatstoreError as error:
            self.unreadable[at.name] = error
        finally:
            if isinstance(at.counting, CountOnDisk):
                at.counting.close()
            at.counting = WindowedCount()  # of thousands of journals, what was counted would be a lot
        return True

    def _add(self, entries: list[Entry], at: Pass) -> None:
        for first in range(0, len(entries), _BATCH):
            if len(self._batch.entries) + len(entries) - first > _BATCH or self._batch.bytes > _BATCH_BYTES:
                self._cut()
            self._batch.entries.extend(entries[first : first + _BATCH])
        self._batch.bytes += at.offset - at.added
        at.added = at.offset
        # Only here, at the end of whole lines, may a later run begin: a batch can end between two fused records.
        self._batch.reached[at.name] = (at, at.offset, at.records, at.latest)

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
                    return  # the end (None) must reach every thread; a failed one takes all that stands before it
            else:
                return

    def _wait_until_done(self) -> None:
        while self._failure is None:
            with self._lock:
                if self._next_done == self._batch.number:
                    return
            time.sleep(0.002)

    def _store_batches(self) -> None:
        while (batch := self._queue.get()) is not None:
            if self._failure is not None:
                continue
            try:
                stored = self._storer.store(batch.entries, self._passes)
                self._finish(batch, stored)
            except Exception as error:  # noqa: BLE001 - carried to the reading thread, which raises it
                self._failure = self._failure or error
                self._stop.set()

    def _finish(self, batch: Batch, stored: int) -> None:
        batch.entries.clear()
        with self._lock:
            self._stored += stored
            self._done[batch.number] = batch
            while (ready := self._done.pop(self._next_done, None)) is not None:
                self._passed.update(ready.reached)
                self._next_done += 1
            if time.monotonic() - self._advanced > _SECONDS_BETWEEN_POSITIONS:
                self._advance_all()

    def _advance_all(self) -> None:
        """Remember how far each journal has been stored; a crash before that costs only reading again."""
        if self._options.writes_ledger:
            for at, offset, records, latest in self._passed.values():
                self._advance(at, offset, records, latest)
        self._passed.clear()
        self._advanced = time.monotonic()

    def _advance(self, at: Pass, offset: int, records: int, latest: str) -> None:
        source = at.source
        if at.abandoned or source.ledger is None or self.collection is None:
            return
        if source.journal.compressed and (not at.ended or at.pending or offset != at.offset):
            return  # of a compressed file, only the whole can be remembered
        source.quarantine.sync()
        position = source.journal.position_at(offset, records, latest)
        if position is not None:
            source.ledger.advance(source.journal.name, self.collection, position)

    def _quarantine_entry(self, at: Pass, entry: Entry, reason: str) -> None:
        self._reader.quarantine(at, entry.number, entry.offset, entry.raw, reason, entry.identity)

    def _result(self, files: int, seconds: float) -> FlushResult:
        passes = self._passes.values()
        lines = sum(found.lines for found in passes)
        bad = sum(found.bad for found in passes)
        skipped = sum(found.skipped for found in passes)
        newly_bad = self._newly_bad_before + sum(found.newly_bad for found in passes)
        return FlushResult(
            files=files,
            lines=lines,
            stored=self._stored,
            already_stored=max(0, lines - bad - skipped - self._stored),
            quarantined=newly_bad,
            already_quarantined=max(0, bad - newly_bad),
            skipped=skipped,
            pending=sum(found.pending for found in passes),
            expired=sum(found.expired for found in passes),
            seconds=seconds,
        )


def _how_far(result: FlushResult) -> str:
    return f"{result.stored:,} messages stored of {result.lines:,} lines read."
