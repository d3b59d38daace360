"""Follows journals and stores new lines for as long as it runs, across outages, rotations and crashes.

Each round lists the files, and flushes those that may have changed. Only the ledger and a stamp for each file are kept
from round to round: each round asks the database again for the collection and for deleted sessions.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple, Protocol, cast

from chatstore_cli.core.flush.follow_notices import FollowNotices
from chatstore_cli.core.flush.options import FlushOptions
from chatstore_cli.core.flush.reading import Source
from chatstore_cli.core.flush.run import Flush
from chatstore_cli.core.flush.storing import StoringRules
from chatstore_cli.core.flush.timed_store import TimedStore
from chatstore_cli.core.retry import RetryPolicy
from chatstore_cli.domain.errors import (
    ChatstoreError,
    ForeignCollection,
    NotAllowed,
    Unreachable,
    UnsuitableCollection,
    WrongUse,
)
from chatstore_cli.domain.ignored_files import IgnoredFiles
from chatstore_cli.domain.journal import FlushResult, Progress
from chatstore_cli.domain.message_store import MessageStore

SECONDS_TO_STOP = 1.0
"""Seconds that one call to the database may still take after a stop was requested."""

_SECONDS_BETWEEN_PROGRESS = 10.0
_SECONDS_OF_SILENCE = 2.0
_SECONDS_UNTIL_REREAD = 60.0
_LONGEST_PAUSE = 10.0
"""Seconds."""

_MOST_ROUNDS_WITH_ONCE = 3
_PAUSE_PER_SCAN_SECOND = 9.0
"""Scanning the files takes at most a tenth of the time, however many there are."""


class FileStamp(NamedTuple):
    """The state of a journal's file at one scan. Equal `value`s mean equal content, unless it changed a moment ago.

    `settled`: the last change is long enough ago for the file system's clock to give a later change another time.
    """

    value: int
    settled: bool


class JournalScan(NamedTuple):
    """The stamps of the journals that exist, and the errors of those that cannot be examined, by name.

    `ignored` has the files that are not read.
    """

    stamps: dict[str, FileStamp]
    errors: dict[str, ChatstoreError]
    ignored: Sequence[IgnoredFiles] = ()


class FollowedJournals(Protocol):
    """The journals that are followed."""

    def scan(self) -> JournalScan:
        """The journals that exist now."""

    def sources(self, names: Sequence[str]) -> list[Source]:
        """Journals of the last scan, to be flushed."""

    def commit(self) -> None:
        """Write the ledgers to the disk."""


@dataclass(frozen=True)
class FollowRules:
    """How to follow: `interval` seconds between rounds; with `once` only until everything is stored.

    `timeout` is how many seconds one outage of the database may last.
    """

    storing: StoringRules
    interval: float = 1.0
    timeout: float = math.inf
    once: bool = False


class _Failed(NamedTuple):
    stamp: int
    error: ChatstoreError
    reread_at: float


class Follower:
    """Stores what is added to journals. Use it once.

    `say` is called with each notice, `on_round` with the result of each round that read new lines. Both are called from
    another thread.
    """

    def __init__(
        self,
        store: MessageStore,
        journals: FollowedJournals,
        rules: FollowRules,
        *,
        say: Callable[[str], None],
        on_round: Callable[[FlushResult], None] = lambda _: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._notices = FollowNotices(say, monotonic)
        self._timed_store = TimedStore(store, monotonic, self._notices.database_answered)
        self._store = cast(MessageStore, self._timed_store)
        self._journals = journals
        self._rules = rules
        self._on_round = on_round
        self._monotonic = monotonic
        self._stopping = threading.Event()
        self._retry_policy = RetryPolicy(
            rules.timeout, say=self._notices.outage, pause=self._stopping.wait, reach=self._store.reach
        )
        self._flush: Flush | None = None
        self._collection: str | None = None
        self._asked_collection = self._recreated = False
        self._flushed: dict[str, int] = {}  # by journal: the stamp it had when it was flushed last
        self._failed: dict[str, _Failed] = {}
        self._incomplete: dict[str, int] = {}  # by journal: incomplete last lines, not summed over rounds
        self._failure: BaseException | None = None
        self.total = FlushResult()
        self._rounds = 0
        self._is_asking = self._has_skipped = False
        """Rounds that were completed."""

    # --- the calling thread ------------------------------------------------------------------------------------------

    def run(self, stop_requests: Callable[[], int]) -> bool:
        """Follow until a stop is requested, or with `once` until everything is stored. Returns whether it ended by itself.

        `stop_requests` is called ten times a second and returns how often a stop was requested. After the first request
        the batches in hand are stored, as long as the database answers; after the second they are not. Lines that are
        not stored remain in the journals. Raises what ended it: NotAllowed, Unreachable once `timeout` is over, with
        `once` any error.
        """
        started = self._monotonic()
        thread = threading.Thread(target=self._run, name="chatstore-follower", daemon=True)
        thread.start()
        while thread.is_alive() and not stop_requests():
            thread.join(0.1)
            self._report_silence()
        stop_requested = self._monotonic()
        flush = self._flush
        self._stopping.set()
        if flush is not None:
            flush.stop()
        while thread.is_alive() and stop_requests() < 2:
            thread.join(0.05)
            waiting_since = self._timed_store.waiting_since
            if waiting_since is not None and self._monotonic() - max(stop_requested, waiting_since) > SECONDS_TO_STOP:
                break
        if thread.is_alive():
            self._notices.report(
                "Stopped before the database answered. Lines that are not stored remain in the journals."
            )
        incomplete = [
            name for name, lines in self._incomplete.copy().items() if lines
        ]  # a copy: the thread may still run
        self.total = replace(
            self.total, pending=len(incomplete), incomplete=incomplete, seconds=self._monotonic() - started
        )
        if self._failure is not None:
            raise self._failure
        return not stop_requests()

    @property
    def why_nothing_was_read(self) -> str:
        """Why the run ended before it read a journal, as a sentence; empty if it read all of them, or if there is none."""
        if self._rounds and not self._has_skipped:
            return ""
        if self._is_asking:
            return "MongoDB did not answer, so no journal was read."
        return "Stopped before a journal was read."

    def _report_silence(self) -> None:
        """Report a server that accepted a command and does not answer: the driver itself waits much longer."""
        waiting_since = self._timed_store.waiting_since
        if waiting_since is not None and self._monotonic() - waiting_since > _SECONDS_OF_SILENCE:
            self._notices.silence(f"MongoDB has not answered for {_SECONDS_OF_SILENCE:.0f} seconds. Waiting.")

    # --- the thread that follows -------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._follow()
        except BaseException as error:  # noqa: BLE001 - carried to the calling thread, which raises it
            if not (self._stopping.is_set() and isinstance(error, Unreachable)):
                self._failure = error

    def _follow(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            pause = self._rules.interval
            try:
                scan_seconds, had_work = self._round()
                pause = max(pause, scan_seconds * _PAUSE_PER_SCAN_SECOND)
                failures = 0
                self._rounds += 1
                if self._rules.once and (not had_work or self._rounds >= _MOST_ROUNDS_WITH_ONCE):
                    self._raise_remaining_error()
                    return
            except (Unreachable, NotAllowed, UnsuitableCollection, ForeignCollection, WrongUse, BrokenPipeError):
                raise  # the reader of the results has ended
            except (ChatstoreError, OSError) as error:
                if self._rules.once:
                    raise
                failures += 1
                pause = max(pause, min(_LONGEST_PAUSE, 0.1 * 2.0 ** min(failures, 10)))
                self._notices.failed_round(error)
            if not self._rules.once:
                self._stopping.wait(pause)

    def _round(self) -> tuple[float, bool]:
        """Flush once what has changed. Returns how many seconds the scan took, and whether anything had changed."""
        started = self._monotonic()
        scan = self._journals.scan()
        scan_seconds = self._monotonic() - started
        self._notices.ignored_files(scan.ignored)
        self._is_asking = True
        collection = self._retry_policy.call(self._store.collection_id)
        self._is_asking = False
        if collection != self._collection:  # dropped, or new: it does not have what was stored before
            self._flushed.clear()
            self._failed.clear()
            self._recreated = self._asked_collection
        self._collection, self._asked_collection = collection, True
        self._flushed = {name: stamp for name, stamp in self._flushed.items() if name in scan.stamps}
        self._incomplete = {name: count for name, count in self._incomplete.items() if name in scan.stamps}
        self._schedule_rereads(scan)
        due = [name for name, stamp in scan.stamps.items() if self._flushed.get(name) != stamp.value]
        if due and self._stopping.is_set():
            self._has_skipped = True
        elif due:
            self._flush_journals(due, scan)
        self._notices.journal_errors(scan.errors)
        return scan_seconds, bool(due)

    def _schedule_rereads(self, scan: JournalScan) -> None:
        """A journal that could not be read is read again once it has changed, and each minute. Until then it is an error."""
        for name, failed in list(self._failed.items()):
            stamp = scan.stamps.get(name)
            if stamp is None or stamp.value != failed.stamp:
                del self._failed[name]
                continue
            scan.errors[name] = failed.error
            if self._monotonic() > failed.reread_at:
                self._flushed.pop(name, None)
            else:
                self._flushed[name] = failed.stamp

    def _flush_journals(self, due: list[str], scan: JournalScan) -> None:
        started = self._monotonic()
        options = FlushOptions(rules=self._rules.storing, waits_at_start=True, recreated=self._recreated)
        reported = started

        def show_progress(progress: Progress) -> None:
            nonlocal reported
            if (now := self._monotonic()) - reported >= _SECONDS_BETWEEN_PROGRESS:
                reported = now
                self._notices.progress(progress, len(due))

        flush = Flush(
            self._store,
            options,
            say=self._notices.flush_notice,
            on_progress=show_progress,
            retry_policy=self._retry_policy,
        )
        self._flush = flush
        if self._stopping.is_set():  # run() may have read `_flush` before it was set
            return
        try:
            result = flush.attempt(self._journals.sources(due))
        except BaseException:
            self.total = _sum(self.total, FlushResult(lines=flush.stored, stored=flush.stored))
            raise
        finally:
            self._flush = None
            self._journals.commit()
        self._incomplete |= {name: reading.pending for name, reading in flush.readings.items()}
        self._remember(due, scan, flush)
        self.total = _sum(self.total, result, files=len(scan.stamps))
        self._notices.flushed(result, self._monotonic() - started)
        if result.lines:
            self._on_round(result)

    def _remember(self, due: list[str], scan: JournalScan, flush: Flush) -> None:
        if self._stopping.is_set():
            return
        if flush.collection != self._collection and len(due) < len(scan.stamps):
            self._flushed.clear()  # the collection is new since the scan: it does not have the other journals
        self._recreated = flush.collection != self._collection
        self._collection = flush.collection
        for name in due:
            stamp = scan.stamps[name]
            self._failed.pop(name, None)
            if name in flush.unreadable:
                reread_at = self._monotonic() + _SECONDS_UNTIL_REREAD
                self._failed[name] = _Failed(stamp.value, flush.unreadable[name], reread_at)
            if stamp.settled or self._rules.once:
                self._flushed[name] = stamp.value
            else:
                self._flushed.pop(name, None)

    def _raise_remaining_error(self) -> None:
        scan = self._journals.scan()
        self._schedule_rereads(scan)
        for error in scan.errors.values():
            error.hint = f"{error.hint or ''} Every complete line that could be read is stored or quarantined.".strip()
            raise error


def _sum(first: FlushResult, second: FlushResult, files: int | None = None) -> FlushResult:
    numbers = [field.name for field in fields(FlushResult) if field.name not in ("altered", "incomplete")]
    values = {name: getattr(first, name) + getattr(second, name) for name in numbers}
    altered = Counter(first.altered) + Counter(second.altered)
    return FlushResult(**values | {"files": first.files if files is None else files, "altered": altered})
