"""Trying quarantined lines again, after what kept them out has been mended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from chatstore_cli.core.flush.occurrences import WindowedCount
from chatstore_cli.core.flush.reading import Pass, Source
from chatstore_cli.core.flush.storing import Storer, StoringRules
from chatstore_cli.core.retry import RetryPolicy
from chatstore_cli.domain.identity import content_key, identity_by_content, identity_by_message_id, session_prefix
from chatstore_cli.domain.journal import Entry, flaw_of, may_have_lost_digits
from chatstore_cli.domain.message_store import JournalPort, MessageStore, QuarantinePort
from chatstore_cli.domain.quarantine import QuarantinedLine, RetryResult
from chatstore_cli.domain.times import Clock, utc_now


def retry(
    store: MessageStore,
    sources: Sequence[Source],
    rules: StoringRules,
    retry_policy: RetryPolicy,
    clock: Clock = utc_now,
) -> RetryResult:
    """Store what can be stored by now, and take it out of the quarantines of the sources; the rest stays there.

    A line that was refused by the database keeps the `_id` that it was refused under.
    """
    quarantines = {id(source.quarantine): source for source in sources}.values()
    results = [_retry(store, found.quarantine, found.journal, rules, retry_policy, clock) for found in quarantines]
    return RetryResult(
        lines=sum(result.lines for result in results),
        stored=sum(result.stored for result in results),
        already_stored=sum(result.already_stored for result in results),
        still_quarantined=sum(result.still_quarantined for result in results),
    )


def _retry(
    store: MessageStore,
    quarantine: QuarantinePort,
    journal: JournalPort,
    rules: StoringRules,
    retry_policy: RetryPolicy,
    clock: Clock,
) -> RetryResult:
    lines = list(quarantine.lines())
    wanted = [(line, entry) for line in lines if (entry := _entry_of(line, journal)) is not None]
    refused: set[tuple[str, int]] = set()
    storer: Storer[Pass] = Storer(
        store, rules, retry_policy, clock, lambda _, entry, __: refused.add((entry.source, entry.offset))
    )
    passes = {line.source: Pass(Source(journal, None, quarantine), WindowedCount()) for line, _ in wanted}
    stored = 0
    for batch in _in_batches([entry for _, entry in wanted]):
        stored += storer.store(batch, passes)
    settled = {line.quarantine_id for line, entry in wanted if (entry.source, entry.offset) not in refused}
    if settled:
        quarantine.remove(settled)
    return RetryResult(len(lines), stored, len(settled) - stored, len(lines) - len(settled))


def _entry_of(line: QuarantinedLine, journal: JournalPort) -> Entry | None:
    if line.raw is None:
        return None
    try:
        fields: Any = journal.decode(line.raw)
    except ValueError:
        return None
    if flaw_of(fields) is not None or (may_have_lost_digits(fields) and journal.lost_digits(line.raw)):
        return None
    session, instant = fields["session_id"], fields["created_at"]
    prefix = session_prefix(session)
    if "message_id" in fields:
        key = b""
        identity = identity_by_message_id(prefix, session, fields["message_id"])
    else:
        key = content_key(session, fields["role"], instant, fields["text"])
        identity = line.identity or identity_by_content(prefix, key, 0)
    return Entry(line.source, identity, key, instant, fields, line.line, line.offset, line.raw)


def _in_batches(entries: Sequence[Entry], size: int = 500) -> Iterable[list[Entry]]:
    return (list(entries[first : first + size]) for first in range(0, len(entries), size))
