"""What a flush would do now: journals are read and compared, and nothing is stored."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Protocol

from chatstore_cli.core.flush.options import FlushOptions
from chatstore_cli.core.flush.reading import Source
from chatstore_cli.core.flush.run import Flush
from chatstore_cli.core.flush.storing import StoringRules
from chatstore_cli.domain.errors import Overdue
from chatstore_cli.domain.indexes.ports import PendingLines
from chatstore_cli.domain.journal import FlushResult
from chatstore_cli.domain.message_store import MessageStore
from chatstore_cli.domain.quarantine import QuarantinedLine


class ReadableJournals(Protocol):
    """Some journals, to be read only."""

    @property
    def from_stdin(self) -> bool:
        """Whether standard input is among them, which can be read only once."""

    def to_read(self) -> AbstractContextManager[list[Source]]:
        """The journals."""

    def quarantined(self) -> Iterator[QuarantinedLine]:
        """The quarantined lines of their folders."""


def count_expired(journals: ReadableJournals, store: MessageStore, options: FlushOptions) -> int:
    """How many messages of the journals have already expired by the rules of the options."""
    dry_run = replace(options, rules=replace(options.rules, dry_run=True))
    with journals.to_read() as sources:
        return Flush(store, dry_run).run(sources).expired


def count_pending_lines(
    journals: ReadableJournals, message_store: MessageStore, ttl_days: int, seconds: float
) -> PendingLines:
    """The lines that are not stored yet; `ttl_days` is how long the database keeps messages.

    Raises Overdue if it takes longer than `seconds`.
    """
    deadline = time.monotonic() + seconds
    rules = StoringRules(ttl_days, ttl_from_created=True, skip_expired=True, dry_run=True)

    def check_deadline(_: object) -> None:
        if time.monotonic() > deadline:
            raise Overdue(what=f"reading the journals took longer than {seconds:g} seconds")

    def dry_run(*, ignore_ledger: bool) -> FlushResult:
        options = FlushOptions(rules=rules, ignore_ledger=ignore_ledger, timeout=seconds)
        with journals.to_read() as sources:
            return Flush(message_store, options, on_progress=check_deadline).run(sources)

    new_lines, all_lines = dry_run(ignore_ledger=False), dry_run(ignore_ledger=True)
    return PendingLines(
        journals=all_lines.files,
        lines=all_lines.lines,
        to_store=new_lines.stored + new_lines.expired,
        to_quarantine=all_lines.quarantined,
        incomplete=all_lines.pending,
        missing=all_lines.stored - new_lines.stored,
        in_quarantine=sum(1 for _ in journals.quarantined()),
    )
