"""Quarantines the lines of one journal, for the thread that reads and the threads that store."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from chatstore_cli.core.flush.corrections import Corrections
from chatstore_cli.domain.journal import Entry
from chatstore_cli.domain.message_store import QuarantinePort
from chatstore_cli.domain.times import Clock, format_instant


class LineQuarantine:
    """Quarantines lines of one journal and counts them: `total` lines, `new` of which were not in quarantine before.

    Every method may be called from several threads. A dry run only counts.
    """

    def __init__(self, quarantine: QuarantinePort, source: str, clock: Clock, *, dry_run: bool) -> None:
        self._quarantine = quarantine
        self._source = source
        self._clock = clock
        self._dry_run = dry_run
        self._lock = threading.Lock()
        self.total = 0
        self.new = 0
        self.corrections: Corrections | None = None
        """Compares the lines that were in quarantine before with those of the journal, if there are any."""

    def add(self, number: int, offset: int, raw: bytes, reason: str, identity: str | None = None) -> None:
        """Quarantine a line: the record `number` of its journal, which starts at the byte `offset`."""
        if self._dry_run:
            self._count(not self._quarantine.knows(self._source, offset, raw))
        else:
            now = format_instant(self._clock())
            new = self._quarantine.add(self._source, number, offset, raw, reason, now, identity)
            self._count(new)
            if self.corrections is not None:
                self.corrections.note_quarantined(offset, raw if new else None)

    def add_large(self, number: int, offset: int, length: int, pieces: Iterable[bytes], reason: str) -> None:
        """Quarantine a line that is too long to be held in memory. A dry run does not read its `pieces`."""
        if self._dry_run:
            self._count(True)
        else:
            now = format_instant(self._clock())
            self._count(self._quarantine.add_large(self._source, number, offset, length, pieces, reason, now))

    def refuse(self, entry: Entry, reason: str) -> None:
        """Quarantine a line that was read well and cannot be stored. It keeps the `_id` that it was given."""
        self.add(entry.number, entry.offset, entry.raw, reason, entry.identity)

    def _count(self, new: bool) -> None:
        with self._lock:
            self.total += 1
            self.new += new
