"""The state of journals: what is stored, what is not stored yet, and since when."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from chatstore_cli.core.flush.occurrences import NotCounted
from chatstore_cli.core.flush.options import FlushOptions
from chatstore_cli.core.flush.quarantine import LineQuarantine
from chatstore_cli.core.flush.reading import JournalReading, Reader, Source
from chatstore_cli.core.flush.run import Flush
from chatstore_cli.core.flush.source_state import SourceState
from chatstore_cli.core.flush.storing import StoringRules
from chatstore_cli.domain.cache_status import CacheReport, CacheStatus, LockHolder
from chatstore_cli.domain.errors import ChatstoreError, NotAllowed, Overdue, Unreachable
from chatstore_cli.domain.future_journals import FutureJournals, future_journals
from chatstore_cli.domain.ignored_files import IgnoredFiles
from chatstore_cli.domain.journal import MOST_NAMED, Entry, Position
from chatstore_cli.domain.message_store import MessageStore
from chatstore_cli.domain.times import Clock, utc_now


class JournalSet(Protocol):
    """Some journals, and what is remembered about them."""

    @property
    def total_bytes(self) -> int:
        """Bytes of all journals."""

    @property
    def sessions(self) -> int:
        """How many sessions the names of the journals stand for."""

    def to_read(self) -> AbstractContextManager[list[Source]]:
        """The journals, to be read only."""

    def furthest_position(self, source: Source) -> Position | None:
        """How far the journal was stored in the collection that has most of it."""

    @property
    def ignored(self) -> Sequence[IgnoredFiles]:
        """The files in the folders that are not read."""

    def count_quarantined(self) -> int:
        """How many lines of the journals are in quarantine. Raises ChatstoreError if they cannot be read."""

    def worker(self) -> LockHolder | None:
        """The process that stores the lines of the journals."""


def cache_status(
    journals: JournalSet, message_store: Callable[[], MessageStore] | None, clock: Clock = utc_now
) -> CacheReport:
    """Compare journals with the database; without a database, or if it is unreachable, report what the files show."""
    errors: list[ChatstoreError] = []
    lines = None
    with journals.to_read() as sources:
        try:
            lines = None if message_store is None else compare_lines(sources, message_store())
        except (Unreachable, NotAllowed) as error:
            errors.append(error)
        if lines is None:
            lines = count_lines(sources, journals.furthest_position)
        quarantined = None
        try:
            quarantined = journals.count_quarantined()
        except ChatstoreError as error:
            errors.append(error)
        status = CacheStatus(
            sessions=journals.sessions,
            journals=len(sources),
            lines=lines.lines,
            bytes=journals.total_bytes,
            not_persisted=lines.to_store,
            oldest_not_persisted=lines.oldest,
            to_quarantine=lines.to_quarantine,
            incomplete=lines.incomplete,
            quarantined=quarantined,
            worker=journals.worker(),
            ignored=journals.ignored,
            future=future_journals(lines.latest, clock()),
            incomplete_journals=lines.incomplete_journals,
        )
    by_message = {error.message: error for error in (*errors, *lines.unreadable)}
    return CacheReport(status, list(by_message.values()))


@dataclass(frozen=True)
class LineCounts:
    """Lines of journals, and what a flush would do with them; None for what only the database could answer.

    `oldest` is the oldest instant among the lines that a flush would store. `incomplete` counts incomplete last lines.
    `incomplete_journals` are those with an incomplete last line.
    `latest` has the latest instant of each journal, by its name.
    `unreadable` has an error for each journal that could not be read; such journals are counted up to the error.
    """

    lines: int
    to_store: int | None
    oldest: str | None
    to_quarantine: int
    incomplete: int
    unreadable: Sequence[ChatstoreError]
    latest: Mapping[str, str]
    incomplete_journals: Sequence[str]


def compare_lines(sources: Sequence[Source], store: MessageStore) -> LineCounts:
    """Compare with the database what the ledger has not passed. Raises Unreachable, NotAllowed."""
    oldest: str | None = None
    lock = threading.Lock()

    def note(_: SourceState, entry: Entry) -> None:
        nonlocal oldest
        with lock:
            oldest = entry.instant if oldest is None else min(oldest, entry.instant)

    flush = Flush(store, FlushOptions(rules=StoringRules(dry_run=True), timeout=0), missing=note)
    result = flush.attempt(sources)
    return LineCounts(
        lines=_lines_of(flush.readings.values()),
        to_store=result.stored,
        oldest=oldest,
        to_quarantine=result.quarantined,
        incomplete=result.pending,
        unreadable=list(flush.unreadable.values()),
        latest={name: reading.latest for name, reading in flush.readings.items()},
        incomplete_journals=result.named_incomplete,
    )


def find_future_journals(journals: JournalSet, seconds: float, clock: Clock = utc_now) -> FutureJournals:
    """The journals with lines from the future. Lines that the ledger has passed are not read again.

    Raises Overdue if it takes longer than `seconds`.
    """
    deadline = time.monotonic() + seconds

    def check_deadline() -> None:
        if time.monotonic() > deadline:
            raise Overdue(what=f"reading the journals took longer than {seconds:g} seconds")

    with journals.to_read() as sources:
        return future_journals(count_lines(sources, journals.furthest_position, check_deadline).latest, clock())


def count_lines(
    sources: Sequence[Source],
    counted: Callable[[Source], Position | None],
    after_block: Callable[[], None] = lambda: None,
) -> LineCounts:
    """What the files alone show. `counted` returns how far the lines of a journal have been counted before."""
    reader = Reader(session=None)
    readings: list[JournalReading] = []
    unreadable: list[ChatstoreError] = []
    for source in sources:
        start = counted(source)
        start = start if start is not None and source.journal.still_at(start) else None
        quarantine = LineQuarantine(source.quarantine, source.journal.name, utc_now, dry_run=True)
        reading = JournalReading(source, quarantine, NotCounted(), start)
        readings.append(reading)
        if start is not None and source.journal.compressed:
            continue
        try:
            for _ in reader.entries(reading):
                after_block()
        except Overdue:
            raise
        except ChatstoreError as error:
            unreadable.append(error)
    return LineCounts(
        lines=_lines_of(readings),
        to_store=None,
        oldest=None,
        to_quarantine=sum(reading.quarantine.new for reading in readings),
        incomplete=sum(reading.pending for reading in readings),
        unreadable=unreadable,
        latest={reading.name: reading.latest for reading in readings},
        incomplete_journals=[reading.name for reading in readings if reading.pending][:MOST_NAMED],
    )


def _lines_of(readings: Iterable[JournalReading]) -> int:
    return sum(reading.lines + (reading.start.records if reading.start else 0) for reading in readings)
