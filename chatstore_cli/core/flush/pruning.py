"""Removes journals whose every line is proven to be stored, or was deleted with its session. The plan gives a reason for each journal."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from chatstore_cli.core.flush.options import FlushOptions
from chatstore_cli.core.flush.reading import JournalReading, Source
from chatstore_cli.core.flush.run import Flush
from chatstore_cli.core.flush.source_state import SourceState
from chatstore_cli.core.flush.storing import StoringRules
from chatstore_cli.domain.cache_status import FileState, PruneDecision
from chatstore_cli.domain.journal import Entry
from chatstore_cli.domain.message_store import MessageStore
from chatstore_cli.domain.times import format_instant

_MOST_LISTED = 20


@dataclass(frozen=True)
class Prunable:
    """A journal, and the state of its file before it was read.

    `unfit` is why it is kept without being read, for example because it is a symbolic link.
    """

    name: str
    session_id: str
    state: FileState
    source: Source
    unfit: str | None = None


@dataclass(frozen=True)
class PruneRules:
    """A journal that was written after `cutoff`, or has a newer line, is kept.

    `ttl_days` is how long the database keeps messages. With `deleted_only`, a journal without lines that were deleted with
    their session is kept.
    """

    cutoff: datetime
    now: datetime
    ttl_days: int
    deleted_only: bool = False


def plan_pruning(journals: Sequence[Prunable], store: MessageStore, rules: PruneRules) -> list[PruneDecision]:
    """A decision for each journal. Compares every line of the journals that are old enough with the database.

    Raises Unreachable, NotAllowed: then nothing is proven.
    """
    kept_unread = {journal.name: _why_kept_unread(journal, rules) for journal in journals}
    comparison = _Comparison(store, rules)
    comparison.run([journal for journal in journals if kept_unread[journal.name] is None])
    return [comparison.decide(journal, kept_unread[journal.name]) for journal in journals]


def carry_out(
    decisions: Iterable[PruneDecision], journals: Sequence[Prunable], remove: Callable[[Prunable], str | None]
) -> Iterator[PruneDecision]:
    """Remove the journals that are to be removed. One that has changed meanwhile is kept, with that as the reason.

    `remove` removes a journal if its file is still in the same state, and returns why it was kept, or None.
    """
    by_name = {journal.name: journal for journal in journals}
    for decision in decisions:
        if not decision.prune:
            yield decision
        elif (why_kept := remove(by_name[decision.journal])) is None:
            yield replace(decision, pruned=True)
        else:
            yield replace(decision, prune=False, reason=why_kept)


def _why_kept_unread(journal: Prunable, rules: PruneRules) -> str | None:
    if journal.unfit is not None:
        return journal.unfit
    written = datetime.fromtimestamp(journal.state.modified / 1e9, UTC)
    return f"last written at {written:%Y-%m-%d %H:%M:%S} UTC" if written > rules.cutoff else None


class _Comparison:
    """Compares every line of some journals with the database."""

    def __init__(self, store: MessageStore, rules: PruneRules) -> None:
        self._store = store
        self._rules = rules
        # Messages before this instant may have expired in the database.
        self._expired_before = _expired_before(rules)
        self._known_up_to: dict[str, float] = {}
        self._missing: Counter[int] = Counter()
        self._expired: Counter[int] = Counter()
        self._lock = threading.Lock()
        options = FlushOptions(rules=StoringRules(dry_run=True), ignore_ledger=True, timeout=0)
        self._flush = Flush(store, options, missing=self._count_missing)

    def run(self, journals: Sequence[Prunable]) -> None:
        """Compare them. Raises Unreachable, NotAllowed."""
        if not journals:
            return
        collection = self._store.collection_id()
        for journal in journals:
            self._known_up_to[journal.name] = _known_up_to(journal.source, collection)
        self._flush.attempt([journal.source for journal in journals])

    def _count_missing(self, state: SourceState, entry: Entry) -> None:
        # A line that the ledger has passed was stored once: if its time is over, the database has deleted it.
        was_stored = entry.offset < self._known_up_to[entry.source]
        counts = self._expired if was_stored and entry.instant < self._expired_before else self._missing
        with self._lock:
            counts[state.number] += 1

    def decide(self, journal: Prunable, kept_because: str | None) -> PruneDecision:
        """Whether a journal can be removed. `kept_because` is why it was not read."""
        reading = self._flush.readings.get(journal.name)
        name, session_id, size = journal.name, journal.session_id, journal.state.size
        if kept_because is not None or reading is None:
            return PruneDecision(name, session_id, None, size, None, False, kept_because or "it was not read")
        why_kept = self._why_kept(journal, reading)
        reason = self._proof(reading) if why_kept is None else why_kept
        covered = reading.state.covered
        return PruneDecision(
            name,
            session_id,
            reading.lines,
            size,
            reading.latest or None,
            why_kept is None,
            reason,
            covered=covered,
            dropped=reading.state.skipped - covered,
            expired=self._expired[reading.state.number],
        )

    def _why_kept(self, journal: Prunable, reading: JournalReading) -> str | None:
        error = self._flush.unreadable.get(journal.name)
        if error is not None:
            return error.message
        if reading.latest > format_instant(self._rules.cutoff):
            return f"its newest line is of {reading.latest[:19].replace('T', ' ')} UTC"
        if missing := self._missing[reading.state.number]:
            return f"{_lines_are(missing)} not stored"
        if reading.quarantine.new:
            return f"{_lines(reading.quarantine.new)} cannot be stored"
        if reading.quarantine.total:
            return f"{_lines_are(reading.quarantine.total)} in quarantine"
        if in_quarantine := sum(1 for _ in journal.source.quarantine.lines_of(journal.name)):
            # Their bytes may be nowhere else: the journal has other lines in their place by now.
            return (
                f"{_lines_are(in_quarantine)} in quarantine that {'is' if in_quarantine == 1 else 'are'} not in it now"
            )
        if not reading.complete:
            return "its last line is incomplete"
        return "none of its lines was deleted" if self._rules.deleted_only and not reading.state.covered else None

    def _proof(self, reading: JournalReading) -> str:
        covered = reading.state.covered
        if covered and covered == reading.lines:
            return "every line was deleted with its session"
        dropped = reading.state.skipped - covered
        parts = [
            f"{lines:,} {'was' if lines == 1 else 'were'} {what}"
            for lines, what in ((covered, "deleted with the session"), (dropped, "dropped from the quarantine"))
            if lines
        ]
        if not parts:
            parts = ["every line is stored" if reading.lines else "it is empty"]
        elif covered + dropped < reading.lines:
            parts.append("the others are stored")
        if expired := self._expired[reading.state.number]:
            parts.append(f"{expired:,} of them {'has' if expired == 1 else 'have'} expired since")
        return ", ".join(parts)


def _on_one_line(name: str) -> str:
    return name.replace("\n", "\\n")  # else a file name could add a line to the plan


def _lines(count: int) -> str:
    return "1 line" if count == 1 else f"{count:,} lines"


def _lines_are(count: int) -> str:
    return f"{_lines(count)} {'is' if count == 1 else 'are'}"


def _lines_of(decision: PruneDecision) -> str:
    lines = _lines(decision.lines or 0)
    return f"{lines}, {decision.covered:,} of them deleted" if decision.covered else lines


def _journals(count: int) -> str:
    return "1 journal" if count == 1 else f"{count:,} journals"


def _known_up_to(source: Source, collection: str | None) -> float:
    """The byte up to which the ledger has passed the journal."""
    position = source.position(collection)
    if position is None:
        return 0
    return math.inf if source.journal.compressed else position.offset


def _expired_before(rules: PruneRules) -> str:
    if rules.ttl_days == 0:
        return ""
    try:
        return format_instant(rules.now - timedelta(days=rules.ttl_days))
    except (OverflowError, ValueError):
        return ""


def describe_plan(decisions: Sequence[PruneDecision]) -> str:
    """The plan as text: some of the journals that will be removed, and their total."""
    to_prune = [decision for decision in decisions if decision.prune]
    lines = [
        f"  {_on_one_line(decision.journal)} ({_lines_of(decision)}, {decision.bytes:,} bytes)"
        for decision in to_prune[:_MOST_LISTED]
    ]
    if len(to_prune) > _MOST_LISTED:
        lines.append(f"  … and {len(to_prune) - _MOST_LISTED:,} more (--dry-run lists all of them)")
    return "\n".join([f"{describe_total(decisions)} {_proof_of_all(to_prune)}:", *lines])


def _proof_of_all(to_prune: Sequence[PruneDecision]) -> str:
    """The statement that every line is stored, with the number of lines that are not, and why they need not be."""
    counts = (
        (sum(decision.covered or 0 for decision in to_prune), "deleted with the session"),
        (sum(decision.dropped or 0 for decision in to_prune), "dropped from the quarantine"),
    )
    exceptions = [f"{_lines(count)} that {'was' if count == 1 else 'were'} {what}" for count, what in counts if count]
    if expired := sum(decision.expired for decision in to_prune):
        exceptions.append(f"{_lines(expired)} that {'has' if expired == 1 else 'have'} expired since")
    proof = "Every line of them is stored"
    return f"{proof}, except {' and '.join(exceptions)}" if exceptions else proof


def describe_total(decisions: Sequence[PruneDecision]) -> str:
    """How many of the journals, with how many bytes, would be removed."""
    to_prune = [decision for decision in decisions if decision.prune]
    if not to_prune:
        return "No journal would be removed."
    size = sum(decision.bytes for decision in to_prune)
    return f"{len(to_prune):,} of {_journals(len(decisions))}, {size:,} bytes, would be removed."


def describe_result(decisions: Sequence[PruneDecision], planned: int) -> str:
    """What was removed, and how many of the `planned` journals were kept after all."""
    pruned = [decision for decision in decisions if decision.pruned]
    kept = planned - len(pruned)
    text = f"Removed: {_journals(len(pruned))}, {sum(decision.bytes for decision in pruned):,} bytes."
    if not kept:
        return text
    return f"{text} {_journals(kept)} {'was' if kept == 1 else 'were'} kept after all, for the reason in REASON."
