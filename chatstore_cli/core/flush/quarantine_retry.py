"""Stores quarantined lines again after their cause was repaired, and lines whose edit was interrupted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chatstore_cli.core.flush.reading import Source
from chatstore_cli.core.flush.source_state import SourceState
from chatstore_cli.core.flush.storing import Storer, StoringRules
from chatstore_cli.core.retry import RetryPolicy
from chatstore_cli.domain.identity import content_key, identity_by_content, identity_by_message_id, session_prefix
from chatstore_cli.domain.journal import Entry, JournalRecord
from chatstore_cli.domain.message_store import JournalPort, MessageStore, QuarantinePort
from chatstore_cli.domain.quarantine import QuarantinedLine, RetryResult

_BATCH_LINES = 500


def retry_quarantined(
    store: MessageStore,
    sources: Sequence[Source],
    rules: StoringRules,
    retry_policy: RetryPolicy,
) -> RetryResult:
    """Store the quarantined lines that can be stored by now, and remove them from the quarantines of the sources.

    A line that the database rejected keeps the `_id` that it was given then.
    """
    sources_by_quarantine = {id(source.quarantine): source for source in sources}.values()
    results = [
        _retry(store, source.quarantine, source.journal, rules, retry_policy) for source in sources_by_quarantine
    ]
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
) -> RetryResult:
    lines = list(quarantine.lines())
    entries = [(line, entry) for line in lines if (entry := entry_of(line, journal.read)) is not None]
    refused: set[tuple[str, int, bytes]] = set()

    def note_refused(entry: Entry, _: str) -> None:
        refused.add((entry.source, entry.offset, entry.raw))

    storer = Storer(store, rules, retry_policy)
    states = {line.source: SourceState(refuse=note_refused) for line, _ in entries}
    readable = [entry for _, entry in entries]
    stored = sum(
        storer.store(readable[first : first + _BATCH_LINES], states) for first in range(0, len(readable), _BATCH_LINES)
    )
    is_refused = {line.quarantine_id: (entry.source, entry.offset, entry.raw) in refused for line, entry in entries}
    settled = {quarantine_id for quarantine_id, still in is_refused.items() if not still}
    quarantine.withdraw_edits({quarantine_id for quarantine_id, still in is_refused.items() if still})
    if settled:
        quarantine.remove(settled)
    return RetryResult(len(lines), stored, len(settled) - stored, len(lines) - len(settled))


def entry_of(line: QuarantinedLine, read: Callable[[bytes], JournalRecord]) -> Entry | None:
    """The entry of a quarantined line, or of its edit if it has one. None if the line cannot be stored as it is."""
    if line.resolution is not None and line.resolution.edited is not None:
        return _entry(line, line.resolution.edited, read, line.resolution.identity)[0]
    return None if line.raw is None else _entry(line, line.raw, read, line.identity)[0]


def entry_of_edit(
    line: QuarantinedLine, edited: bytes, read: Callable[[bytes], JournalRecord]
) -> tuple[Entry | None, str | None]:
    """The entry of an edited line, or None and why it cannot be stored.

    It keeps the `_id` of the quarantined line if its content is the same.
    """
    entry, flaw = _entry(line, edited, read, None)
    if entry is not None and entry.key and line.identity is not None and line.raw is not None:
        before, _ = _entry(line, line.raw, read, line.identity)
        if before is not None and before.key == entry.key:
            entry = entry._replace(identity=line.identity)
    return entry, flaw


def _entry(
    line: QuarantinedLine, raw: bytes, read: Callable[[bytes], JournalRecord], identity: str | None
) -> tuple[Entry | None, str | None]:
    fields, flaw, _ = read(raw)
    if fields is None or flaw is not None:
        return None, flaw or "not JSON"
    session, instant = fields["session_id"], fields["created_at"]
    prefix = session_prefix(session)
    if "message_id" in fields:
        key = b""
        identity = identity_by_message_id(prefix, session, fields["message_id"])
    else:
        key = content_key(session, fields["role"], instant, fields["text"])
        identity = identity or identity_by_content(prefix, key, 0)
    return Entry(line.source, identity, key, instant, fields, line.line, line.offset, raw), None
