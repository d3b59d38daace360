"""Pruning: journals whose every line is proven stored may go; the plan says of each what becomes of it, and why."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from chatstore_cli.core.flush.reading import Pass, Source
from chatstore_cli.core.flush.run import Flush, FlushOptions
from chatstore_cli.core.flush.storing import StoringRules
from chatstore_cli.domain.cache_status import Fate, FileState
from chatstore_cli.domain.journal import Entry
from chatstore_cli.domain.message_store import MessageStore
from chatstore_cli.domain.times import format_instant


@dataclass(frozen=True)
class Prunable:
    """A journal as it stood before it was read. `unfit` says why it is not even looked at, such as a symbolic link."""

    name: str
    session_id: str
    state: FileState
    source: Source
    unfit: str | None = None


class JournalRemover(Protocol):
    """Removes journals."""

    def remove(self, journal: Prunable) -> str | None:
        """Remove it where it still is as it was when it was looked at; else why not."""
        ...


@dataclass(frozen=True)
class PruneRules:
    """`cutoff`: what was written, or is of a time, after it stays. `ttl_days` is how long the database keeps messages."""

    cutoff: datetime
    now: datetime
    ttl_days: int


def plan_pruning(journals: Sequence[Prunable], store: MessageStore, rules: PruneRules) -> list[Fate]:
    """What becomes of each journal. Every line of those that are old enough is compared with the database.

    Raises Unreachable, NotAllowed: then nothing is proven.
    """
    early = {journal.name: _why_not_looked_at(journal, rules) for journal in journals}
    proof = _Proof(store, rules)
    proof.look([journal for journal in journals if early[journal.name] is None])
    return [proof.fate(journal, early[journal.name]) for journal in journals]


def carry_out(fates: Iterable[Fate], journals: Sequence[Prunable], remover: JournalRemover) -> Iterator[Fate]:
    """Remove what is to go; one that has changed since it was looked at stays, and its fate says so."""
    by_name = {journal.name: journal for journal in journals}
    for fate in fates:
        if not fate.prune:
            yield fate
        elif (why_not := remover.remove(by_name[fate.journal])) is None:
            yield replace(fate, pruned=True)
        else:
            yield replace(fate, prune=False, reason=why_not)


def _why_not_looked_at(journal: Prunable, rules: PruneRules) -> str | None:
    if journal.unfit is not None:
        return journal.unfit
    written = datetime.fromtimestamp(journal.state.modified / 1e9, UTC)
    return f"written to at {written:%Y-%m-%d %H:%M:%S} UTC" if written > rules.cutoff else None


class _Proof:
    """One look at every line of some journals."""

    def __init__(self, store: MessageStore, rules: PruneRules) -> None:
        self._store = store
        self._rules = rules
        # Before this instant, what was stored may have expired in the database.
        self._expired = _expired_before(rules)
        self._known: dict[str, float] = {}
        self._missing: Counter[int] = Counter()
        self._gone: Counter[int] = Counter()
        self._lock = threading.Lock()
        options = FlushOptions(rules=StoringRules(dry_run=True), ignore_ledger=True, timeout=0)
        self._flush = Flush(store, options, missing=self._met)

    def look(self, journals: Sequence[Prunable]) -> None:
        """Compare them. Raises Unreachable, NotAllowed."""
        if not journals:
            return
        collection = self._store.collection_id()
        for journal in journals:
            self._known[journal.name] = _known_up_to(journal.source, collection)
        self._flush.attempt([journal.source for journal in journals])

    def _met(self, at: Pass, entry: Entry) -> None:
        # Whatever the ledger has passed over was stored once: if its time is over, the database has deleted it.
        counts = self._gone if entry.instant < self._expired and entry.offset < self._known[at.name] else self._missing
        with self._lock:
            counts[at.number] += 1

    def fate(self, journal: Prunable, kept_because: str | None) -> Fate:
        """What becomes of a journal."""
        at = self._flush.passes.get(journal.name)
        if kept_because is not None or at is None:
            reason = kept_because or "it was not looked at"
            return Fate(journal.name, journal.session_id, None, journal.state.size, None, False, reason)
        why_not = self._why_not(journal, at)
        reason = why_not if why_not is not None else self._proven(at)
        newest = at.latest or None
        return Fate(journal.name, journal.session_id, at.lines, journal.state.size, newest, why_not is None, reason)

    def _why_not(self, journal: Prunable, at: Pass) -> str | None:
        error = self._flush.unreadable.get(journal.name)
        if error is not None:
            return error.message
        if at.latest > format_instant(self._rules.cutoff):
            return f"its newest line is of {at.latest[:19].replace('T', ' ')} UTC"
        if missing := self._missing[at.number]:
            return f"{_lines_are(missing)} not stored"
        if at.newly_bad:
            return f"{_lines(at.newly_bad)} cannot be stored"
        if at.bad:
            return f"{_lines_are(at.bad)} in quarantine"
        return "its last line is not finished" if at.pending or not at.ended else None

    def _proven(self, at: Pass) -> str:
        told = ["every line is stored" if at.lines else "it is empty"]
        if gone := self._gone[at.number]:
            told.append(f"{gone:,} {'has' if gone == 1 else 'have'} expired since")
        if at.skipped:
            told.append(f"{at.skipped:,} {'is' if at.skipped == 1 else 'are'} of deleted sessions")
        return ", ".join(told)


def _lines(count: int) -> str:
    return "1 line" if count == 1 else f"{count:,} lines"


def _lines_are(count: int) -> str:
    return f"{_lines(count)} {'is' if count == 1 else 'are'}"


def _journals(count: int) -> str:
    return "1 journal" if count == 1 else f"{count:,} journals"


def _known_up_to(source: Source, collection: str | None) -> float:
    """Up to which byte the ledger says that lines were stored."""
    if source.ledger is None or collection is None:
        return 0
    position = source.ledger.position(source.journal.name, collection)
    if position is None or not source.journal.still_at(position):
        return 0
    return math.inf if source.journal.compressed else position.offset


def _expired_before(rules: PruneRules) -> str:
    if rules.ttl_days == 0:
        return ""
    try:
        return format_instant(rules.now - timedelta(days=rules.ttl_days))
    except (OverflowError, ValueError):
        return ""


def in_words(fates: Sequence[Fate], most: int = 20) -> str:
    """The plan: what would be removed."""
    going = [fate for fate in fates if fate.prune]
    lines = [f"  {fate.journal} ({_lines(fate.lines or 0)}, {fate.bytes:,} bytes)" for fate in going[:most]]
    if len(going) > most:
        lines.append(f"  … and {len(going) - most:,} more (--dry-run lists them all)")
    size = sum(fate.bytes for fate in going)
    head = f"{len(going):,} of {_journals(len(fates))}, {size:,} bytes, every line of them stored, would be removed:"
    return "\n".join([head, *lines])


def done_in_words(fates: Sequence[Fate], planned: int) -> str:
    """What was removed; and how many of the `planned` journals stayed after all."""
    gone = [fate for fate in fates if fate.pruned]
    stayed = planned - len(gone)
    told = f"Removed: {_journals(len(gone))}, {sum(fate.bytes for fate in gone):,} bytes."
    return told + (f" {_journals(stayed)} stayed after all: REASON says why." if stayed else "")
