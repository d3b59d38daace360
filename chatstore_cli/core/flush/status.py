"""How journals stand against the database: what is there, what is not stored yet, and since when."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chatstore_cli.core.flush.occurrences import WindowedCount
from chatstore_cli.core.flush.reading import Pass, Reader, Source
from chatstore_cli.core.flush.run import Flush, FlushOptions
from chatstore_cli.core.flush.storing import StoringRules
from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.journal import Entry, Position
from chatstore_cli.domain.message_store import MessageStore
from chatstore_cli.domain.times import utc_now


@dataclass(frozen=True)
class Standing:
    """Lines of journals, and what a flush would do with them; None for what only the database could tell.

    `oldest` is the oldest instant among those that a flush would store. `unreadable` journals are left out.
    """

    lines: int
    to_store: int | None
    oldest: str | None
    to_quarantine: int
    torn: int
    unreadable: Sequence[ChatstoreError]


def standing(sources: Sequence[Source], store: MessageStore) -> Standing:
    """Compare what the ledger has not passed over. Raises Unreachable, NotAllowed."""
    oldest: str | None = None
    lock = threading.Lock()

    def look(_: Pass, entry: Entry) -> None:
        nonlocal oldest
        with lock:
            oldest = entry.instant if oldest is None else min(oldest, entry.instant)

    flush = Flush(store, FlushOptions(rules=StoringRules(dry_run=True), timeout=0), missing=look)
    result = flush.attempt(sources)
    return Standing(
        lines=sum(_lines(found) for found in flush.passes.values()),
        to_store=result.stored,
        oldest=oldest,
        to_quarantine=result.quarantined,
        torn=result.pending,
        unreadable=list(flush.unreadable.values()),
    )


def standing_without_database(sources: Sequence[Source], known: Callable[[Source], Position | None]) -> Standing:
    """What the files alone tell. `known` gives how far a journal's lines have been counted before."""
    reader = Reader(utc_now, session=None, dry_run=True)
    passes: list[Pass] = []
    unreadable: list[ChatstoreError] = []
    for source in sources:
        start = known(source)
        at = Pass(source, _NoCount(), start=start if start and source.journal.still_at(start) else None)
        passes.append(at)
        if at.start is not None and source.journal.compressed:
            continue
        try:
            for _ in reader.entries(at):
                pass
        except ChatstoreError as error:
            unreadable.append(error)
    return Standing(
        lines=sum(map(_lines, passes)),
        to_store=None,
        oldest=None,
        to_quarantine=sum(at.newly_bad for at in passes),
        torn=sum(at.pending for at in passes),
        unreadable=unreadable,
    )


class _NoCount(WindowedCount):
    """Nobody asks which of equal lines it is."""

    def number(self, key: bytes, instant: str) -> int:
        return 0


def _lines(at: Pass) -> int:
    return at.lines + (at.start.records if at.start else 0)
